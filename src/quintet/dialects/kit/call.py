"""One request, as a handler sees it: who asks, what came in, and the two ways to run a use case."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar

from starlette.requests import Request

from quintet.app.context import Ctx, ReadTx, WriteTx
from quintet.app.core import Core
from quintet.domain.identity import Actor
from quintet.domain.ids import Id

P = ParamSpec("P")
R = TypeVar("R")

Authenticate = Callable[[Request, Core], Awaitable[Actor]]
"""How a dialect finds the actor of a request; raises Unauthenticated."""

ANONYMOUS = Actor(user_id=Id(""), space_id=Id(""), permissions=frozenset(), role="anonymous")
"""The actor of operations that need no key: it may do nothing, so only use cases without a check serve it."""


@dataclass(slots=True)
class Call:
    """Made by a binder for each request, after authentication. `body` is decoded as the handler declared."""

    core: Core
    actor: Actor
    request: Request
    request_id: str
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None

    async def read(
        self, use_case: Callable[Concatenate[Ctx[ReadTx], P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        return await self.core.read(self.actor, use_case, *args, **kwargs)

    async def write(
        self, use_case: Callable[Concatenate[Ctx[WriteTx], P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        return await self.core.write(self.actor, use_case, *args, **kwargs)
