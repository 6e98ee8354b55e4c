"""Requests and responses without a server: what the tests of the kit send to a binder, and how they read it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message

from quintet.app.core import Core
from quintet.domain.errors import QuintetError, Unauthenticated
from quintet.domain.identity import Actor
from quintet.domain.ids import Id

T = TypeVar("T")
ACTOR = Actor(user_id=Id("a" * 24), space_id=Id("b" * 24), permissions=frozenset(), user_name="Ada")
NO_CORE = cast(Core, None)
"""Binders pass the core on without looking at it."""


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


@dataclass
class Sent:
    """A request whose body arrives in the given chunks; `read` counts how many were taken."""

    method: str = "GET"
    path: str = "/"
    body: bytes | Sequence[bytes] = b""
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    read: int = 0

    def request(self) -> Request:
        chunks = [self.body] if isinstance(self.body, bytes) else list(self.body)

        async def receive() -> Message:
            if self.read >= len(chunks):
                return {"type": "http.disconnect"}
            self.read += 1
            return {"type": "http.request", "body": chunks[self.read - 1], "more_body": self.read < len(chunks)}

        scope = {
            "type": "http",
            "method": self.method,
            "path": self.path,
            "query_string": self.query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in self.headers.items()],
        }
        return Request(scope, receive)


def show(error: QuintetError, request_id: str) -> Response:
    """The error shape of an imaginary dialect."""
    content = {"code": error.code, "message": error.message, "field": error.field, "request": request_id}
    return JSONResponse(content, status_code=418)


async def signed_in(request: Request, core: Core) -> Actor:
    """Accepts the key `good`."""
    if request.headers.get("authorization") != "Bearer good":
        raise Unauthenticated("the key is not valid")
    return ACTOR


KEY = {"authorization": "Bearer good"}
