"""`quintet up`: opens the parts, mounts the dialects, starts workers beside the server, and closes in order."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import FrameType

import uvicorn

from quintet.app.core import Core
from quintet.app.services import authenticator
from quintet.app.work.tokens import worker_token
from quintet.dialects.kit.mount import Mount
from quintet.dialects.runner.waiting import waiters
from quintet.server.asgi import Application, Lifespan
from quintet.server.composition import Parts, add_serving, open_parts
from quintet.server.settings import Settings, StartupError

log = logging.getLogger("quintet.server")
DIALECTS = ("runner", "clearml", "adaptive", "domino", "llama_stack", "inference")
GRACE_SECONDS = 15
"""How long requests in flight may take to end after the signal to stop."""

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
    server = _Server(config, parts.core)
    server.workers = [_start_worker(parts, actual, number) for number in range(actual.workers)]
    try:
        server.run(sockets=[listening])
    finally:
        _end(server.workers)
        listening.close()
    return 0 if server.started else 1


class _Server(uvicorn.Server):
    """At the signal to stop first ends the workers, while there still is a server to give their runs back to.

    A second signal ends everything at once.
    """

    def __init__(self, config: uvicorn.Config, core: Core) -> None:
        super().__init__(config)
        self._core = core
        self._leaving = False
        self.workers: list[subprocess.Popen[bytes]] = []

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Waiting workers are sent away: their calls would keep the server for as long as they wait.
        waiters(self._core).close()
        if self._leaving or not self.workers:
            super().handle_exit(sig, frame)
            return
        self._leaving = True

        def leave() -> None:
            _end(self.workers)
            uvicorn.Server.handle_exit(self, sig, frame)

        threading.Thread(target=leave, name="quintet-leaving", daemon=True).start()


def _end(workers: list[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        if worker.poll() is None:
            worker.send_signal(signal.SIGTERM)
    _await_all(workers)


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


def _start_worker(parts: Parts, settings: Settings, number: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "QUINTET_KEY": worker_token(authenticator(parts.core))}
    command = [
        sys.executable, "-m", "quintet.cli.main", "worker", "--server", settings.url, "--queue", "default",
        "--name", f"{socket.gethostname()}:{settings.port}:{number}", "--work-dir",
        str(settings.folder / "work" / str(number)),
    ]  # fmt: skip
    return subprocess.Popen(command, env=environment, start_new_session=True)
