"""The worker against a server that is played: what it does with runs, stops, lost leases and silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from quintet.ports.executor import End, Ended, Job, LogLine, Reporter
from quintet.server import worker as module
from quintet.server.runner_client import Gone, Refused, Reporting, Unreachable
from quintet.server.worker import Worker, command_of


class FakeServer:
    """Gives out the leases it was made with, then lets the worker wait; keeps what it is told."""

    def __init__(self, *leases: dict[str, Any] | Exception) -> None:
        self.leases = list(leases)
        self.finished: list[tuple[str, str, str]] = []
        self.lines: list[str] = []
        self.beats = 0
        self.stop = False
        self.gone = False
        self.taken: dict[str, int] = {}
        self.away = self.mute = 0
        self.idle = asyncio.Event()

    def _answer(self) -> None:
        if self.away:
            self.away -= 1
            raise Unreachable("away")
        if self.gone:
            raise Gone("gone")

    async def lease(
        self, worker: str, queues: Sequence[str], seconds: int, wait_seconds: float
    ) -> dict[str, Any] | None:
        if not self.leases:
            self.idle.set()
            await asyncio.Event().wait()
        found = self.leases.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async def heartbeat(self, run_id: str, token: str, seconds: int) -> bool:
        self.beats += 1
        self._answer()
        return self.stop

    async def finish(self, run_id: str, token: str, outcome: str, reason: str) -> None:
        self._answer()
        self.finished.append((run_id, outcome, reason))

    async def logs(self, run_id: str, token: str, lines: Sequence[LogLine], start: int) -> None:
        self._answer()
        # What the server keeps of lines that come again, because their answer was lost.
        fresh = lines[max(0, self.taken.get(run_id, 0) - start) :]
        self.taken[run_id] = start + len(lines)
        self.lines += [line.msg for line in fresh]
        if self.mute:
            self.mute -= 1
            raise Unreachable("the answer was lost")


class FakeExecutor:
    """Ends as told; "wait" waits for the wish to stop, with what `then` says."""

    def __init__(self, end: Ended | None = None, on_start: Callable[[], None] = lambda: None) -> None:
        self.end = end
        self.on_start = on_start
        self.jobs: list[Job] = []

    async def execute(self, job: Job, reporter: Reporter, stop: asyncio.Event) -> Ended:
        self.jobs.append(job)
        await reporter.log([LogLine(1, "info", "hello")])
        self.on_start()
        if self.end is not None:
            return self.end
        await stop.wait()
        return Ended(End.STOPPED)


def lease(run_id: str = "r1", **more: Any) -> dict[str, Any]:
    return {
        "run_id": run_id, "token": "t", "run_token": "rt", "attempt": 1, "recipe": "sft", "args": {}, "name": "n",
        "code": None, "command": None, **more,
    }  # fmt: skip


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACK_OFF", (0.0,))


def make(server: FakeServer, executor: FakeExecutor) -> Worker:
    return Worker(
        server, executor, url="http://x", name="w", queues=["default"], work_dir=Path("/tmp/none"), beat_seconds=0.001
    )


def work(server_of: Callable[[], FakeServer], executor: FakeExecutor, **play: Any) -> FakeServer:
    async def main() -> FakeServer:
        server = server_of()
        worker = make(server, executor)
        play.get("begin", lambda s, w: None)(server, worker)
        task = asyncio.ensure_future(worker.run())
        waiting = asyncio.ensure_future(server.idle.wait())
        await asyncio.wait({task, waiting}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        worker.leave()
        waiting.cancel()
        await asyncio.wait_for(task, 10)
        return server

    return asyncio.run(main())


def test_runs_are_carried_out_one_after_the_other() -> None:
    executor = FakeExecutor(Ended(End.COMPLETED))
    server = work(lambda: FakeServer(lease("a"), lease("b")), executor)
    assert server.finished == [("a", "completed", ""), ("b", "completed", "")]
    assert server.lines == ["hello", "hello"]
    first = executor.jobs[0]
    assert list(first.command[1:]) == ["-m", "quintet.recipes.run", "--name", "sft"]
    assert first.environment["QUINTET_RUN_TOKEN"] == "rt"
    assert first.environment["QUINTET_WORK_DIR"] == str(first.work_dir)


def test_a_failure_is_told_with_its_reason() -> None:
    server = work(lambda: FakeServer(lease()), FakeExecutor(Ended(End.FAILED, "boom")))
    assert server.finished == [("r1", "failed", "boom")]


def test_a_wish_to_stop_reaches_the_job() -> None:
    def begin(server: FakeServer, worker: Worker) -> None:
        server.stop = True

    server = work(lambda: FakeServer(lease()), FakeExecutor(), begin=begin)
    assert server.finished == [("r1", "stopped", "")]


def test_a_worker_that_must_go_gives_its_run_back() -> None:
    executor = FakeExecutor()

    def begin(server: FakeServer, worker: Worker) -> None:
        executor.on_start = worker.leave

    assert work(lambda: FakeServer(lease()), executor, begin=begin).finished == [("r1", "requeue", "")]


def test_a_run_that_ended_while_the_worker_must_go_is_completed() -> None:
    executor = FakeExecutor(Ended(End.COMPLETED))

    def begin(server: FakeServer, worker: Worker) -> None:
        executor.on_start = worker.leave

    assert work(lambda: FakeServer(lease()), executor, begin=begin).finished == [("r1", "completed", "")]


def test_a_lost_run_is_stopped_and_nothing_more_is_said_of_it() -> None:
    executor = FakeExecutor()

    def begin(server: FakeServer, worker: Worker) -> None:
        executor.on_start = lambda: setattr(server, "gone", True)

    server = work(lambda: FakeServer(lease()), executor, begin=begin)
    assert server.finished == []


def test_a_server_that_is_away_for_a_while_loses_nothing() -> None:
    executor = FakeExecutor(Ended(End.COMPLETED))

    def begin(server: FakeServer, worker: Worker) -> None:
        executor.on_start = lambda: setattr(server, "away", 3)

    server = work(lambda: FakeServer(Unreachable("x"), Unreachable("y"), lease()), executor, begin=begin)
    assert server.finished == [("r1", "completed", "")]


def test_a_refused_key_ends_the_worker() -> None:
    with pytest.raises(Refused):
        work(lambda: FakeServer(Refused("401")), FakeExecutor())


def test_what_is_executed() -> None:
    assert command_of(lease(command=["echo", "hi"])) == ["echo", "hi"]
    assert (command_of(lease(code={"file": "../x.py", "text": ""})) or [])[-2:] == ["--file", "x.py"]
    assert command_of(lease(recipe=None)) is None
    assert command_of(lease(recipe=None, command="rm -rf /")) is None


def test_lines_of_a_lost_run_are_dropped_and_others_tried_again() -> None:
    async def main() -> None:
        server = FakeServer()
        reporting = Reporting(server, "r", "t", wait_seconds=0)
        server.away = 2
        await reporting.log([LogLine(1, "info", "kept")])
        assert server.lines == ["kept"]
        server.mute = 2
        await reporting.log([LogLine(1, "info", "once"), LogLine(1, "info", "too")])
        assert server.lines == ["kept", "once", "too"]
        server.gone = True
        await reporting.log([LogLine(1, "info", "dropped")])
        server.gone = False
        await reporting.log([LogLine(1, "info", "dropped too")])
        assert server.lines == ["kept", "once", "too"]

    asyncio.run(main())
