"""Runs one step: a bar that moves, a time that is measured, and what the step found."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quintet.demo.server import DemoFailed, DemoServer

SCRIPTS = Path(__file__).parent / "scripts"


@dataclass(slots=True)
class Step:
    """A line of the report."""

    name: str
    dialect: str
    client: str
    seconds: float = 0.0
    ok: bool = False


class Bars:
    """Progress bars by `rich` on a terminal, one line for each step elsewhere."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self.console = Console()
        self._progress = Progress(
            SpinnerColumn(), TextColumn("[bold]{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(), console=self.console,
        )  # fmt: skip
        self._task: Any = None

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, title: str) -> None:
        self._task = self._progress.add_task(title, total=1.0, note="")

    def move(self, done: float, total: float, note: str) -> None:
        self._progress.update(self._task, completed=done, total=max(total, 1e-9), note=note[:60])

    def end(self, note: str) -> None:
        self._progress.update(self._task, completed=1, total=1, note=note[:60])
        self._progress.refresh()

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False)


@dataclass(slots=True)
class Story:
    """What the steps share. `facts` holds what earlier steps found, by step key."""

    server: DemoServer
    python: str
    bars: Bars
    steps: list[Step] = field(default_factory=list)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def step(self, key: str, name: str, dialect: str, client: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Runs `work`, writes down how long it took, and ends the demo where it fails."""
        made = Step(name, dialect, client)
        self.steps.append(made)
        self.bars.begin(f"{len(self.steps):2}. {name}")
        started = time.perf_counter()
        try:
            self.facts[key] = work()
            made.ok = True
        finally:
            made.seconds = round(time.perf_counter() - started, 2)
        self.bars.end(f"{made.seconds:.1f} s")
        return self.facts[key]

    def script(self, name: str, **given: Any) -> dict[str, Any]:
        """Runs a client script in the clients' environment; its result."""
        reader, writer = os.pipe()
        arguments = {"url": self.server.url, "key": self.server.key, **given}
        log = (self.server.data.parent / f"client-{name}.log").open("w")
        process = subprocess.Popen(
            [self.python, str(SCRIPTS / f"{name}.py")], stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT,
            text=True, pass_fds=(writer,),
            env={**self.server.client_environment(), "QUINTET_DEMO_FD": str(writer)},
        )  # fmt: skip
        os.close(writer)
        assert process.stdin is not None
        process.stdin.write(json.dumps(arguments))
        process.stdin.close()
        found: dict[str, Any] | None = None
        with os.fdopen(reader) as lines:
            for line in lines:
                message = json.loads(line)
                if "progress" in message:
                    self.bars.move(*message["progress"])
                else:
                    found = message["result"]
        if process.wait() or found is None:
            log.close()
            raise DemoFailed(f"the client script {name} failed:\n{_tail(log.name)}")
        return found


def _tail(path: str) -> str:
    lines = Path(path).read_text(errors="replace").strip().splitlines()
    return "\n".join(lines[-15:])


