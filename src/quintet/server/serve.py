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
from quintet.web import mount as web

log = logging.getLogger("quintet.server")
DIALECTS = ("runner", "clearml", "adaptive", "domino", "llama_stack", "inference")
GRACE_SECONDS = 15
"""How long requests in flight may take to end after the signal to stop."""

RESTART_SECONDS = 10.0
"""A worker that dies sooner after its start is replaced only then: what kills it would kill the next one, too."""


def mounts(core: Core) -> list[Mount]:
    """The mounts of every dialect, and the page at `/`."""
    return [*(import_module(f"quintet.dialects.{name}.mount").mount(core) for name in DIALECTS), web.mount(core)]


def build(parts: Parts) -> Lifespan:
    """The ASGI application over open parts, with its background work."""
    from quintet.server.janitor import Janitor

    add_serving(parts)
    application = Application(parts.core, mounts(parts.core))
    janitor = Janitor(parts.core, grace=parts.settings.lease_seconds / 2)

    async def startup() -> None:
        janitor.start()

    async def shutdown() -> None:
        await janitor.stop()
        await parts.aclose()

    return Lifespan(application, startup, shutdown)


def bound_socket(host: str, port: int) -> socket.socket:
    """A listening socket, bound before anything else starts, so that a port in use is one clear line."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio switches off Nagle's delay (40 ms a reply) only where it is.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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
    workers = _Workers(parts, actual)
    server = _Server(config, parts.core, workers)
    workers.start()
    try:
        server.run(sockets=[listening])
    finally:
        workers.end()
        listening.close()
    return 0 if server.started else 1


class _Server(uvicorn.Server):
    """At the signal to stop first ends the workers, while there still is a server to give their runs back to.

    A second signal ends everything at once.
    """

    def __init__(self, config: uvicorn.Config, core: Core, workers: _Workers) -> None:
        super().__init__(config)
        self._core = core
        self._leaving = False
        self._workers = workers

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Waiting workers are sent away: their calls would keep the server for as long as they wait.
        waiters(self._core).close()
        if self._leaving or not self._workers.processes:
            super().handle_exit(sig, frame)
            return
        self._leaving = True

        def leave() -> None:
            self._workers.end()
            uvicorn.Server.handle_exit(self, sig, frame)

        threading.Thread(target=leave, name="quintet-leaving", daemon=True).start()


class _Workers:
    """The worker processes beside the server: one that dies is replaced, until it is time to end them all."""

    def __init__(self, parts: Parts, settings: Settings) -> None:
        self._parts, self._settings = parts, settings
        self._started: list[float] = []
        self._lock = threading.Lock()
        self._ended = False
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        for number in range(self._settings.workers):
            self.processes.append(_start_worker(self._parts, self._settings, number))
            self._started.append(time.monotonic())
        if self.processes:
            self._parts.core.services.setdefault("periodic", []).append(self._tend)

    async def _tend(self) -> None:
        """Replaces those that have died; called every few seconds."""
        with self._lock:
            for number, process in enumerate(self.processes):
                young = time.monotonic() - self._started[number] < RESTART_SECONDS
                if self._ended or young or process.poll() is None:
                    continue
                log.warning("worker %d ended with %s; another one takes its place", number, process.returncode)
                self.processes[number] = _start_worker(self._parts, self._settings, number)
                self._started[number] = time.monotonic()

    def end(self) -> None:
        """Asks all of them to go, and waits until they have given their runs back."""
        with self._lock:
            self._ended = True
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        _await_all(self.processes)


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
    environment = {
        **os.environ,
        "QUINTET_KEY": worker_token(authenticator(parts.core)),
        "QUINTET_LEASE_SECONDS": str(settings.lease_seconds),
        "QUINTET_SERVER_PID": str(os.getpid()),
        "QUINTET_CACHE_DIR": str(settings.folder / "cache"),
    }
    command = [
        sys.executable, "-m", "quintet.cli.main", "worker", "--server", settings.url, "--queue", "default",
        "--name", f"{socket.gethostname()}:{settings.port}:{number}", "--work-dir",
        str(settings.folder / "work" / str(number)),
    ]  # fmt: skip
    return subprocess.Popen(command, env=environment, start_new_session=True)
