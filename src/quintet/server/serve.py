"""`quintet up`: opens the parts, mounts the dialects, starts workers beside the server, and closes in order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

import uvicorn

from quintet.app.core import Core
from quintet.app.identity.accounts import CreateUser, create_key, create_user, find_member
from quintet.dialects.kit.mount import Mount
from quintet.domain.errors import NotFound
from quintet.server.asgi import Application, Lifespan
from quintet.server.composition import Parts, add_serving, open_parts
from quintet.server.settings import Settings, StartupError

log = logging.getLogger("quintet.server")
DIALECTS = ("runner", "clearml", "adaptive", "domino", "llama_stack", "inference")
GRACE_SECONDS = 15
"""How long requests in flight may take to end after the signal to stop."""

WORKER_EMAIL = "worker@quintet.local"


def mounts(core: Core) -> list[Mount]:
    """The mounts of every dialect."""
    found = []
    for name in DIALECTS:
        if find_spec(f"quintet.dialects.{name}") and find_spec(f"quintet.dialects.{name}.mount"):
            found.append(import_module(f"quintet.dialects.{name}.mount").mount(core))
    return found


def build(parts: Parts) -> Lifespan:
    """The ASGI application over open parts, with its background work."""
    from quintet.server.janitor import Janitor

    add_serving(parts)
    application = Application(parts.core, mounts(parts.core))
    janitor = Janitor(parts.core)

    async def startup() -> None:
        janitor.start()

    async def shutdown() -> None:
        await janitor.stop()
        await parts.aclose()

    return Lifespan(application, startup, shutdown)


def bound_socket(host: str, port: int) -> socket.socket:
    """A listening socket, bound before anything else starts, so that a port in use is one clear line."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise StartupError(
            f"port {port} on {host} cannot be used ({error.strerror}); stop what listens there or give --port"
        ) from error
    listening.set_inheritable(False)
    return listening


def serve(settings: Settings, announce: Callable[[Parts, Settings], None]) -> int:
    """Runs until a signal; `announce` is told once the port is bound and the data folder open."""
    listening = bound_socket(settings.host, settings.port)
    actual = _with_port(settings, listening.getsockname()[1])
    parts = open_parts(actual)
    config = uvicorn.Config(
        build(parts),
        loop="uvloop",
        http="httptools",
        lifespan="on",
        log_level=actual.log_level,
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
        h11_max_incomplete_event_size=None,
    )
    announce(parts, actual)
    workers = [_start_worker(parts, actual, number) for number in range(actual.workers)]
    server = uvicorn.Server(config)
    try:
        asyncio.run(server.serve(sockets=[listening]), loop_factory=_loop)  # type: ignore[call-arg]
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGTERM)
        _await_all(workers)
        listening.close()
    return 0 if server.started else 1


def _loop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


def _await_all(workers: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + GRACE_SECONDS
    for worker in workers:
        try:
            worker.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.kill()


def _with_port(settings: Settings, port: int) -> Settings:
    from dataclasses import replace

    return replace(settings, port=port)


def worker_key(parts: Parts) -> str:
    """The key of the workers that this server starts: a user of its own, kept in the data folder (mode 600)."""
    path = parts.settings.folder / "worker.key"
    if path.exists():
        return path.read_text().strip()
    try:
        parts.core.read_now(parts.admin, find_member, WORKER_EMAIL)
    except NotFound:
        parts.core.write_now(parts.admin, create_user, CreateUser(WORKER_EMAIL, "Worker", "worker"))
    issued = parts.core.write_now(parts.admin, create_key, "local workers", WORKER_EMAIL)
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(issued.key)
    return issued.key


def _start_worker(parts: Parts, settings: Settings, number: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "QUINTET_KEY": worker_key(parts)}
    command = [
        sys.executable, "-m", "quintet.cli.main", "worker", "--server", settings.url, "--queue", "default",
        "--name", f"{socket.gethostname()}:{settings.port}:{number}", "--work-dir",
        str(settings.folder / "work" / str(number)),
    ]  # fmt: skip
    return subprocess.Popen(command, env=environment, start_new_session=True)
