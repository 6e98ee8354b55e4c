"""Workers, servers and jobs that die in the middle of a run: the run is tried again, goes on, or says why not."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.crash.processes import Server, alive, children, until

from quintet.app.events.read import get_rollups, tail_log
from quintet.app.runs import state
from quintet.app.runs.read import get_run
from quintet.domain.ids import Id
from quintet.domain.runs import Run, RunState
from quintet.server.composition import Parts

ENDED = (RunState.COMPLETED, RunState.FAILED, RunState.STOPPED)

FIRST_HANGS = """
import os, pathlib, subprocess, sys, time
notes = pathlib.Path({notes!r})
attempt = pathlib.Path(os.environ["QUINTET_WORK_DIR"]).name.rpartition("-")[2]
if attempt == {good!r}:
    print("done in attempt", attempt)
    sys.exit(0)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
note = notes / (os.environ["QUINTET_RUN_ID"] + "-" + attempt)
note.with_suffix(".new").write_text(f"{{os.getpid()}} {{child.pid}} {{os.environ['QUINTET_RUN_TOKEN']}}")
note.with_suffix(".new").rename(note)
time.sleep(120)
"""
"""Notes who it is and waits for ever, but in the attempt `good` it ends well."""


def said(server: Server, run_id: Id) -> list[str]:
    return [line.msg for line in server.use(tail_log, run_id, 10_000)]


def noted(path: Path, seconds: float = 30.0) -> list[str]:
    """What a job has noted, as soon as it has."""
    until(path.exists, seconds)
    return path.read_text().split()


@pytest.mark.slow
def test_runs_of_killed_workers_are_tried_again_or_failed(make_server: Callable[..., Server], tmp_path: Path) -> None:
    server = make_server(workers=2)
    code = FIRST_HANGS.format(notes=str(tmp_path), good="2")
    again, last = server.submit(code), server.submit(code, max_attempts=1)
    server.start()
    jobs = [noted(tmp_path / f"{run_id}-1") for run_id in (again, last)]
    workers = server.worker_pids()
    assert len(workers) == 2
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    # Nothing of a job outlives its worker, not even what the job itself has started.
    for job, child, _ in jobs:
        until(lambda job=job, child=child: not alive(int(job)) and not alive(int(child)), 10)  # type: ignore[misc]

    failed = server.until_state(last, *ENDED)
    assert (failed.state, failed.attempt, failed.status_reason) == (RunState.FAILED, 1, "worker lost")
    assert failed.error is not None
    assert failed.error.endswith("was lost in attempt 1 of 1")
    # The server has put others in the place of its workers, and one of them does the run.
    done = server.until_state(again, *ENDED)
    assert (done.state, done.attempt, done.error) == (RunState.COMPLETED, 2, None)
    assert said(server, again) == ["done in attempt 2"]
    until(lambda: not list((server.data / "work").glob("*/*")), 5)

    # Had a job lived on, it could not have written into the attempt after it.
    for _, _, token in jobs:
        link = server.link()
        link.headers["Authorization"] = f"Bearer {token}"
        points = [{"metric": "late", "iter": 1, "value": 1.0, "ts": 1}]
        assert link.call("POST", "/runner/v1/metrics", {"points": points}).status == 401
        link.close()
    assert server.use(get_rollups, [again])[again] == []


COUNTING = """
import time
from quintet.recipes import RecipeContext, recipe

@recipe(name="counting", stages=("count",))
def main(ctx: RecipeContext) -> None:
    with ctx.stage("count", total={steps}) as stage:
        for step in range({steps}):
            ctx.metric("count", "steps", step / 4, step)
            print("line", step, flush=True)
            stage.advance()
            time.sleep(0.02)
    ctx.result({{"steps": {steps}}})
"""


def test_a_run_outlives_the_server_that_gave_it(make_server: Callable[..., Server]) -> None:
    server = make_server(workers=1, lease_seconds=10)
    steps = 250
    run_id = server.submit(COUNTING.format(steps=steps), command=False)
    server.start()
    [worker] = server.worker_pids()
    for at in (40, 100):
        server.until(lambda parts, at=at: count(parts, server, run_id) >= at)  # type: ignore[misc]
        server.kill()
        server.start()
    done = server.until_state(run_id, *ENDED)
    assert (done.state, done.error, done.attempt) == (RunState.COMPLETED, None, 1)
    assert done.result == {"steps": steps}
    [series] = server.use(get_rollups, [run_id])[run_id]
    assert (series.count, series.last_iter, series.last_value) == (steps, steps - 1, (steps - 1) / 4)
    assert [line for line in said(server, run_id) if line.startswith("line ")] == [f"line {i}" for i in range(steps)]
    assert not list((server.data / "work").glob("*/*"))
    # The worker of the first server goes after the run: the second one has brought its own.
    until(lambda: not alive(worker), 10)
    assert worker not in server.worker_pids()


def count(parts: Parts, server: Server, run_id: Id) -> int:
    """How many points the run has sent so far."""
    found = parts.core.read_now(server.admin, get_rollups, [run_id])[run_id]
    return found[0].count if found else 0


def test_a_run_that_is_asked_to_stop_ends_within_seconds(make_server: Callable[..., Server], tmp_path: Path) -> None:
    server = make_server(workers=1)
    run_id = server.submit(FIRST_HANGS.format(notes=str(tmp_path), good=""))
    server.start()
    job, child, _ = noted(tmp_path / f"{run_id}-1")
    parts = server.parts()
    parts.core.write_now(server.admin, state.request_stop, run_id)
    parts.close()
    asked = time.monotonic()
    run = server.until_state(run_id, *ENDED)
    assert run.state is RunState.STOPPED
    assert time.monotonic() - asked < 8
    assert not alive(int(job))
    assert not alive(int(child))


def test_a_server_that_is_told_to_go_puts_its_run_back_at_the_front(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = make_server(workers=1)
    first = server.submit(FIRST_HANGS.format(notes=str(tmp_path), good=""))
    second = server.submit("print('second')")
    server.start()
    job, child, _ = noted(tmp_path / f"{first}-1")
    workers = server.worker_pids()
    server.terminate()
    assert not any(alive(pid) for pid in (*workers, int(job), int(child)))
    back = run_of(server, first)
    assert (back.state, back.attempt, back.status_reason) == (RunState.QUEUED, 0, "worker shut down")

    (tmp_path / f"{first}-1").unlink()
    server.start()
    noted(tmp_path / f"{first}-1")
    assert run_of(server, first).state is RunState.RUNNING
    assert run_of(server, second).state is RunState.QUEUED
    [worker] = server.worker_pids()
    os.kill(children(children(worker)[0])[0], signal.SIGTERM)
    assert server.until_state(first, *ENDED).state is RunState.STOPPED
    assert server.until_state(second, *ENDED).state is RunState.COMPLETED


def run_of(server: Server, run_id: Id) -> Run:
    run = server.use(get_run, run_id)
    assert isinstance(run, Run)
    return run
