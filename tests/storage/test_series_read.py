"""Charts follow the sampling rule, and pages give every point once."""

from __future__ import annotations

import math

import pytest

from quintet.domain.errors import Invalid
from quintet.domain.ids import Id
from quintet.domain.series import SINGLE, MetricFilter, PointBatch, PointPage, PointRow
from quintet.storage import series, series_read
from quintet.storage.database import Database
from tests.support.factories import make_run, make_world

POINTS = 5_000


@pytest.fixture
def run(db: Database) -> Id:
    return make_run(db, make_world(db)).id


def append(db: Database, run: Id, rows: list[PointRow]) -> None:
    db.write(lambda tx: series.append_points(tx, run, PointBatch.of(rows)))


def test_few_points_are_given_as_they_are(db: Database, run: Id) -> None:
    append(db, run, [("b", "v", 5, 50, 1.0), ("a", "w", 1, 10, 2.0), ("a", "v", 2, 20, 3.0)])
    curves = db.read(lambda tx: series_read.sample(tx, [run], samples=3))
    assert [(c.metric, c.variant, list(c.x), list(c.y), c.sampled) for c in curves] == [
        ("a", "v", [2], [3.0], False),
        ("a", "w", [1], [2.0], False),
        ("b", "v", [5], [1.0], False),
    ]


def test_many_points_become_means_of_aligned_buckets(db: Database, run: Id) -> None:
    append(db, run, [("m", "v", i, i * 10, float(i)) for i in range(7, 7 + POINTS)])
    (curve,) = db.read(lambda tx: series_read.sample(tx, [run], samples=2_000))
    assert curve.sampled
    assert list(curve.x) == list(range(6, 7 + POINTS, 3))
    assert list(curve.y[:3]) == [7.5, 10.0, 13.0]
    (over_time,) = db.read(lambda tx: series_read.sample(tx, [run], samples=500, axis="ts"))
    width = math.ceil((10 * (POINTS - 1) + 1) / 500)
    assert all(x % width == 0 for x in over_time.x)
    assert sum(over_time.y) / len(over_time.y) == pytest.approx(7 + POINTS / 2, rel=0.01)


def test_buckets_hold_the_extremes_and_keep_to_the_window(db: Database, run: Id) -> None:
    append(db, run, [("m", "v", i, i, 100.0 if i == 4_500 else math.sin(i)) for i in range(POINTS)])
    (curve,) = db.read(lambda tx: series_read.chart(tx, [run], points=10))
    assert len(curve.x) == 10
    assert max(curve.high) == 100.0
    assert min(curve.low) == pytest.approx(-1, abs=0.01)
    (part,) = db.read(lambda tx: series_read.chart(tx, [run], points=100, first=4_090, last=4_110))
    assert (list(part.x), part.sampled) == (list(range(4_090, 4_111)), False)
    assert db.read(lambda tx: series_read.chart(tx, [run], first=POINTS)) == []
    (timed,) = db.read(lambda tx: series_read.chart(tx, [run], axis="ts", first=10, last=12))
    assert list(timed.x) == [10, 11, 12]


def test_filters_choose_metrics_and_variants_of_several_runs(db: Database) -> None:
    world = make_world(db)
    runs = [make_run(db, world).id for _ in range(2)]
    for run in runs:
        append(db, run, [(m, v, 0, 0, 1.0) for m in "ab" for v in "xyz"])
    wanted = [MetricFilter("a", ("x", "z")), MetricFilter("b", ("y",))]
    curves = db.read(lambda tx: series_read.sample(tx, runs, wanted))
    assert [(c.metric, c.variant) for c in curves] == [("a", "x")] * 2 + [("a", "z")] * 2 + [("b", "y")] * 2
    assert [c.run_id for c in curves[:2]] == runs


@pytest.mark.parametrize("samples", [0, 6_001])
def test_an_absurd_number_of_samples_is_refused(sqlite_db: Database, samples: int) -> None:
    with pytest.raises(Invalid):
        sqlite_db.read(lambda tx: series_read.sample(tx, [], samples=samples))
    with pytest.raises(Invalid):
        sqlite_db.read(lambda tx: series_read.chart(tx, [], points=samples))


def ordered_page(db: Database, run: Id, after: int | None, newest_first: bool) -> PointPage:
    return db.read(lambda tx: series_read.points_in_order(tx, run, limit=300, after=after, newest_first=newest_first))


@pytest.mark.parametrize("newest_first", [False, True])
def test_points_of_all_series_page_by_iteration_with_their_ties(db: Database, run: Id, newest_first: bool) -> None:
    rows: list[PointRow] = [(m, "v", i, i, 0.5) for m in "abc" for i in range(-3, 1_000)]
    rows += [("a", "v", i, i, 0.5) for i in range(1_000, 9_500)] + [
        ("a", "v", SINGLE, 1, 9.0),
        ("s", "", SINGLE, 1, 9.0),
    ]
    append(db, run, rows)
    found: list[PointRow] = []
    after: int | None = None
    while True:
        page = ordered_page(db, run, after, newest_first)
        assert page.total == len(rows)
        assert 300 <= len(page.rows) <= 302 or page.next_iter is None
        found += page.rows
        if page.next_iter is None:
            break
        after = page.next_iter
    order = [row[2] for row in found]
    assert order == sorted(order, reverse=newest_first)
    assert sorted(found) == sorted(rows)


def test_pages_do_not_shift_when_points_arrive_between_them(db: Database, run: Id) -> None:
    append(db, run, [("m", v, i, 0, 1.0) for v in "xy" for i in range(10)])
    first = db.read(lambda tx: series_read.raw(tx, run, limit=10))
    assert (first.returned, first.total) == (10, 20)
    append(db, run, [("m", "x", i, 0, 1.0) for i in range(10, 13)])
    second = db.read(lambda tx: series_read.raw(tx, run, limit=100, cursor=first.next_cursor))
    assert [(v, list(p.iters)) for _, v, p in second.series] == [("x", [10, 11, 12]), ("y", list(range(10)))]
    assert second.next_cursor is None


def test_a_forged_cursor_is_refused(sqlite_db: Database) -> None:
    run = make_run(sqlite_db, make_world(sqlite_db)).id
    for cursor in ("nonsense", "WyJhIiwgImIiXQ"):
        with pytest.raises(Invalid):
            sqlite_db.read(lambda tx, c=cursor: series_read.raw(tx, run, cursor=c))  # type: ignore[misc]


def test_a_page_that_ends_at_the_single_value_is_followed_by_all_points(db: Database, run: Id) -> None:
    append(db, run, [("m", "v", SINGLE, 1, 9.0), ("m", "v", -(2**40), 2, 1.0), ("m", "v", 3, 3, 2.0)])
    first = db.read(lambda tx: series_read.raw(tx, run, limit=1))
    second = db.read(lambda tx: series_read.raw(tx, run, cursor=first.next_cursor))
    assert [list(p.iters) for _, _, p in (*first.series, *second.series)] == [[SINGLE], [-(2**40), 3]]
