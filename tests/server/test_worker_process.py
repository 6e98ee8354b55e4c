"""A real worker process at a real server: from the queue to the end of the run."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.servers import ServerHandle, running_server

from quintet.app.events.read import get_rollups, tail_log
from quintet.app.queues.entries import submit_run
from quintet.app.runs import read, state
from quintet.app.runs.create import CreateRun
from quintet.domain.runs import Run, RunState
from quintet.server import serve
from quintet.server.janitor import Janitor

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerHandle]:
    monkeypatch.setattr(serve, "DIALECTS", ("runner",))
    with running_server(tmp_path) as handle:
        yield handle


@pytest.fixture
def start(server: ServerHandle) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    started = []

    def begin() -> subprocess.Popen[bytes]:
        code = "import sys; from quintet.server import worker; sys.exit(worker.run_worker(*sys.argv[1:], name='w'))"
        command = [sys.executable, "-c", code, server.url, server.key_for("worker")]
        started.append(subprocess.Popen(command, env={**os.environ}))
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def submit(server: ServerHandle, code: str) -> Run:
    wanted = CreateRun("job", recipe="command", script={"command": [sys.executable, "-c", code]})
    return server.core.write_now(server.admin, submit_run, wanted)


def until(server: ServerHandle, run: Run, *states: RunState, seconds: float = 30) -> Run:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = server.core.read_now(server.admin, read.get_run, run.id)
        if found.state in states:
            return found
        time.sleep(0.02)
    raise AssertionError(f"the run is {found.state}")


def said(server: ServerHandle, run: Run) -> list[str]:
    return [line.msg for line in server.core.read_now(server.admin, tail_log, run.id)]


def until_said(server: ServerHandle, run: Run, text: str) -> None:
    deadline = time.monotonic() + 30
    while text not in said(server, run) and time.monotonic() < deadline:
        time.sleep(0.02)


LONG = "import time; print('ready', flush=True); time.sleep(60)"


def test_runs_go_from_the_queue_to_their_end(server: ServerHandle, start: Callable[[], object]) -> None:
    good = submit(server, "import os; print('hello', os.environ['QUINTET_RUN_ID'], 'QUINTET_KEY' in os.environ)")
    bad = submit(server, "raise SystemExit('no luck')")
    start()
    assert until(server, good, RunState.COMPLETED, RunState.FAILED).state is RunState.COMPLETED
    assert said(server, good) == [f"hello {good.id} False"]
    failed = until(server, bad, RunState.COMPLETED, RunState.FAILED)
    assert (failed.state, failed.error, failed.last_worker) == (RunState.FAILED, "no luck", "w")


def test_a_worker_that_is_told_to_go_gives_its_run_back(
    server: ServerHandle, start: Callable[[], subprocess.Popen[bytes]]
) -> None:
    run = submit(server, LONG)
    worker = start()
    until_said(server, run, "ready")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    back = until(server, run, RunState.QUEUED)
    assert (back.attempt, back.status_reason) == (0, "worker shut down")


def test_a_run_that_is_asked_to_stop_is_stopped(server: ServerHandle, start: Callable[[], object]) -> None:
    run = submit(server, LONG)
    start()
    until_said(server, run, "ready")
    server.core.write_now(server.admin, state.request_stop, run.id)
    assert until(server, run, RunState.STOPPED).status_reason.startswith("Stopped by")


FIRST_ONLY_LONG = """
import os, pathlib, time
seen = pathlib.Path(os.environ['QUINTET_WORK_DIR']).name
print(seen, flush=True)
time.sleep(0 if seen.endswith('-2') else 60)
"""


def test_the_run_of_a_killed_worker_is_done_by_another(
    server: ServerHandle, start: Callable[[], subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = submit(server, FIRST_ONLY_LONG)
    worker = start()
    until_said(server, run, f"{run.id}-1")
    worker.kill()
    worker.wait(10)
    real = server.core.clock
    janitor = Janitor(server.core)
    asyncio.run(janitor.expire())
    assert until(server, run, RunState.RUNNING).attempt == 1
    monkeypatch.setattr(server.core, "clock", lambda: real() + 61_000_000)
    asyncio.run(janitor.expire())
    assert until(server, run, RunState.QUEUED).status_reason == "worker lost"
    start()
    done = until(server, run, RunState.COMPLETED, RunState.FAILED)
    assert (done.state, done.attempt) == (RunState.COMPLETED, 2)
    assert said(server, run) == [f"{run.id}-1", f"{run.id}-2"]


OWN_RECIPE = """
import os, pathlib, time
from quintet.recipes import RecipeContext, recipe

@recipe(name="mine", stages=("count",))
def main(ctx: RecipeContext) -> None:
    before = ctx.checkpoint_folder()
    if before is None:
        folder = pathlib.Path(ctx.work_dir) / "state"
        folder.mkdir()
        (folder / "n.txt").write_text("7")
        ctx.checkpoint(folder, 1)
        ctx.flush()
        ctx.say("saved")
        stat = pathlib.Path(f"/proc/{os.getppid()}/stat").read_text()
        os.kill(int(stat.rpartition(")")[2].split()[1]), 9)  # the worker above the launcher; it takes this along
        time.sleep(60)
    with ctx.stage("count", total=1) as stage:
        ctx.metric("loss", "train", 0.5, 1)
        stage.advance()
    ctx.result({"went on from": (before / "n.txt").read_text()})
"""


def test_a_recipe_goes_on_from_the_checkpoint_of_an_attempt_whose_worker_died(
    server: ServerHandle, start: Callable[[], subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = CreateRun("job", recipe="mine", script={"code": {"file": "mine.py", "text": OWN_RECIPE}})
    run = server.core.write_now(server.admin, submit_run, wanted)
    assert start().wait(30) == -signal.SIGKILL
    real = server.core.clock
    monkeypatch.setattr(server.core, "clock", lambda: real() + 61_000_000)
    asyncio.run(Janitor(server.core).expire())
    start()
    done = until(server, run, RunState.COMPLETED, RunState.FAILED)
    assert (done.state, done.error, done.result) == (RunState.COMPLETED, None, {"went on from": "7"})
    [stage] = server.core.read_now(server.admin, read.stages_of, run.id)
    assert (stage.name, stage.state, stage.done) == ("count", "done", 1)
    [series] = server.core.read_now(server.admin, get_rollups, [run.id])[run.id]
    assert (series.metric, series.last_value) == ("loss", 0.5)
