"""Reading what runs reported, and keeping it compact, through the use cases."""

from __future__ import annotations

import pytest

from quintet.app.events import read, report
from quintet.app.events.report import RunReport
from quintet.app.events.upkeep import fold_due
from quintet.domain.errors import Forbidden, Invalid
from quintet.domain.events import EventType, LogLine, NewEvent
from quintet.domain.ids import new_id
from quintet.domain.runs import Run
from quintet.domain.series import MetricFilter
from quintet.storage import logs, series
from quintet.storage.database import Database
from tests.support.factories import NOW, World, make_run, make_world, read_as, write_as

IMAGE = EventType.IMAGE


@pytest.fixture
def world(db: Database) -> World:
    return make_world(db)


@pytest.fixture
def run(db: Database, world: World) -> Run:
    return make_run(db, world)


def image(iteration: int, url: str, variant: str = "cat") -> NewEvent:
    return NewEvent(IMAGE, "images", variant, iteration, NOW, key=url, url=url)


def test_one_report_is_read_back_in_every_form(db: Database, world: World, run: Run) -> None:
    rows = [("loss", "train", i, NOW + i, 1.0 / (i + 1)) for i in range(3_000)]
    write_as(db, world.actor, report.report_many, {run.id: RunReport(rows, x_labels={("loss", "train"): "step"})})
    (rollup,) = read_as(db, world.actor, read.get_rollups, [run.id])[run.id]
    assert (rollup.count, rollup.first_value, rollup.max_iter, rollup.x_label) == (3_000, 1.0, 0, "step")
    assert rollup.mean == pytest.approx(sum(r[4] for r in rows) / 3_000)
    (curve,) = read_as(db, world.actor, read.sample_curves, [run.id], samples=1_000)
    assert (len(curve.x), curve.x[1], curve.x_label) == (1_000, 3, "step")
    (chart,) = read_as(db, world.actor, read.chart_curves, [run.id], points=100)
    assert (len(chart.x), chart.high[0]) == (100, 1.0)
    page = read_as(db, world.actor, read.raw_points, run.id, limit=2_999)
    rest = read_as(db, world.actor, read.raw_points, run.id, cursor=page.next_cursor)
    assert (page.returned, rest.returned, rest.next_cursor) == (2_999, 1, None)
    ordered = read_as(db, world.actor, read.points_in_order, run.id, [MetricFilter("loss")], newest_first=True)
    assert (ordered.rows[0], ordered.next_iter) == (rows[-1], 2_500)


def test_a_question_about_too_many_runs_is_refused(db: Database, world: World) -> None:
    with pytest.raises(Invalid):
        read_as(db, world.actor, read.sample_curves, [new_id() for _ in range(101)])


def test_the_token_of_a_run_reads_that_run_alone(db: Database, world: World, run: Run) -> None:
    from dataclasses import replace

    actor = replace(world.actor, run_id=new_id())
    with pytest.raises(Forbidden):
        read_as(db, actor, read.get_rollups, [run.id])


def test_log_pages_go_both_ways(db: Database, world: World, run: Run) -> None:
    write_as(db, world.actor, report.report_logs, run.id, [LogLine(NOW + i, "", "", str(i)) for i in range(10)])
    newest = read_as(db, world.actor, read.read_log, run.id, limit=3)
    assert ([line.msg for line in newest.lines], newest.total, newest.more) == (["7", "8", "9"], 10, True)
    after = read_as(db, world.actor, read.read_log, run.id, beyond=NOW + 7, earlier=False)
    assert ([line.msg for line in after.lines], after.more) == (["8", "9"], False)


def test_images_are_walked_by_iteration(db: Database, world: World, run: Run) -> None:
    events = [image(i, f"{i % 4}.png") for i in range(6)] + [image(9, "d.png", "dog")]
    write_as(db, world.actor, report.report_events, run.id, events)
    first = read_as(db, world.actor, read.events_by_iteration, run.id, [IMAGE], iterations=2)
    assert [e.iter for e in first] == [9, 5]
    older = read_as(db, world.actor, read.events_by_iteration, run.id, [IMAGE], iterations=9, beyond=5)
    assert [e.iter for e in older] == [4, 3, 2]
    assert read_as(db, world.actor, read.events_by_iteration, run.id, [IMAGE], beyond=2) == []
    near = read_as(db, world.actor, read.events_near, run.id, IMAGE, "images", "cat", 4)
    assert near is not None
    assert ([e.url for e in near.events], near.first_iter, near.last_iter) == (["0.png"], 2, 5)
    assert read_as(db, world.actor, read.events_near, run.id, IMAGE, "images", "cow") is None
    keys = read_as(db, world.actor, read.event_keys, run.id, [IMAGE])
    assert (keys[0].variant, len(keys)) == ("dog", 7)
    page, following = read_as(db, world.actor, read.page_events, run.id, limit=3)
    assert ([e.iter for e in page.items], following) == ([9, 5, 4], 4)


def test_upkeep_folds_idle_tails_and_small_chunks(db: Database, world: World, run: Run) -> None:
    for i in range(logs.FOLD_CHUNKS):
        line = LogLine(NOW + i, "", "", str(i))
        reports = {run.id: RunReport([("loss", str(i), 0, NOW, 1.0)], [line])}
        write_as(db, world.actor, report.report_many, reports)
    before = read_as(db, world.actor, read.sample_curves, [run.id])
    assert fold_due(db, NOW + 1) == 1
    assert fold_due(db, NOW + series.IDLE_US + 1) == logs.FOLD_CHUNKS
    assert fold_due(db, NOW + series.IDLE_US + 1) == 0
    assert read_as(db, world.actor, read.sample_curves, [run.id]) == before
    assert len(read_as(db, world.actor, read.tail_log, run.id)) == logs.FOLD_CHUNKS
