"""A real server on a free port of loopback: uvicorn in a thread, with its own data folder."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from quintet.app.core import Core
from quintet.app.identity import accounts
from quintet.app.identity.accounts import CreateUser
from quintet.domain.identity import Actor
from quintet.server import serve
from quintet.server.composition import Parts, open_parts
from quintet.server.serve import bound_socket
from quintet.server.settings import load_settings


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class ServerHandle:
    """A running server and the administrator's key in its three spellings."""

    url: str
    key: str
    access_key: str
    secret_key: str
    core: Core
    admin: Actor
    parts: Parts

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = "",
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Reply:
        """One request. `key` None sends none, "" the administrator's as bearer; `raw` is sent as it is."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        if key is not None:
            sent.setdefault("Authorization", f"Bearer {key or self.key}")
        data = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=sent)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return Reply(reply.status, dict(reply.headers), reply.read())
        except urllib.error.HTTPError as error:
            return Reply(error.code, dict(error.headers), error.read())

    def key_for(self, role: str) -> str:
        """The key of a new user with a built-in role."""
        email = f"{role}-{time.monotonic_ns()}@example.org"
        self.core.write_now(self.admin, accounts.create_user, CreateUser(email, role, role))
        return self.core.write_now(self.admin, accounts.create_key, role, email).key


@contextmanager
def running_server(
    folder: Path, *, dialects: tuple[str, ...] | None = None, **settings: Any
) -> Iterator[ServerHandle]:
    """Starts a server on a fresh data folder below `folder`, without workers; stops it at the end.

    dialects: those to load where a test needs no others, which saves it a second.
    """
    loaded, _ = load_settings({"data": str(folder / "data"), "port": 0, "workers": 0, **settings})
    listening = bound_socket("127.0.0.1", 0)
    port = listening.getsockname()[1]
    loaded, _ = load_settings({"data": str(folder / "data"), "workers": 0, **settings, "port": port})
    parts = open_parts(loaded)
    issued = parts.core.write_now(parts.admin, accounts.create_key, "test")
    with pytest.MonkeyPatch.context() as patch:
        # Only while this server is built: others of the same test session have all of them.
        if dialects is not None:
            patch.setattr(serve, "DIALECTS", dialects)
        application = serve.build(parts)
    server = uvicorn.Server(
        uvicorn.Config(application, lifespan="on", log_level="warning", http="httptools", loop="uvloop")
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.started, "the server did not start"
    try:
        yield ServerHandle(
            f"http://127.0.0.1:{port}", issued.key, issued.access_key, issued.secret_key, parts.core, parts.admin, parts
        )
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()
