"""A `quintet up` of its own: started, killed and started again on one data folder and one port."""

from __future__ import annotations

import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quintet.app.identity import accounts
from quintet.app.queues.entries import submit_run
from quintet.app.runs.create import CreateRun
from quintet.app.runs.read import get_run
from quintet.app.serving.deployments import CreateEndpoint, create_endpoint
from quintet.domain.ids import Id
from quintet.domain.runs import Run, RunState
from quintet.server.composition import Parts, open_parts
from quintet.server.settings import load_settings

START_SECONDS = 60.0
"""How long a start may take on a machine that has other things to do, too."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said; status 0 where it did not answer."""

    status: int
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Link:
    """One kept connection with a key; a call over a dead one is an Answer with status 0, never repeated."""

    def __init__(self, port: int, key: str, timeout: float = 30.0) -> None:
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def call(self, method: str, path: str, body: Any = None) -> Answer:
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        try:
            self._connection.request(method, path, data, self.headers)
            reply = self._connection.getresponse()
            return Answer(reply.status, reply.read())
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return Answer(0)

    def close(self) -> None:
        self._connection.close()


class Server:
    """A server that comes and goes; its data folder, port and administrator's key stay."""

    def __init__(self, folder: Path, *, workers: int = 0, lease_seconds: int = 5, database: str = "") -> None:
        self.data = folder / "data"
        self.database = database
        self.port = free_port()
        self.workers = workers
        self.lease_seconds = lease_seconds
        self.process: subprocess.Popen[bytes] | None = None
        self._log = folder / "server.log"
        self._left: set[int] = set()
        parts = self.parts()
        self.admin = parts.admin
        self.key = parts.core.write_now(parts.admin, accounts.create_key, "crash").key
        parts.close()

    def parts(self) -> Parts:
        """The data folder opened in this process, beside a server or without one; close it again."""
        given = {"data": str(self.data), "database": self.database or None, "port": self.port}
        return open_parts(load_settings(given)[0])

    def add_endpoint(self, key: str, engine: str = "fake", **config: Any) -> None:
        parts = self.parts()
        cmd = CreateEndpoint(key=key, provider="test", upstream_model=key, engine=engine, config=config)
        parts.core.write_now(self.admin, create_endpoint, cmd)
        parts.close()

    # -- the process -------------------------------------------------------------------------------------------

    def start(self, **environment: str) -> float:
        """Starts the server and waits until it answers; the seconds that it took."""
        command = [
            sys.executable, "-m", "quintet.cli.main", "up", "--data", str(self.data), "--port", str(self.port),
            "--workers", str(self.workers), "--lease-seconds", str(self.lease_seconds), "--log-level", "warning",
        ]  # fmt: skip
        if self.database:
            command += ["--database", self.database]
        began = time.monotonic()
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment(environment))
        while time.monotonic() - began < START_SECONDS:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.said()[-4000:]}")
            if self.ask("GET", "/health").status == 200:
                return time.monotonic() - began
            time.sleep(0.02)
        raise AssertionError(f"the server does not answer:\n{self.said()[-4000:]}")

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        paths = [str(Path(__file__).parents[2] / "src"), os.environ.get("PYTHONPATH", "")]
        own = {"PYTHONPATH": os.pathsep.join(p for p in paths if p)}
        return {**{k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}, **own, **more}

    def kill(self) -> None:
        """SIGKILL, as the kernel does when memory is short: nothing is flushed, nobody says good-bye."""
        assert self.process is not None
        self._left.update(self.worker_pids())
        self.process.kill()
        self.process.wait(10)

    def terminate(self) -> None:
        """SIGTERM, and waits for the end."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(40)

    def close(self) -> None:
        """Whatever is left of it, its workers included."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        for pid in self._left:
            if command_of(pid)[:3] == [sys.executable, "-m", "quintet.cli.main"]:
                os.kill(pid, signal.SIGKILL)

    def worker_pids(self) -> list[int]:
        """The workers that this server process has started."""
        assert self.process is not None
        return [pid for pid in children(self.process.pid) if "worker" in command_of(pid)]

    def limit_files(self, size: int) -> None:
        """No file of the server grows beyond so many bytes from now on; -1 for any size."""
        assert self.process is not None
        hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, hard))

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    # -- talking to it -----------------------------------------------------------------------------------------

    def link(self, timeout: float = 30.0) -> Link:
        return Link(self.port, self.key, timeout)

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """One call over a connection of its own."""
        link = self.link()
        try:
            return link.call(method, path, body)
        finally:
            link.close()

    def must(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.ask(method, path, body)
        assert 200 <= answer.status < 300, (answer.status, answer.body[:500])
        return answer.json if answer.body else None

    # -- runs --------------------------------------------------------------------------------------------------

    def submit(self, code: str, *, command: bool = True, max_attempts: int = 3) -> Id:
        """A run of Python `code`, as a command or as a recipe's file; it waits in the default queue."""
        script = {"command": [sys.executable, "-c", code]} if command else {"code": {"file": "job.py", "text": code}}
        cmd = CreateRun("job", recipe="command" if command else "own", script=script, max_attempts=max_attempts)
        parts = self.parts()
        try:
            return parts.core.write_now(self.admin, submit_run, cmd).id
        finally:
            parts.close()

    def use(self, use_case: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A reading use case as the administrator, beside the server."""
        parts = self.parts()
        try:
            return parts.core.read_now(self.admin, use_case, *args, **kwargs)
        finally:
            parts.close()

    def until(self, found: Callable[[Parts], Any], seconds: float = 40.0) -> Any:
        """What `found` gives as soon as it gives anything true."""
        parts = self.parts()
        try:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                if got := found(parts):
                    return got
                time.sleep(0.05)
        finally:
            parts.close()
        raise AssertionError(f"it did not come to pass within {seconds} s:\n{self.said()[-4000:]}")

    def until_state(self, run_id: Id, *states: RunState, seconds: float = 40.0) -> Run:
        """The run, as soon as it is in one of the states."""
        def found(parts: Parts) -> Run | None:
            run = parts.core.read_now(self.admin, get_run, run_id)
            return run if run.state in states else None

        run = self.until(found, seconds)
        assert isinstance(run, Run)
        return run


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except FileNotFoundError:
        return []


def command_of(pid: int) -> list[str]:
    """The command line of a process; empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []


def alive(pid: int) -> bool:
    """Whether a process is there and not only waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Waits for something that no event tells of, such as the end of a process that is not a child."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)
