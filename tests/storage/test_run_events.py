"""Plots, images and vectors: the newest for each key, found by iteration."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from quintet.domain.events import EventKey, EventType, NewEvent, RunEvent
from quintet.domain.ids import Id
from quintet.domain.series import MetricFilter
from quintet.storage import run_events
from quintet.storage.database import Database
from quintet.storage.series_read import stored_bytes
from tests.support.factories import make_run, make_world

PLOT, IMAGE = EventType.PLOT, EventType.IMAGE


@pytest.fixture
def run(db: Database) -> Id:
    return make_run(db, make_world(db)).id


def plot(iteration: int, data: str = "{}", metric: str = "roc", variant: str = "val") -> NewEvent:
    return NewEvent(PLOT, metric, variant, iteration, iteration, data=data)


def image(iteration: int, url: str, variant: str = "cat") -> NewEvent:
    return NewEvent(IMAGE, "images", variant, iteration, iteration, key=url, url=url)


def put(db: Database, run: Id, *events: NewEvent) -> None:
    db.write(lambda tx: run_events.put_events(tx, run, events))


def iters(events: list[RunEvent]) -> list[int]:
    return [event.iter for event in events]


def test_an_event_replaces_the_one_at_its_place(db: Database, run: Id) -> None:
    put(db, run, plot(1, '{"old": 1}'), plot(1, '{"older": 1}'), plot(2))
    put(db, run, replace(plot(1, '{"new": 1}'), ts=9))
    found = db.read(lambda tx: run_events.last_events(tx, [run], [PLOT], iterations=10))
    assert [(e.iter, e.ts, e.data) for e in found] == [(2, 2, "{}"), (1, 9, '{"new": 1}')]


def test_large_figures_are_compressed_at_rest_and_whole_when_read(db: Database, run: Id) -> None:
    figure = json.dumps({"data": [{"x": list(range(50_000)), "é": "ü"}]}, ensure_ascii=False)
    put(db, run, plot(1, figure))
    (found,) = db.read(lambda tx: run_events.last_events(tx, [run], [PLOT]))
    assert found.data == figure
    assert db.read(lambda tx: stored_bytes(tx, [run]))[run] < len(figure) / 2


def test_the_last_iterations_are_counted_for_each_metric_and_variant(db: Database, run: Id) -> None:
    put(db, run, *(plot(i) for i in range(5)), *(plot(i, variant="test") for i in range(2)))
    put(db, run, image(99, "u"))
    found = db.read(lambda tx: run_events.last_events(tx, [run], [PLOT], iterations=2))
    assert [(e.variant, e.iter) for e in found] == [("test", 1), ("test", 0), ("val", 4), ("val", 3)]
    chosen = db.read(lambda tx: run_events.last_events(tx, [run], [PLOT], [MetricFilter("roc", ("val",))]))
    assert iters(chosen) == [4]


def test_iterations_of_several_runs_count_alone_or_together(db: Database) -> None:
    world = make_world(db)
    first, second = make_run(db, world).id, make_run(db, world).id
    put(db, first, plot(1), plot(5))
    put(db, second, plot(3))
    both = [first, second]
    alone = db.read(lambda tx: run_events.last_events(tx, both, [PLOT]))
    together = db.read(lambda tx: run_events.last_events(tx, both, [PLOT], per_run=False))
    assert (sorted(iters(alone)), iters(together)) == ([3, 5], [5])


def test_images_whose_file_was_written_again_are_hidden(db: Database, run: Id) -> None:
    put(db, run, *(image(i, f"http://files/{i % 3}.png") for i in range(5)))
    keys = db.read(lambda tx: run_events.event_keys(tx, run, [IMAGE], current_only=True))
    assert keys == [EventKey("images", "cat", i, 1) for i in (4, 3, 2)]
    assert len(db.read(lambda tx: run_events.event_keys(tx, run, [IMAGE]))) == 5
    found = db.read(lambda tx: run_events.events_at(tx, run, [IMAGE], iters=[0, 1, 2, 3]))
    assert iters(found) == [3, 2]


def test_iterations_are_listed_from_the_newest_or_beyond_one(db: Database, run: Id) -> None:
    put(db, run, *(image(i, f"{i}.png", v) for i in range(0, 50, 10) for v in ("cat", "dog")))

    def listed(beyond: int | None = None, newer: bool = False) -> list[int]:
        return db.read(lambda tx: run_events.iterations(tx, run, [IMAGE], beyond=beyond, newer=newer, limit=2))

    assert listed() == [40, 30]
    assert listed(beyond=30) == [20, 10]
    assert listed(beyond=10, newer=True) == [30, 20]
    assert listed(beyond=0) == []


@pytest.mark.parametrize("newest_first", [False, True])
def test_pages_hold_all_events_of_their_last_iteration(db: Database, run: Id, newest_first: bool) -> None:
    put(db, run, *(plot(i // 3, variant=str(i)) for i in range(20)))
    found: list[RunEvent] = []
    after = None
    for _ in range(20):
        page, after = next_page(db, run, after, newest_first)
        assert page.total == 20
        found += page.items
        if after is None:
            break
    assert len(found) == 20
    assert iters(found) == sorted(iters(found), reverse=newest_first)


def next_page(db: Database, run: Id, after: int | None, newest_first: bool):  # type: ignore[no-untyped-def]
    return db.read(lambda tx: run_events.page_events(tx, run, [PLOT], limit=4, after=after, newest_first=newest_first))


def test_deleting_tells_which_files_were_pointed_to(db: Database) -> None:
    world = make_world(db)
    run, other = make_run(db, world).id, make_run(db, world).id
    put(db, run, image(1, "b"), image(2, "a"), image(3, "a"), plot(1))
    put(db, other, image(1, "c"))
    assert db.write(lambda tx: run_events.delete_events(tx, run)) == ["a", "b"]
    assert db.read(lambda tx: run_events.event_keys(tx, run, [IMAGE, PLOT])) == []
    assert len(db.read(lambda tx: run_events.event_keys(tx, other, [IMAGE]))) == 1
