"""Leases and workers: one run, one worker; stale words change nothing; dead workers' runs come back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from quintet.app.events.read import tail_log
from quintet.app.identity.accounts import SYSTEM
from quintet.app.queues.entries import Enqueue, enqueue_run, entry_of
from quintet.app.runs import read, state
from quintet.app.work import leases, workers
from quintet.app.work.leases import LeasedRun, Outcome
from quintet.app.work.workers import WorkerReport
from quintet.domain.errors import Forbidden, Invalid, NotFound, Precondition
from quintet.domain.events import LogLine
from quintet.domain.ids import Id, new_id
from quintet.domain.runs import Run, RunState
from quintet.storage.database import Database
from tests.support.factories import NOW, World, make_run, make_world, read_as, write_as

MINUTE = 60_000_000


@pytest.fixture
def world(db: Database) -> World:
    return make_world(db)


def waiting(db: Database, world: World, queue: str = "default", **fields: Any) -> Run:
    run = make_run(db, world, state=RunState.CREATED, **{"recipe": "sft", **fields})
    return write_as(db, world.actor, enqueue_run, Enqueue(run.id, queue, create=True)).run


def lease(db: Database, world: World, *queues: str, now: int = NOW, seconds: int = 60) -> LeasedRun | None:
    return write_as(db, world.actor, leases.lease_next, "w", queues or ("default",), seconds, now=now)


def leased(db: Database, world: World, **fields: Any) -> LeasedRun:
    waiting(db, world, **fields)
    got = lease(db, world)
    assert got is not None
    return got


def expire(db: Database, now: int) -> list[Run]:
    """What the janitor does in a round."""
    found = [
        write_as(db, SYSTEM, leases.expire_lease, i, now=now) for i in read_as(db, SYSTEM, leases.dead_runs, now=now)
    ]
    return [run for run in found if run is not None]


def stop_silent(db: Database, now: int) -> list[Id]:
    found = read_as(db, SYSTEM, leases.silent_runs, now=now)
    return [i for i in found if write_as(db, SYSTEM, leases.stop_silent_run, i, now=now) is not None]


def now_is(db: Database, world: World, run_id: Id) -> Run:
    return read_as(db, world.actor, read.get_run, run_id)


def test_a_worker_gets_the_first_run_that_has_a_recipe(db: Database, world: World) -> None:
    waiting(db, world, recipe=None)
    run = waiting(db, world)
    assert read_as(db, world.actor, leases.has_work, ["default"])
    got = lease(db, world)
    assert got is not None
    assert (got.run.id, got.run.state, got.lease.attempt) == (run.id, RunState.RUNNING, 1)
    assert got.lease.expires_at == NOW + MINUTE
    assert lease(db, world) is None
    assert not read_as(db, world.actor, leases.has_work, ["default"])


def test_queues_named_first_come_first(db: Database, world: World) -> None:
    slow, fast = waiting(db, world, "slow"), waiting(db, world, "fast")
    first, second = lease(db, world, "fast", "slow"), lease(db, world, "fast", "slow")
    assert [x.run.id for x in (first, second) if x] == [fast.id, slow.id]


def test_a_worker_serves_its_own_space_and_the_server_all_of_them(db: Database, world: World) -> None:
    other = make_world(db)
    run = waiting(db, other)
    assert lease(db, world) is None
    got = write_as(db, SYSTEM, leases.lease_next, "built-in", ["default"], 60)
    assert got.run.id == run.id
    assert write_as(db, SYSTEM, leases.heartbeat, run.id, got.lease.token, 60).stop is False


def test_a_member_may_not_lease(db: Database, world: World) -> None:
    waiting(db, world)
    with pytest.raises(Forbidden):
        write_as(db, world.as_role("member"), leases.lease_next, "w", ["default"], 60)
    with pytest.raises(Invalid) as caught:
        lease(db, world, seconds=0)
    assert caught.value.field == "seconds"


def test_each_run_is_leased_once_by_many_workers_at_once(db: Database, world: World) -> None:
    runs = [waiting(db, world) for _ in range(24)]

    def work(n: int) -> list[Id]:
        got = []
        while (found := write_as(db, world.actor, leases.lease_next, f"w{n}", ["default"], 60)) is not None:
            got.append(found.run.id)
        return got

    with ThreadPoolExecutor(8) as pool:
        taken = [run_id for got in pool.map(work, range(8)) for run_id in got]
    assert sorted(taken) == sorted(r.id for r in runs)


def test_a_heartbeat_keeps_the_lease_and_carries_the_wish_to_stop(db: Database, world: World) -> None:
    got = leased(db, world)
    beat = write_as(db, world.actor, leases.heartbeat, got.run.id, got.lease.token, 60, now=NOW + MINUTE)
    assert beat == (False, NOW + 2 * MINUTE)
    asked = write_as(db, world.actor, state.request_stop, got.run.id)
    assert (asked.state, asked.stop_requested) == (RunState.RUNNING, True)
    assert write_as(db, world.actor, leases.heartbeat, got.run.id, got.lease.token, 60).stop is True
    done = write_as(db, world.actor, leases.finish, got.run.id, got.lease.token, Outcome.STOPPED)
    assert (done.state, done.status_reason) == (RunState.STOPPED, "Stopped by Ada")


@pytest.mark.parametrize(
    ("outcome", "state_", "error"),
    [
        (Outcome.COMPLETED, RunState.COMPLETED, None),
        (Outcome.FAILED, RunState.FAILED, "boom"),
        (Outcome.STOPPED, RunState.STOPPED, None),
    ],
)
def test_an_outcome_ends_the_run(
    db: Database, world: World, outcome: Outcome, state_: RunState, error: str | None
) -> None:
    got = leased(db, world)
    run = write_as(db, world.actor, leases.finish, got.run.id, got.lease.token, outcome, "boom")
    assert (run.state, run.error) == (state_, error)
    assert read_as(db, world.actor, read.lease_of, run.id) is None


def test_a_worker_that_goes_gives_its_run_back_without_an_attempt(db: Database, world: World) -> None:
    got = leased(db, world)
    waiting(db, world)
    run = write_as(db, world.actor, leases.finish, got.run.id, got.lease.token, Outcome.REQUEUE)
    assert (run.state, run.attempt) == (RunState.QUEUED, 0)
    again = lease(db, world)
    assert again is not None
    assert (again.run.id, again.lease.attempt) == (run.id, 1)


def test_a_stale_token_changes_nothing(db: Database, world: World) -> None:
    got = leased(db, world)
    expire(db, NOW + 2 * MINUTE)
    again = lease(db, world, now=NOW + 2 * MINUTE)
    assert again is not None
    before = now_is(db, world, got.run.id)
    for token in (got.lease.token, "", "x" * 32):
        with pytest.raises(Precondition):
            write_as(db, world.actor, leases.heartbeat, got.run.id, token, 60)
        for outcome in Outcome:
            with pytest.raises(Precondition):
                write_as(db, world.actor, leases.finish, got.run.id, token, outcome, "late")
    assert now_is(db, world, got.run.id) == before
    assert read_as(db, world.actor, read.lease_of, got.run.id) == again.lease


def test_lines_that_come_again_count_once(db: Database, world: World) -> None:
    got = leased(db, world)
    lines = [LogLine(NOW + i, "info", "", f"line {i}") for i in range(5)]

    def report(token: str, start: int | None, first: int, end: int) -> int:
        return write_as(db, world.actor, leases.report_lines, got.run.id, token, lines[first:end], start)

    assert report(got.lease.token, 0, 0, 2) == 2
    assert report(got.lease.token, 0, 0, 2) == 0
    assert report(got.lease.token, 1, 1, 4) == 2
    assert report(got.lease.token, 4, 4, 5) == 1
    assert [line.msg for line in read_as(db, world.actor, tail_log, got.run.id)] == [line.msg for line in lines]
    with pytest.raises(Invalid):
        report(got.lease.token, -1, 0, 1)
    # Another attempt prints from the start; who does not count says nothing twice.
    expire(db, NOW + 2 * MINUTE)
    again = lease(db, world, now=NOW + 2 * MINUTE)
    assert again is not None
    assert report(again.lease.token, 0, 0, 2) == 2
    assert report(again.lease.token, None, 0, 2) == 2


def test_a_dead_workers_run_is_tried_again_and_then_fails(db: Database, world: World) -> None:
    got = leased(db, world, max_attempts=2)
    waiting(db, world)
    assert expire(db, NOW + MINUTE) == []
    [back] = expire(db, NOW + MINUTE + 1)
    assert (back.id, back.state, back.status_reason) == (got.run.id, RunState.QUEUED, "worker lost")
    again = lease(db, world)
    assert again is not None
    assert (again.run.id, again.lease.attempt) == (got.run.id, 2)
    [dead] = expire(db, NOW + MINUTE + 1)
    assert (dead.state, dead.status_reason) == (RunState.FAILED, "worker lost")
    assert dead.error == "the worker 'w' was lost in attempt 2 of 2"
    assert read_as(db, world.actor, entry_of, dead.id) is None


def test_a_dead_workers_run_that_was_asked_to_stop_is_stopped(db: Database, world: World) -> None:
    got = leased(db, world)
    write_as(db, world.actor, state.request_stop, got.run.id)
    [run] = expire(db, NOW + 2 * MINUTE)
    assert run.state is RunState.STOPPED


def test_a_run_ended_from_outside_takes_the_lease_with_it(db: Database, world: World) -> None:
    got = leased(db, world)
    write_as(db, world.actor, state.fail_run, got.run.id, message="by hand")
    with pytest.raises(Precondition):
        write_as(db, world.actor, leases.heartbeat, got.run.id, got.lease.token, 60)
    assert now_is(db, world, got.run.id).error == "by hand"


def test_silent_runs_are_stopped_but_leased_ones_are_not(db: Database, world: World) -> None:
    silent = make_run(db, world, updated_at=NOW - leases.SILENT_US - 1)
    fresh = make_run(db, world, updated_at=NOW - leases.SILENT_US)
    held = leased(db, world)
    assert stop_silent(db, NOW) == [silent.id]
    assert now_is(db, world, silent.id).state is RunState.STOPPED
    assert stop_silent(db, NOW + leases.SILENT_US + 1) == [fresh.id]
    assert now_is(db, world, held.run.id).state is RunState.RUNNING


def test_only_the_server_itself_cleans_up(db: Database, world: World) -> None:
    got = leased(db, world)
    for use_case in (leases.expire_lease, leases.stop_silent_run):
        with pytest.raises(Forbidden):
            write_as(db, world.actor, use_case, got.run.id)
    for look in (leases.dead_runs, leases.silent_runs):
        with pytest.raises(Forbidden):
            read_as(db, world.actor, look)


def test_a_sign_of_life_between_the_look_and_the_lock_keeps_the_run(db: Database, world: World) -> None:
    got = leased(db, world)
    late = NOW + 2 * MINUTE
    assert read_as(db, SYSTEM, leases.dead_runs, now=late) == [got.run.id]
    write_as(db, world.actor, leases.heartbeat, got.run.id, got.lease.token, 60, now=late)
    assert write_as(db, SYSTEM, leases.expire_lease, got.run.id, now=late) is None
    assert now_is(db, world, got.run.id).state is RunState.RUNNING


def test_workers_are_known_while_they_report(db: Database, world: World) -> None:
    write_as(db, world.actor, workers.register_worker, WorkerReport("agent:0", tags=("a",), ip="10.0.0.1"), 5)
    run = make_run(db, world)
    seen = write_as(db, world.actor, workers.report_worker, WorkerReport("agent:0", run.id), now=NOW + 1_000_000)
    assert (seen.run_id, seen.tags, seen.expires_at) == (run.id, ("a",), NOW + 6_000_000)
    assert now_is(db, world, run.id).last_worker == "agent:0"
    assert [w.name for w in read_as(db, world.actor, workers.list_workers, now=NOW + 6_000_000)] == ["agent:0"]
    assert read_as(db, world.actor, workers.list_workers, now=NOW + 6_000_001) == []
    assert write_as(db, world.actor, workers.unregister_worker, "agent:0") is True
    assert write_as(db, world.actor, workers.unregister_worker, "agent:0") is False


def test_a_report_of_a_run_that_is_not_there_changes_nothing(db: Database, world: World) -> None:
    with pytest.raises(NotFound):
        write_as(db, world.actor, workers.report_worker, WorkerReport("new", new_id()))
    assert read_as(db, world.actor, workers.list_workers) == []


def test_our_own_workers_are_listed_with_what_they_do(db: Database, world: World) -> None:
    got = leased(db, world)
    [worker] = read_as(db, world.actor, workers.list_workers)
    assert (worker.name, worker.run_id, worker.queues) == ("w", got.run.id, (got.run.queue_id,))
    write_as(db, world.actor, leases.finish, got.run.id, got.lease.token, Outcome.COMPLETED)
    [idle] = read_as(db, world.actor, workers.list_workers)
    assert idle == replace(worker, run_id=None)
