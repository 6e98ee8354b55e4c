"""The run's connection to the server, on the standard library: a user's recipe needs no other package.

Connections are kept, one a thread. A call that may be repeated without harm is, for up to `PATIENCE` seconds,
so that a training outlives a restart of the server.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar, cast
from urllib.parse import quote, urlsplit

from quintet.domain import errors
from quintet.recipes.client import Json

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds of trying again. A restart takes a few; beyond half a minute an operator wants to see the failure."""

TIMEOUT = 60.0
"""Seconds that an answer may take; completions get `SLOW_TIMEOUT`, since a model on a CPU may write for minutes."""

SLOW_TIMEOUT = 600.0

COPY_BYTES = 1 << 20
"""Piece of a file held in memory at once."""

_RETRIED_STATUS = (502, 503, 504)
_BY_CODE = {kind.code: kind for kind in errors.FAMILY}
_BY_STATUS: dict[int, type[errors.QuintetError]] = {
    400: errors.Invalid,
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    422: errors.Invalid,
    429: errors.Quota,
    501: errors.Unsupported,
}


class HttpRunClient:
    """`RunClient` over HTTP. `url` is the server's, `token` the run's own."""

    def __init__(
        self, url: str, token: str, *, sleep: Callable[[float], None] = time.sleep, patience: float = PATIENCE
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise errors.Invalid(f"QUINTET_URL is no http address: {url!r}", field="QUINTET_URL")
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/") + "/runner/v1"
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._sleep, self._patience = sleep, patience
        self._local = threading.local()

    @classmethod
    def from_env(cls) -> HttpRunClient:
        """The client that a worker's environment describes; Invalid if it describes none."""
        missing = [name for name in ("QUINTET_URL", "QUINTET_RUN_TOKEN") if not os.environ.get(name)]
        if missing:
            raise errors.Invalid(
                f"{' and '.join(missing)} not set: a recipe is started by a worker, which sets them", field=missing[0]
            )
        return cls(os.environ["QUINTET_URL"], os.environ["QUINTET_RUN_TOKEN"])

    def run(self) -> Json:
        return self._json("GET", "/run")

    def progress(self, stages: Sequence[Json], progress: float | None) -> None:
        self._json("POST", "/progress", {"stages": list(stages), "progress": progress})

    def metrics(self, points: Sequence[Json]) -> None:
        self._json("POST", "/metrics", {"points": list(points)})

    def put_file(self, path: str, source: Path) -> Json:
        def send() -> Json:
            with source.open("rb") as body:
                headers = {"Content-Length": str(source.stat().st_size), "Content-Type": "application/octet-stream"}
                return cast(Json, self._once("PUT", f"/blobs/{quote(path)}", body, headers))

        return self._repeat(send)

    def get_file(self, path: str, target: Path) -> None:
        self._download(f"/blobs/{quote(path)}", target)

    def artifact(self, body: Json) -> None:
        self._json("POST", "/artifacts", body)

    def checkpoint(self, body: Json) -> None:
        self._json("POST", "/checkpoints", body)

    def register_model(self, body: Json) -> Json:
        # Sent once more only if it never arrived: two arrivals would make two versions.
        return self._json("POST", "/models", body, repeatable=False)

    def model(self, ref: str, version: int | None = None) -> Json:
        return self._json("GET", f"/models/{quote(ref, safe='')}{_version(version)}")

    def model_file(self, ref: str, version: int | None, path: str, target: Path) -> None:
        self._download(f"/models/{quote(ref, safe='')}/files/{quote(path)}{_version(version)}", target)

    def dataset_rows(self, ref: str, start: int, limit: int) -> Json:
        return self._json("GET", f"/datasets/{quote(ref, safe='')}/rows?start={start}&limit={limit}")

    def complete(self, body: Json) -> Json:
        return self._json("POST", "/complete", body, timeout=SLOW_TIMEOUT)

    def scores(self, body: Json) -> None:
        self._json("POST", "/scores", body)

    def result(self, result: Mapping[str, Any]) -> None:
        self._json("POST", "/result", {"result": dict(result)})

    def _json(
        self, method: str, path: str, body: Json | None = None, *, repeatable: bool = True, timeout: float = TIMEOUT
    ) -> Json:
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}

        def send() -> Json:
            # A kept connection may have died unseen; what must not be sent twice goes over a fresh one.
            if not repeatable:
                self._close()
            return cast(Json, self._once(method, path, data, headers, timeout))

        return self._repeat(send, repeatable=repeatable)

    def _download(self, path: str, target: Path) -> None:
        def fetch() -> None:
            part = target.with_name(target.name + ".part")
            part.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as sink:
                self._once("GET", path, None, {}, sink=sink)
            part.replace(target)

        self._repeat(fetch)

    def _repeat(self, send: Callable[[], T], *, repeatable: bool = True) -> T:
        waited, pause = 0.0, 0.2
        while True:
            try:
                return send()
            except errors.Unavailable as error:
                never_arrived = bool(error.data.get("never_arrived"))
                if waited >= self._patience or not (repeatable or never_arrived):
                    raise
            # Some spread, since all runs of a restarted server would else come back at the same moment.
            wait = pause * random.uniform(0.7, 1.3)  # noqa: S311 - no secret
            self._sleep(wait)
            waited, pause = waited + wait, min(pause * 2, 5.0)

    def _once(
        self,
        method: str,
        path: str,
        body: bytes | IO[bytes] | None,
        headers: Mapping[str, str],
        timeout: float = TIMEOUT,
        sink: IO[bytes] | None = None,
    ) -> Any:
        connection = self._connection(timeout)
        try:
            if connection.sock is None:
                connection.connect()
        except OSError as error:
            self._close()
            raise errors.Unavailable(
                f"{self._host} does not answer: {error or type(error).__name__}", never_arrived=True
            ) from error
        try:
            assert connection.sock is not None
            connection.sock.settimeout(timeout)
            connection.request(method, self._prefix + path, body, {**self._headers, **headers})
            response = connection.getresponse()
            if response.status < 300 and sink is not None:
                shutil.copyfileobj(response, sink, COPY_BYTES)
                if response.length:
                    raise http.client.IncompleteRead(b"", response.length)
                return None
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._close()
            raise errors.Unavailable(f"{method} {path} broke off: {error or type(error).__name__}") from error
        if response.status >= 300:
            raise _error(response.status, data, f"{method} {path}")
        return json.loads(data) if data else {}

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            connection = kind(self._host, self._port, timeout=timeout, blocksize=COPY_BYTES)
            self._local.connection = connection
        return connection

    def _close(self) -> None:
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None


def _version(version: int | None) -> str:
    return "" if version is None else f"?version={version}"


def _error(status: int, data: bytes, call: str) -> errors.QuintetError:
    """The server's error as one of the family, with its own text if it sent any."""
    try:
        sent = json.loads(data)["error"]
        code, message, field = sent.get("code"), str(sent["message"]), sent.get("field")
    except (ValueError, KeyError, TypeError, AttributeError):
        code, message, field = None, f"{call}: the server answered {status}", None
    if status in _RETRIED_STATUS:
        return errors.Unavailable(message, field=field, status=status)
    kind = _BY_CODE.get(str(code)) or _BY_STATUS.get(status, errors.Internal)
    return kind(message, field=field, status=status)
