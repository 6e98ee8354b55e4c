"""Binds handlers to the operations of a REST contract, by id, and serves what is left as "not implemented".

A handler that names no operation stops the import, so a contract and its code cannot drift apart unseen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from quintet.app.core import Core
from quintet.dialects.kit.body import DEFAULT_LIMIT, decode_json, read_body
from quintet.dialects.kit.call import ANONYMOUS, Authenticate, Call
from quintet.dialects.kit.errors import as_family
from quintet.dialects.kit.query import Param, decode_query
from quintet.domain.errors import Invalid, QuintetError, Unsupported

__all__ = ["Coverage", "Handler", "Operation", "Param", "RestBinder", "RestContract", "Route", "RouteHandler"]

Handler = Callable[[Call], Awaitable[object]]
RouteHandler = Callable[[Request, Core, str, dict[str, str]], Awaitable[Response]]
ShowError = Callable[[QuintetError, str], Response]
"""A dialect's own shape of an error; the second argument is the request id."""

H = TypeVar("H", bound=Handler)


class Route(NamedTuple):
    """For the server's router: `handle(request, core, request_id, path_params)` never raises an error."""

    method: str
    path: str
    handle: RouteHandler


class Coverage(TypedDict):
    """What of a contract is served; goes into `coverage.json`."""

    operations: int
    bound: int
    unbound: list[str]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a contract. `aliases` are further (method, path) pairs that reach it."""

    id: str
    method: str
    path: str
    summary: str = ""
    query: tuple[Param, ...] = ()
    body_required: bool = False
    aliases: tuple[tuple[str, str], ...] = ()


class RestContract:
    """Operations by id; ids are unique (ValueError otherwise)."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self.operations: dict[str, Operation] = {}
        for operation in operations:
            if operation.id in self.operations:
                raise ValueError(f"the operation {operation.id} occurs twice")
            self.operations[operation.id] = operation

    def extended(self, operations: Iterable[Operation]) -> RestContract:
        """This contract and further operations, e.g. routes that clients call and the document leaves out."""
        return RestContract([*self.operations.values(), *operations])


@dataclass(frozen=True, slots=True)
class _Bound:
    handler: Handler
    body: Any
    public: bool
    raw: bool
    status: int
    comma: bool
    limit: int


class RestBinder:
    """Handlers of one dialect. `errors` gives every error its shape; `authenticate` finds the actor.

    `encode` turns what a handler returns into JSON, when it is not a Response already.
    """

    def __init__(
        self,
        dialect: str,
        contract: RestContract,
        *,
        errors: ShowError,
        authenticate: Authenticate,
        body_limit: int = DEFAULT_LIMIT,
        encode: Callable[[object], bytes] = msgspec.json.encode,
    ) -> None:
        self.dialect = dialect
        self.contract = contract
        self.errors = errors
        self._authenticate = authenticate
        self._limit = body_limit
        self._encode = encode
        self._bound: dict[str, _Bound] = {}
        self._aliases: dict[str, list[tuple[str, str]]] = {}

    def op(
        self,
        *ids: str,
        body: Any = None,
        public: bool = False,
        raw: bool = False,
        status: int = 200,
        comma: bool = False,
        limit: int | None = None,
        aliases: Iterable[str] = (),
    ) -> Callable[[H], H]:
        """Binds `async def h(call) -> Response | object` to one or several operations.

        body: the type to decode JSON into (`call.body`); without it the body is left unread.
        public: no key is asked for and the actor is ANONYMOUS.
        raw: the body is left to the handler (uploads, forms), which reads `call.request`.
        status: of the answer when the handler returns data; None as data gives an empty body.
        comma: arrays in the query may be joined by commas.
        limit: bytes of body, when other than the binder's.
        aliases: more routes to the same handler, as "METHOD /path".

        LookupError for an id that the contract lacks, ValueError for one that is bound already.
        """

        def bind(handler: H) -> H:
            for ident in ids:
                if ident not in self.contract.operations:
                    raise LookupError(f"{self.dialect}: the contract has no operation {ident!r}")
                if ident in self._bound:
                    raise ValueError(f"{self.dialect}: {ident!r} is bound already")
                size = self._limit if limit is None else limit
                self._bound[ident] = _Bound(handler, None if raw else body, public, raw, status, comma, size)
                for alias in aliases:
                    method, _, path = alias.partition(" ")
                    self._aliases.setdefault(ident, []).append((method, path))
            return handler

        return bind

    def coverage(self) -> Coverage:
        """How much of the contract is bound, and what is not, sorted."""
        unbound = sorted(set(self.contract.operations) - set(self._bound))
        return Coverage(operations=len(self.contract.operations), bound=len(self._bound), unbound=unbound)

    def routes(self) -> list[Route]:
        """Every operation of the contract and every alias, bound or not, for the server's router."""
        routes: list[Route] = []
        for operation in self.contract.operations.values():
            handle = self._route(operation)
            ways = [(operation.method, operation.path), *operation.aliases, *self._aliases.get(operation.id, ())]
            routes += [Route(method, path, handle) for method, path in ways]
        return routes

    def _route(self, operation: Operation) -> RouteHandler:
        bound = self._bound.get(operation.id)

        async def handle(request: Request, core: Core, request_id: str, params: dict[str, str]) -> Response:
            try:
                return await self._serve(operation, bound, request, core, request_id, params)
            except Exception as error:
                return self.errors(as_family(error, request_id), request_id)

        return handle

    async def _serve(
        self,
        operation: Operation,
        bound: _Bound | None,
        request: Request,
        core: Core,
        request_id: str,
        params: dict[str, str],
    ) -> Response:
        public = bound is not None and bound.public
        actor = ANONYMOUS if public else await self._authenticate(request, core)
        if bound is None:
            raise Unsupported(f"{operation.method} {operation.path} is not implemented", operation=operation.id)
        call = Call(core, actor, request, request_id, params)
        if operation.query:
            call.query = decode_query(request.query_params, operation.query, comma=bound.comma)
        if bound.body is not None:
            call.body = await self._body(operation, bound, request)
        result = await bound.handler(call)
        if isinstance(result, Response):
            return result
        if result is None:
            return Response(status_code=bound.status)
        return Response(self._encode(result), status_code=bound.status, media_type="application/json")

    async def _body(self, operation: Operation, bound: _Bound, request: Request) -> Any:
        raw = await read_body(request, bound.limit)
        if raw:
            return decode_json(raw, bound.body)
        if operation.body_required:
            raise Invalid("a JSON body is required", field="body")
        # No body is the same as one without fields: missing required ones are then named as such.
        return decode_json(b"{}", bound.body)
