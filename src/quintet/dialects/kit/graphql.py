"""Binds resolvers to a given GraphQL schema and serves it over HTTP.

The SDL is the contract: a resolver for a field that it lacks stops the import, a root field without a resolver
answers "not implemented". Documents are parsed and validated once and kept; sizes are checked before anything
runs; errors of the family get the dialect's words, anything else is logged and masked.
"""

from __future__ import annotations

import inspect
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple, TypeVar

import msgspec
from aiodataloader import DataLoader
from ariadne import EnumType, ObjectType, ScalarType, UnionType, make_executable_schema
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationType,
    VariablesInAllowedPositionRule,
    build_schema,
    execute,
    get_operation_ast,
    parse,
    specified_rules,
    validate,
)
from starlette.requests import Request
from starlette.responses import Response

from quintet.app.context import Ctx, ReadTx
from quintet.app.core import Core
from quintet.dialects.kit.call import Authenticate, Call
from quintet.dialects.kit.errors import BodyTooLarge, as_family
from quintet.dialects.kit.graphql_http import GraphqlRequest, UploadedFile, read_request
from quintet.dialects.kit.graphql_limits import Limits, check
from quintet.dialects.kit.graphql_schema import composite_fields, widen_integers
from quintet.dialects.kit.rest import Coverage, Route
from quintet.domain.errors import Invalid, QuintetError, Unauthenticated, Unsupported

__all__ = ["GraphqlBinder", "GraphqlRequest", "Limits", "UploadedFile", "load"]

KEPT_DOCUMENTS = 512
"""Clients send few texts again and again; each costs some 50 KB parsed, so this bounds it at about 25 MB."""

LOAD_AT_ONCE = 500
"""Ids per query of a loader, below SQLite's limit of parameters in one statement."""

RULES = tuple(rule for rule in specified_rules if rule is not VariablesInAllowedPositionRule)
"""One rule fewer than the specification: a published client passes nullable variables where values are required.
What a variable holds is checked when it is used in any case."""

K = TypeVar("K")
V = TypeVar("V")
H = TypeVar("H", bound=Callable[..., Any])
log = logging.getLogger("quintet.dialects.graphql")


async def load(call: Call, get_many: Callable[[Ctx[ReadTx], Sequence[K]], Mapping[K, V]], key: K) -> V | None:
    """One of many things by id. Whatever is asked of the same `get_many` at the same time is read in one go.

    `get_many` is a use case that answers with what it found, by id; what is missing becomes None.
    """
    loaders: dict[Any, DataLoader[K, V | None]] = _loaders(call.request)
    loader = loaders.get(get_many)
    if loader is None:

        async def batch(keys: list[K]) -> list[V | None]:
            found = await call.read(get_many, keys)
            return [found.get(one) for one in keys]

        loader = loaders[get_many] = DataLoader(batch, max_batch_size=LOAD_AT_ONCE)
    return await loader.load(key)


def _loaders(request: Request) -> dict[Any, Any]:
    if not hasattr(request.state, "loaders"):
        request.state.loaders = {}
    loaders: dict[Any, Any] = request.state.loaders
    return loaders


class _Parsed(NamedTuple):
    document: DocumentNode | None
    errors: list[GraphQLError]


