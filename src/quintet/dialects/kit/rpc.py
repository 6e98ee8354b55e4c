"""Binds handlers to the endpoints of an RPC contract: `/v2.23/tasks.create`, answered in an envelope.

Versions: a handler says from which version on it serves; a request is answered by the newest handler that is not
newer than the version it asks for, so a version from the future is never refused. The envelope is the dialect's:
`respond` and `fail` make it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from quintet.app.core import Core
from quintet.dialects.kit.body import DEFAULT_LIMIT, convert, decode_json, decode_json_lines, read_body, read_form
from quintet.dialects.kit.call import ANONYMOUS, Authenticate, Call
from quintet.dialects.kit.errors import EncodedBody, as_family
from quintet.dialects.kit.rest import Coverage
from quintet.domain.errors import Invalid, NotFound, QuintetError, Unauthenticated, Unsupported
from quintet.domain.identity import Actor

AuthMode = Literal["required", "none", "optional"]
Content = Literal["json", "json-lines", "bytes"]
Version = tuple[int, ...]

METHODS = ("GET", "POST", "PUT")
"""All three mean the same; clients send a JSON body with GET too."""

_PATH = re.compile(r"/(?:v(?P<version>\d{1,4}(?:\.\d{1,4})?)/)?(?P<name>[a-z_]+\.[a-z0-9_]+)/?")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_DECIMAL = re.compile(r"-?[0-9]+\.[0-9]+")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of the contract. `versions` ascend; `roles` is empty where every role may call it."""

    name: str
    versions: tuple[str, ...]
    auth: AuthMode = "required"
    roles: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    request: Mapping[str, str] = field(default_factory=dict)
    response: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class CallInfo:
    """What an envelope tells of its call. `requested` and `actual` are versions as written, e.g. "2.23".

    Handlers find it as `call.request.state.rpc`.
    """

    request: Request
    core: Core
    request_id: str
    name: str
    requested: str
    actual: str = ""
    endpoint: Endpoint | None = None
    actor: Actor | None = None


RpcHandler = Callable[[Call], Awaitable[object]]
H = TypeVar("H", bound=RpcHandler)


class Bound(NamedTuple):
    """A handler with the version from which on it serves."""

    version: Version
    version_text: str
    handler: RpcHandler
    body: Any
    content: Content
    limit: int


