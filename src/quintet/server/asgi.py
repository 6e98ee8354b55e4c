"""The ASGI application: request id, dispatch, metrics, and a lifespan that finishes what it has accepted."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from quintet import __version__
from quintet.app.core import Core
from quintet.dialects.kit.body import SERVER_LIMIT
from quintet.dialects.kit.errors import as_family
from quintet.dialects.kit.mount import Mount
from quintet.dialects.kit.rest import RouteHandler
from quintet.dialects.kit.trie import Match, MethodNotAllowed, Trie
from quintet.domain.errors import NotFound, QuintetError, Unsupported
from quintet.domain.ids import new_id

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
log = logging.getLogger("quintet.http")

GZIP_FROM = 1_400
"""Bytes from which a reply is compressed: below, it fits into one packet anyway."""

GZIP_LEVEL = 3
"""Close to the size of level 6 on JSON for a third of the time."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Metrics:
    """What `/metrics` shows."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "quintet_requests", "Answered requests", ["dialect", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "quintet_request_seconds", "Time to the end of the answer", ["dialect"], registry=self.registry
        )
        self.in_flight = Gauge("quintet_requests_in_flight", "Requests being answered", registry=self.registry)


class Application:
    """Dispatch over the mounts of all dialects: RPC names by dict, everything else by a trie."""

    def __init__(self, core: Core, mounts: Sequence[Mount]) -> None:
        self.core = core
        self.mounts = mounts
        self._body_limit = int(core.ports.settings.get("body_limit", sys.maxsize))
        self.metrics = Metrics()
        self._rpc = [m for m in mounts if m.rpc is not None]
        self._trie: Trie[tuple[str, RouteHandler]] = Trie()
        for mount in mounts:
            for method, path, handle in mount.routes:
                self._trie.add(method, path, (mount.dialect, handle))
        for path, own in (("/health", self._health), ("/metrics", self._show_metrics)):
            self._trie.add("GET", path, ("server", own))
        self._prefixes = sorted(((p, m) for m in mounts for p in m.prefixes), key=lambda pm: -len(pm[0]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        scope[SERVER_LIMIT] = self._body_limit
        given = request.headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else new_id()
        status = 500
        started = time.perf_counter()

        async def send_with_id(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        dialect, response = "server", None
        self.metrics.in_flight.inc()
        try:
            dialect, response = await self._respond(request, request_id)
            await response(scope, receive, send_with_id)
        finally:
            self.metrics.in_flight.dec()
            self.metrics.requests.labels(dialect, str(status)).inc()
            self.metrics.seconds.labels(dialect).observe(time.perf_counter() - started)

    async def _respond(self, request: Request, request_id: str) -> tuple[str, Response]:
        raw = request.scope.get("raw_path") or request.scope["path"].encode()
        path = raw.decode("latin-1").partition("?")[0]
        try:
            return await self._dispatch(request, request_id, path)
        except Exception as error:
            # Binders answer for their handlers; what comes here is a fault between them and the router.
            return self._failed(path, request_id, as_family(error, request_id), 500)

    async def _dispatch(self, request: Request, request_id: str, path: str) -> tuple[str, Response]:
        found = self._trie.match(request.method, path)
        if isinstance(found, Match):
            dialect, handle = found.handler
            return dialect, await handle(request, self.core, request_id, found.params)
        for mount in self._rpc:
            if mount.rpc is not None and mount.rpc.owns(path):
                return mount.dialect, await mount.rpc.handle(request, self.core, request_id, path)
        if isinstance(found, MethodNotAllowed):
            error: QuintetError = Unsupported(f"{request.method} is not possible here; use {', '.join(found.allowed)}")
            return self._failed(path, request_id, error, 405)
        return self._failed(path, request_id, NotFound(f"there is nothing at {path}"), 404)

    def _failed(self, path: str, request_id: str, error: QuintetError, status: int) -> tuple[str, Response]:
        for prefix, mount in self._prefixes:
            if path.startswith(prefix) and mount.errors is not None:
                response = mount.errors(error, request_id)
                response.status_code = status
                return mount.dialect, response
        body = {"error": error.message, "request_id": request_id}
        return "server", JSONResponse(body, status_code=status)

    async def _health(self, request: Request, core: Core, request_id: str, params: dict[str, str]) -> Response:
        try:
            await core.db.aread(lambda tx: None)
        except Exception as error:
            failure = as_family(error, request_id)
            return JSONResponse({"status": "unavailable", "reason": failure.message}, status_code=503)
        return JSONResponse({"status": "OK", "version": __version__})

    async def _show_metrics(self, request: Request, core: Core, request_id: str, params: dict[str, str]) -> Response:
        return PlainTextResponse(generate_latest(self.metrics.registry), media_type="text/plain; version=0.0.4")


class Lifespan:
    """Wraps the application with what runs beside it; on shutdown it closes the parts in order."""

    def __init__(
        self, app: Application, startup: Callable[[], Awaitable[None]], shutdown: Callable[[], Awaitable[None]]
    ) -> None:
        self.application = app
        self._app: Any = GZipMiddleware(app, minimum_size=GZIP_FROM, compresslevel=GZIP_LEVEL)
        self._startup = startup
        self._shutdown = shutdown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._app(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._startup()
        except Exception as error:
            log.exception("start-up failed")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._shutdown()
        await send({"type": "lifespan.shutdown.complete"})