class GraphqlBinder:
    """Resolvers of one dialect.

    message: the dialect's words for an error; `extensions.code` carries its code.
    """

    def __init__(
        self,
        sdl: str,
        *,
        authenticate: Authenticate,
        message: Callable[[QuintetError], str],
        limits: Limits | None = None,
    ) -> None:
        self.sdl = sdl
        self.limits = limits or Limits()
        self._authenticate = authenticate
        self._message = message
        self._contract = build_schema(sdl)
        self._objects: dict[str, ObjectType] = {}
        self._others: list[ScalarType | UnionType | EnumType] = []
        self._bound: set[tuple[str, str]] = set()
        self._documents: OrderedDict[str, _Parsed] = OrderedDict()
        self._schema: GraphQLSchema | None = None
        self._composites: dict[tuple[str, str], str] = {}

    # -- binding ----------------------------------------------------------------------------------------------

    def query(self, name: str) -> Callable[[H], H]:
        """Binds `async def r(call, obj, **arguments)` to a root field; `obj` is None there."""
        return self.field(self._root(OperationType.QUERY), name)

    def mutation(self, name: str) -> Callable[[H], H]:
        """As `query`. What loaders remember is dropped afterwards, since the mutation may have changed it."""
        return self.field(self._root(OperationType.MUTATION), name)

    def field(self, type_name: str, name: str) -> Callable[[H], H]:
        """Binds a resolver to a field of a type; without one, a field is the key or attribute of that name.

        A plain function does where nothing is awaited. LookupError for a field that the contract lacks,
        ValueError for one that is bound already.
        """

        def bind(resolver: H) -> H:
            kind = self._contract.type_map.get(type_name)
            if not isinstance(kind, GraphQLObjectType) or name not in kind.fields:
                raise LookupError(f"the contract has no field {type_name}.{name}")
            if (type_name, name) in self._bound:
                raise ValueError(f"{type_name}.{name} is bound already")
            self._bound.add((type_name, name))
            changes = kind is self._contract.mutation_type
            self._object(type_name).set_field(name, _wrapped(resolver, changes))
            self._schema = None
            return resolver

        return bind

    def scalar(
        self,
        name: str,
        *,
        serialize: Callable[[Any], Any] | None = None,
        parse: Callable[[Any], Any] | None = None,
    ) -> None:
        """How a scalar leaves and enters; `parse` may raise Invalid, whose text is shown."""
        self._known(name)
        self._others.append(ScalarType(name, serializer=serialize, value_parser=_readable(parse) if parse else None))

    def union(self, name: str, type_of: Callable[[Any], str]) -> None:
        """Which type of a union an object is; without this, its key or attribute `__typename` says so."""
        self._known(name)
        self._others.append(UnionType(name, lambda obj, *_: type_of(obj)))

    def enum(self, name: str, values: Mapping[str, Any] | type[Enum]) -> None:
        """What the names of an enum stand for in Python; without this, they stand for themselves."""
        self._known(name)
        self._others.append(EnumType(name, values if isinstance(values, type) else dict(values)))

    def coverage(self) -> Coverage:
        """Root fields as operations: `query useCases`, `mutation createMetric`."""
        names = {(root, name): f"{verb} {name}" for verb, root, name in self._operations()}
        unbound = sorted(text for key, text in names.items() if key not in self._bound)
        return Coverage(operations=len(names), bound=len(names) - len(unbound), unbound=unbound)

    def build(self) -> GraphQLSchema:
        """The executable schema; made once, after the last resolver was bound."""
        if self._schema is None:
            for _, root, name in self._operations():
                if (root, name) not in self._bound:
                    self._object(root).set_field(name, _not_served(name))
            schema = make_executable_schema(self.sdl, *self._objects.values(), *self._others)
            widen_integers(schema)
            self._composites = composite_fields(schema)
            self._documents.clear()
            self._schema = schema
        return self._schema

    def routes(self, path: str) -> list[Route]:
        """The one route of the endpoint, for the server's router; builds the schema."""
        self.build()
        return [Route("POST", path, self.handle)]

    # -- serving ----------------------------------------------------------------------------------------------

    async def handle(self, request: Request, core: Core, request_id: str, _params: Mapping[str, str]) -> Response:
        """Answers one request: status 200 whatever the operation did, except for bad keys and broken requests."""
        try:
            actor = await self._authenticate(request, core)
            async with read_request(request, self.limits) as asked:
                call = Call(core, actor, request, request_id, body=asked)
                return _answer(200, await self._run(call, asked))
        except Exception as error:
            shown = as_family(error, request_id)
            return _answer(_status(shown), {"errors": [self._entry(shown)]})

    async def _run(self, call: Call, asked: GraphqlRequest) -> dict[str, Any]:
        schema = self.build()
        parsed = self._parsed(schema, asked.query)
        if parsed.document is None or parsed.errors:
            return {"errors": [self._formatted(error, call.request_id) for error in parsed.errors]}
        variables = asked.variables or {}
        operation = get_operation_ast(parsed.document, asked.operation_name)
        if operation is not None and (root := schema.get_root_type(operation.operation)) is not None:
            try:
                check(parsed.document, operation, root.name, variables, self.limits, self._composites)
            except QuintetError as error:
                return {"errors": [self._entry(error)]}
        running = execute(
            schema,
            parsed.document,
            context_value=call,
            variable_values=variables,
            operation_name=asked.operation_name,
        )
        result = running if isinstance(running, ExecutionResult) else await running
        answer: dict[str, Any] = {"data": result.data}
        if result.errors:
            answer["errors"] = [self._formatted(error, call.request_id) for error in result.errors]
        return answer

    def _parsed(self, schema: GraphQLSchema, text: str) -> _Parsed:
        known = self._documents.get(text)
        if known is not None:
            self._documents.move_to_end(text)
            return known
        try:
            document = parse(text, max_tokens=self.limits.tokens)
            parsed = _Parsed(document, validate(schema, document, RULES, max_errors=20))
        except GraphQLError as error:
            parsed = _Parsed(None, [error])
        except RecursionError:
            parsed = _Parsed(None, [GraphQLError("the document is nested too deeply")])
        if parsed.document is not None and not parsed.errors:
            self._documents[text] = parsed
            if len(self._documents) > KEPT_DOCUMENTS:
                self._documents.popitem(last=False)
        return parsed

    def _formatted(self, error: GraphQLError, request_id: str) -> dict[str, Any]:
        """An error as an entry of the answer: the family in the dialect's words, GraphQL's own as they are."""
        entry: dict[str, Any] = dict(error.formatted)
        cause: BaseException | None = error
        while isinstance(cause, GraphQLError):
            cause = cause.original_error
        if cause is None:
            entry["extensions"] = {"code": Invalid.code}
            return entry
        return {**entry, **self._entry(as_family(cause, request_id))}

    def _entry(self, error: QuintetError) -> dict[str, Any]:
        extensions = {"code": error.code, **({"field": error.field} if error.field else {})}
        return {"message": self._message(error), "extensions": extensions}

    # -- the contract -----------------------------------------------------------------------------------------

    def _root(self, operation: OperationType) -> str:
        kind = self._contract.get_root_type(operation)
        if kind is None:
            raise LookupError(f"the contract has no {operation.value}")
        return kind.name

    def _operations(self) -> list[tuple[str, str, str]]:
        """(verb, root type, field) of every root field."""
        roots = [(one.value, self._contract.get_root_type(one)) for one in OperationType]
        return [(verb, kind.name, name) for verb, kind in roots if kind is not None for name in kind.fields]

    def _object(self, name: str) -> ObjectType:
        return self._objects.setdefault(name, ObjectType(name))

    def _known(self, name: str) -> None:
        if name not in self._contract.type_map:
            raise LookupError(f"the contract has no type {name}")
        self._schema = None


