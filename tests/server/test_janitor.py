"""The janitor: what it does each round, that a failure does not end it, and its patience after a start."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sqlalchemy import func, select
from tests.support.factories import NOW, World, make_ports, make_run, make_world, read_as, write_as

from quintet.app.core import Core
from quintet.app.events.read import get_rollups
from quintet.app.events.report import report_points
from quintet.app.queues.entries import Enqueue, enqueue_run
from quintet.app.runs import read
from quintet.app.work import leases
from quintet.domain.ids import Id
from quintet.domain.runs import RunState
from quintet.domain.series import PointBatch
from quintet.server.janitor import Janitor
from quintet.storage import tables
from quintet.storage.database import Database


def expired(db: Database, world: World) -> Id:
    run = make_run(db, world, state=RunState.CREATED, recipe="sft")
    write_as(db, world.actor, enqueue_run, Enqueue(run.id))
    write_as(db, world.actor, leases.lease_next, "w", ["default"], 60)
    return run.id


def rounds(db: Database, grace: float, *periodic: Callable[[], Awaitable[None]]) -> None:
    """Runs a janitor until it has come to its second round."""

    async def main() -> None:
        core = Core(db, make_ports(), clock=lambda: NOW + 3_600_000_000)
        passed, count = asyncio.Event(), 0

        async def mark() -> None:
            nonlocal count
            count += 1
            if count == 2:
                passed.set()

        core.services["periodic"] = [*periodic, mark]
        janitor = Janitor(core, round_seconds=0.001, grace=grace)
        janitor.start()
        await asyncio.wait_for(passed.wait(), 20)
        await janitor.stop()

    asyncio.run(main())


def test_a_dead_workers_run_is_taken_back(db: Database) -> None:
    world = make_world(db)
    run_id = expired(db, world)
    rounds(db, 0)
    assert read_as(db, world.actor, read.get_run, run_id).state is RunState.QUEUED


def test_after_a_start_workers_have_time_to_renew(sqlite_db: Database) -> None:
    world = make_world(sqlite_db)
    run_id = expired(sqlite_db, world)
    rounds(sqlite_db, 60)
    assert read_as(sqlite_db, world.actor, read.get_run, run_id).state is RunState.RUNNING


def test_what_runs_report_is_folded(db: Database) -> None:
    world = make_world(db)
    run = make_run(db, world)
    for step in range(3):
        batch = PointBatch.of([("loss", "train", step, NOW, 0.5)])
        write_as(db, world.actor, report_points, run.id, batch)
    pieces = select(func.count()).select_from(tables.series_tail)
    blocks = select(func.count()).select_from(tables.series_blocks)
    assert db.read(lambda tx: (tx.scalar(pieces) > 0, tx.scalar(blocks))) == (True, 0)
    rounds(db, 0)
    assert db.read(lambda tx: (tx.scalar(pieces), tx.scalar(blocks))) == (0, 1)
    [series] = read_as(db, world.actor, get_rollups, [run.id])[run.id]
    assert (series.count, series.last_iter) == (3, 2)


def test_a_failure_does_not_end_the_rounds(sqlite_db: Database) -> None:
    async def fail() -> None:
        raise RuntimeError("no")

    rounds(sqlite_db, 0, fail)
