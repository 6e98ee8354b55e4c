"""What a dialect gives to the server: its routes, and how it says that a path is not one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.responses import Response

from quintet.dialects.kit.rest import Coverage, Route
from quintet.dialects.kit.rpc import RpcBinder
from quintet.domain.errors import QuintetError


@dataclass(frozen=True, slots=True)
class Mount:
    """`prefixes` are the path beginnings whose unknown paths and oversized bodies are answered by `errors`."""

    dialect: str
    routes: Sequence[Route] = ()
    rpc: RpcBinder | None = None
    prefixes: Sequence[str] = ()
    errors: Callable[[QuintetError, str], Response] | None = None
    coverage: Callable[[], Coverage] | None = None