def _wrapped(resolver: Callable[..., Any], changes: bool) -> Callable[..., Any]:
    """From graphql-core's (obj, info, ...) to ours; errors are formatted after the run, not here."""
    if not inspect.iscoroutinefunction(resolver):
        return lambda obj, info, **arguments: resolver(info.context, obj, **arguments)
    awaited: Callable[..., Awaitable[Any]] = resolver

    async def resolve(obj: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        try:
            return await awaited(info.context, obj, **arguments)
        finally:
            if changes:
                _loaders(info.context.request).clear()

    return resolve


def _not_served(name: str) -> Callable[..., Any]:
    def resolve(_obj: Any, _info: GraphQLResolveInfo[Any], **_arguments: Any) -> Any:
        raise Unsupported(f"{name} is not implemented", operation=name)

    return resolve


def _readable(parse_value: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """graphql-core shows the text of GraphQLError only; Invalid is meant to be shown as well."""

    def parse_shown(value: Any) -> Any:
        try:
            return parse_value(value)
        except Invalid as error:
            raise GraphQLError(error.message) from error

    return parse_shown


def _status(error: QuintetError) -> int:
    """For what went wrong before there was an operation to answer."""
    if isinstance(error, Unauthenticated):
        return 401
    if isinstance(error, BodyTooLarge):
        return 413
    return 400 if isinstance(error, Invalid) else 200


def _answer(status: int, body: Mapping[str, Any]) -> Response:
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json")
