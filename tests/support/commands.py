"""The command line in tests: in this process where a command ends by itself, in one of its own for `quintet up`."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from quintet.cli.main import main

SOURCE = Path(__file__).parents[2] / "src"


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


def quintet(*arguments: str) -> Done:
    """Runs one command in this process. An error that is not caught by the command line fails the test."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(arguments)
        except SystemExit as end:  # argparse: --help and wrong usage
            code = int(end.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Up:
    """A `quintet up` process without workers, unless told otherwise. `out` and `err` are files that it writes to."""

    def __init__(self, folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        folder.mkdir(parents=True, exist_ok=True)
        self._out, self._err = folder / f"out-{self.port}", folder / f"err-{self.port}"
        command = [
            sys.executable, "-m", "quintet.cli.main", "up", "--port", str(self.port), "--workers", "0", *arguments,
        ]  # fmt: skip
        clean = {k: v for k, v in os.environ.items() if not k.startswith("QUINTET_")}
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command, cwd=folder, stdout=out, stderr=err,
                env={**clean, "PYTHONPATH": str(SOURCE), **(environment or {})},
            )  # fmt: skip

    def await_ready(self, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError, urllib.error.URLError):
                urllib.request.urlopen(f"{self.url}/health", timeout=2).close()
                return
            time.sleep(0.02)
        raise AssertionError(f"the server did not answer:\n{self.out}\n{self.err}")

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def ended(self, seconds: float = 30) -> int:
        return self.process.wait(seconds)


@contextmanager
def up(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Up]:
    """A running `quintet up`, stopped by SIGTERM at the end where the test has not done so."""
    server = Up(folder, *arguments, environment=environment)
    try:
        server.await_ready()
        yield server
    finally:
        if server.process.poll() is None:
            server.terminate()
            try:
                server.ended()
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait(10)
