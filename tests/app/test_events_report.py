"""Reporting: who may, to which runs, what it says of the run, and that bad items do not cost the good ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from quintet.app.events import read, report
from quintet.app.events.report import ReportResult, RunReport
from quintet.domain.errors import Forbidden, Invalid, NotFound, Precondition
from quintet.domain.events import EventType, LogLine, NewEvent
from quintet.domain.ids import Id, new_id
from quintet.domain.runs import RunState
from quintet.domain.series import SINGLE, PointBatch, PointRow
from quintet.storage import tables
from quintet.storage.database import Database
from tests.support.factories import NOW, World, make_run, make_world, read_as, write_as

LINE = LogLine(NOW, "info", "host", "hello")
PLOT = NewEvent(EventType.PLOT, "roc", "val", 3, NOW, data="{}")
LATER = NOW + 5


@pytest.fixture
def world(db: Database) -> World:
    return make_world(db)


def points(*iters: int, metric: str = "loss") -> list[PointRow]:
    return [(metric, "train", i, NOW, 0.5) for i in iters]


def run_row(db: Database, run_id: Id) -> tuple[int, int]:
    c = tables.runs.c
    row = db.read(lambda tx: tx.one(select(c.updated_at, c.last_iteration).where(c.id == run_id)))
    assert row is not None
    return row["updated_at"], row["last_iteration"]


def test_a_report_says_that_the_run_lives_and_how_far_it_is(db: Database, world: World) -> None:
    run = make_run(db, world)
    batch = PointBatch.of([*points(4, 7), *points(900, metric=":monitor:gpu")])
    result = write_as(db, world.actor, report.report_points, run.id, batch, now=LATER)
    assert (result.added, result.last_iter) == (3, 7)
    assert run_row(db, run.id) == (LATER, 7)
    write_as(db, world.actor, report.report_points, run.id, PointBatch.of(points(2)), now=LATER + 1)
    assert run_row(db, run.id) == (LATER + 1, 7)


def test_logs_and_events_are_stored_and_noted(db: Database, world: World) -> None:
    run = make_run(db, world)
    assert write_as(db, world.actor, report.report_logs, run.id, [LINE, LINE], now=LATER) == 2
    assert run_row(db, run.id) == (LATER, 0)
    assert write_as(db, world.actor, report.report_events, run.id, [PLOT], now=LATER) == 1
    assert run_row(db, run.id) == (LATER, 3)
    assert [line.msg for line in read_as(db, world.actor, read.tail_log, run.id)] == ["hello", "hello"]
    assert [e.iter for e in read_as(db, world.actor, read.last_events, [run.id])] == [3]


@pytest.mark.parametrize("state", [RunState.PUBLISHED, RunState.PUBLISHING])
def test_a_published_run_takes_no_more_unless_told_to(db: Database, world: World, state: RunState) -> None:
    run = make_run(db, world, state=state)
    for use_case, items in (
        (report.report_points, PointBatch.of(points(1))),
        (report.report_logs, [LINE]),
        (report.report_events, [PLOT]),
    ):
        with pytest.raises(Precondition):
            write_as(db, world.actor, use_case, run.id, items)
        write_as(db, world.actor, use_case, run.id, items, allow_locked=True)
    with pytest.raises(Precondition):
        write_as(db, world.actor, report.clear_log, run.id)


def test_a_run_of_another_space_looks_as_if_it_were_not_there(db: Database, world: World) -> None:
    foreign = make_run(db, make_world(db))
    for run_id in (foreign.id, new_id()):
        with pytest.raises(NotFound):
            write_as(db, world.actor, report.report_points, run_id, PointBatch.of(points(1)))
        with pytest.raises(NotFound):
            read_as(db, world.actor, read.sample_curves, [run_id])
        with pytest.raises(NotFound):
            read_as(db, world.actor, read.tail_log, run_id)
    assert run_row(db, foreign.id) == (NOW, 0)


def test_only_who_may_write_runs_reports(db: Database, world: World) -> None:
    run = make_run(db, world)
    reader = world.as_role("read-only")
    with pytest.raises(Forbidden):
        write_as(db, reader, report.report_points, run.id, PointBatch.of(points(1)))
    with pytest.raises(Forbidden):
        write_as(db, reader, report.report_many, {run.id: RunReport(points(1))})
    assert read_as(db, reader, read.get_rollups, [run.id]) == {run.id: []}


def test_the_token_of_a_run_reports_to_that_run_alone(db: Database, world: World) -> None:
    own, other = make_run(db, world), make_run(db, world)
    actor = replace(world.actor, run_id=own.id)
    result = write_as(db, actor, report.report_many, {own.id: RunReport(points(1)), other.id: RunReport(points(1, 2))})
    assert (result.added, result.errors) == (1, 2)
    assert read_as(db, world.actor, read.get_rollups, [other.id]) == {other.id: []}


def test_a_mixed_batch_keeps_what_is_valid_and_counts_the_rest(db: Database, world: World) -> None:
    run, published, missing = make_run(db, world), make_run(db, world, state=RunState.PUBLISHED), new_id()
    bad_name: PointRow = ("m" * 2_000, "v", 1, NOW, 1.0)
    bad_value: PointRow = ("loss", "train", 2, NOW, "high")  # type: ignore[assignment]
    result = write_as(
        db, world.actor, report.report_many,
        {
            run.id: RunReport(
                [*points(1), bad_name, bad_value, ("Summary", "acc", SINGLE, NOW, 0.9)],
                [LINE, LogLine(2**70, "", "", "")],
                [PLOT, replace(PLOT, metric="\x00"), replace(PLOT, url="x" * 5_000)],
            ),
            published.id: RunReport(points(1, 2), [LINE]),
            missing: RunReport(points(1)),
        },
        now=LATER,
    )  # fmt: skip
    assert isinstance(result, ReportResult)
    assert (result.added, result.errors) == (4, 9)
    assert sorted(result.reasons.values()) == [1, 1, 1, 1, 1, 1, 3]
    assert any("published" in reason for reason in result.reasons)
    assert run_row(db, run.id) == (LATER, 3)
    assert run_row(db, published.id) == (NOW, 0)
    assert [s.value for s in read_as(db, world.actor, read.get_single_values, [run.id])] == [0.9]


def test_a_batch_of_only_bad_items_changes_nothing(db: Database, world: World) -> None:
    run = make_run(db, world)
    bad: list[PointRow] = [("loss", "train", 2**80, NOW, 1.0)]
    result = write_as(db, world.actor, report.report_many, {run.id: RunReport(bad)}, now=LATER)
    assert (result.added, result.errors) == (0, 1)
    assert run_row(db, run.id) == (NOW, 0)


def test_a_bad_line_or_event_on_its_own_is_refused_with_its_field(db: Database, world: World) -> None:
    run = make_run(db, world)
    with pytest.raises(Invalid) as refused:
        write_as(db, world.actor, report.report_logs, run.id, [LINE, LogLine(2**70, "", "", "")])
    assert refused.value.field == "lines"
    with pytest.raises(Invalid):
        write_as(db, world.actor, report.report_events, run.id, [replace(PLOT, iter=2**70)])
    assert read_as(db, world.actor, read.tail_log, run.id) == []


def test_deleting_reports_and_clearing_the_log(db: Database, world: World) -> None:
    run = make_run(db, world)
    image = NewEvent(EventType.IMAGE, "images", "cat", 1, NOW, key="k", url="http://files/k")
    everything = {run.id: RunReport(points(1, 2), [LINE], [PLOT, image])}
    write_as(db, world.actor, report.report_many, everything)
    assert read_as(db, world.actor, read.stored_bytes, [run.id])[run.id] > 0
    assert write_as(db, world.actor, report.clear_log, run.id) == 1
    assert write_as(db, world.actor, report.delete_reports, run.id) == ["http://files/k"]
    assert read_as(db, world.actor, read.stored_bytes, [run.id]) == {run.id: 0}
    assert read_as(db, world.actor, read.get_rollups, [run.id]) == {run.id: []}