class RpcBinder:
    """Handlers of one RPC dialect. `newest` is the version meant where a path names none."""

    def __init__(
        self,
        dialect: str,
        endpoints: Iterable[Endpoint],
        *,
        newest: str,
        authenticate: Authenticate,
        respond: Callable[[CallInfo, object], Response],
        fail: Callable[[CallInfo, QuintetError], Response],
        body_limit: int = DEFAULT_LIMIT,
    ) -> None:
        self.dialect = dialect
        self.endpoints = {endpoint.name: endpoint for endpoint in endpoints}
        self.services = frozenset(name.partition(".")[0] for name in self.endpoints)
        self.newest = newest
        self._authenticate = authenticate
        self._respond = respond
        self._fail = fail
        self._limit = body_limit
        self._bound: dict[str, list[Bound]] = {}

    def endpoint(
        self,
        name: str,
        *,
        min_version: str = "1.0",
        body: Any = dict,
        content: Content = "json",
        limit: int | None = None,
    ) -> Callable[[H], H]:
        """Binds `async def h(call) -> data | Response`; `call.body` is `body`, or a list of it for json-lines.

        For `bytes` it is the body as it came, for handlers that decode better than in general.

        LookupError for a name that the contract lacks, ValueError for a version that is bound already.
        """

        def bind(handler: H) -> H:
            if name not in self.endpoints:
                raise LookupError(f"{self.dialect}: the contract has no endpoint {name!r}")
            version = parse_version(min_version)
            known = self._bound.setdefault(name, [])
            if any(other.version == version for other in known):
                raise ValueError(f"{self.dialect}: {name} {min_version} is bound already")
            size = self._limit if limit is None else limit
            known.append(Bound(version, min_version, handler, body, content, size))
            known.sort(key=lambda bound: bound.version, reverse=True)
            return handler

        return bind

    def find(self, name: str, requested: str | None) -> tuple[Endpoint, Bound | None]:
        """The endpoint and the handler for a version; None for one that is known and not served.

        NotFound (kind `endpoint`) for an unknown name, and for one that the version asked for does not have yet.
        """
        endpoint = self.endpoints.get(name)
        if endpoint is None:
            raise _unknown(name, requested or self.newest)
        bounds = self._bound.get(name)
        if not bounds:
            return endpoint, None
        version = parse_version(requested or self.newest)
        for bound in bounds:
            if bound.version <= version:
                return endpoint, bound
        raise _unknown(name, requested or self.newest)

    def owns(self, path: str) -> bool:
        """Whether a path is one of this dialect's: `/v2.23/a.b` always, `/a.b` where the service is known."""
        found = _PATH.fullmatch(path)
        if found is None:
            return False
        return "." in (found["version"] or "") or found["name"].partition(".")[0] in self.services

    def coverage(self) -> Coverage:
        unbound = sorted(set(self.endpoints) - set(self._bound))
        return Coverage(operations=len(self.endpoints), bound=len(self._bound), unbound=unbound)

    async def handle(self, request: Request, core: Core, request_id: str, path: str) -> Response:
        """Serves a path that `owns` accepts; errors are answered, never raised."""
        found = _PATH.fullmatch(path)
        name = found["name"] if found else path.strip("/")
        info = CallInfo(request, core, request_id, name, (found["version"] if found else None) or self.newest)
        try:
            return await self._serve(info)
        except Exception as error:
            return self._fail(info, as_family(error, request_id))

    async def _serve(self, info: CallInfo) -> Response:
        request = info.request
        if request.method == "OPTIONS":
            return Response(headers={"allow": ", ".join((*METHODS, "OPTIONS"))})
        if request.method not in METHODS:
            raise Unsupported(f"{request.method} is not served; use GET or POST", operation=info.name)
        info.endpoint, bound = self.find(info.name, info.requested)
        info.actual = bound.version_text if bound else info.endpoint.versions[-1]
        info.actor = await self._actor(info.endpoint, request, info.core)
        if bound is None:
            raise Unsupported(f"{info.name} is not implemented", operation=info.name)
        request.state.rpc = info
        call = Call(info.core, info.actor, request, info.request_id)
        call.body = await _body(bound, request)
        result = await bound.handler(call)
        return result if isinstance(result, Response) else self._respond(info, result)

    async def _actor(self, endpoint: Endpoint, request: Request, core: Core) -> Actor:
        if endpoint.auth == "none":
            return ANONYMOUS
        try:
            return await self._authenticate(request, core)
        except Unauthenticated:
            if endpoint.auth == "optional":
                return ANONYMOUS
            raise


def parse_version(text: str) -> Version:
    """`2.23` as (2, 23). Invalid for anything else."""
    parts = text.split(".")
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise Invalid(f"'{text[:20]}' is not a version", field="version")
    return tuple(int(part) for part in parts)


def nested(pairs: Iterable[tuple[str, str]], *, typed: bool) -> dict[str, Any]:
    """Query or form pairs as a document: `a.b=1` nests, `x[]=1` and repeated names are lists.

    typed: read `true`, `12` and `1.5` as what they look like, for bodies without a declared type.
    """
    gathered: dict[str, list[Any]] = {}
    lists: set[str] = set()
    for name, text in pairs:
        key = name.removesuffix("[]")
        if key != name:
            lists.add(key)
        gathered.setdefault(key, []).append(_typed(text) if typed else text)
    document: dict[str, Any] = {}
    for key, values in gathered.items():
        *parents, last = key.split(".")
        place = document
        for parent in parents:
            below = place.setdefault(parent, {})
            if not isinstance(below, dict):
                raise Invalid("the parameter is given as a value and as a group", field=key)
            place = below
        place[last] = values if key in lists or len(values) > 1 else values[0]
    return document


async def _body(bound: Bound, request: Request) -> Any:
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise EncodedBody("a body with a content encoding is not read", field="body")
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    pairs = list(request.query_params.multi_items())
    if media in ("application/x-www-form-urlencoded", "multipart/form-data"):
        async with read_form(request, bound.limit) as form:
            pairs += [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
        raw = b""
    else:
        raw = (await read_body(request, bound.limit)).strip()
    if bound.content == "bytes":
        return raw
    if bound.content == "json-lines":
        return decode_json_lines(raw, bound.body)
    if not pairs:
        return decode_json(raw or b"{}", bound.body)
    given = nested(pairs, typed=bound.body is dict)
    document = {**given, **(decode_json(raw, dict) if raw else {})}
    # Parameters are text, so "12" must do for an integer wherever they were merged in.
    return document if bound.body is dict else convert(document, bound.body, strict=False)


def _typed(text: str) -> object:
    lowered = text.lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text


def _unknown(name: str, version: str) -> NotFound:
    return NotFound(
        f"Unable to find endpoint for name {name} and version {version}", kind="endpoint", id=name, version=version
    )
