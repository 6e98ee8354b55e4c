"""Series keep every point once, with right roll-ups, whatever the order and size of appends."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from quintet.domain.errors import Invalid
from quintet.domain.ids import Id
from quintet.domain.series import LISTED_SERIES, SINGLE, PointBatch, PointRow, Points, RawPage, RollUp
from quintet.storage import series, series_read, tables
from quintet.storage.blocks import BLOCK_POINTS
from quintet.storage.database import Database
from tests.support.factories import make_run, make_world

Model = dict[int, tuple[int, float]]


@pytest.fixture
def run(db: Database) -> Id:
    return make_run(db, make_world(db)).id


def append(db: Database, run: Id, *rows: PointRow, now: int = 0) -> None:
    db.write(lambda tx: series.append_points(tx, run, PointBatch.of(rows), now))


def curve(first: int, count: int, step: int = 1, scale: float = 1.0) -> list[PointRow]:
    return [("loss", "train", i, i * 1000, scale / (1 + abs(i))) for i in range(first, first + count * step, step)]


def stored(db: Database, run: Id) -> Model:
    """Every point of the run's only series, read in pages."""
    found: Model = {}
    cursor = None
    while True:
        page = raw_page(db, run, cursor)
        for _, _, points in page.series:
            for i, ts, value in zip(points.iters, points.times, points.values, strict=True):
                assert i not in found
                found[i] = (ts, value)
        if page.next_cursor is None:
            return found
        cursor = page.next_cursor


def raw_page(db: Database, run: Id, cursor: str | None) -> RawPage:
    return db.read(lambda tx: series_read.raw(tx, run, limit=1_000, cursor=cursor))


def only_rollup(db: Database, run: Id) -> RollUp:
    (found,) = db.read(lambda tx: series_read.rollups(tx, [run]))
    return found


def check(db: Database, run: Id, model: Model) -> None:
    """The database holds exactly the model, and its roll-ups are those of the model."""
    found = stored(db, run)
    assert sorted(found) == sorted(model)
    for i, (ts, value) in model.items():
        assert found[i][0] == ts
        assert found[i][1] == value or (math.isnan(value) and math.isnan(found[i][1]))
    points = {i: v for i, (_, v) in sorted(model.items()) if i != SINGLE}
    if not points:
        return
    rollup = only_rollup(db, run)
    finite = {i: v for i, v in points.items() if math.isfinite(v)}
    first, last = next(iter(points)), next(reversed(points))
    assert (rollup.count, rollup.finite) == (len(points), len(finite))
    assert (rollup.first_iter, rollup.last_iter, rollup.last_ts) == (first, last, model[last][0])
    assert repr((rollup.first_value, rollup.last_value)) == repr((points[first], points[last]))
    if finite:
        assert (rollup.min_value, rollup.max_value) == (min(finite.values()), max(finite.values()))
        assert finite[rollup.min_iter or 0] == rollup.min_value
        assert finite[rollup.max_iter or 0] == rollup.max_value
        assert rollup.mean == pytest.approx(math.fsum(finite.values()) / len(finite), rel=1e-9, abs=1e-9)
    else:
        assert (rollup.min_value, rollup.max_value, rollup.mean) == (None, None, None)


def as_model(rows: list[PointRow]) -> Model:
    return {i: (ts, value) for _, _, i, ts, value in rows}


def rows_in(db: Database, name: str) -> int:
    table = tables.metadata.tables[name]
    return int(db.read(lambda tx: tx.scalar(select(func.count()).select_from(table))))


def test_small_appends_stay_in_the_tail_until_folded(db: Database, run: Id) -> None:
    rows = curve(0, 30)
    for start in range(0, 30, 10):
        append(db, run, *rows[start : start + 10])
    assert (rows_in(db, "series_tail"), rows_in(db, "series_blocks")) == (3, 0)
    (series_id,) = db.read(lambda tx: series.due(tx, series.IDLE_US + 1))
    assert db.write(lambda tx: series.fold(tx, series_id)) == 30
    assert (rows_in(db, "series_tail"), rows_in(db, "series_blocks")) == (0, 1)
    assert db.write(lambda tx: series.fold(tx, series_id)) == 0
    check(db, run, as_model(rows))


def test_a_fold_fills_up_the_short_block_of_the_fold_before(db: Database, run: Id) -> None:
    rows = curve(0, 100)
    append(db, run, *rows[:50])
    (series_id,) = db.read(lambda tx: series.due(tx, series.IDLE_US + 1))
    db.write(lambda tx: series.fold(tx, series_id))
    append(db, run, *rows[50:])
    db.write(lambda tx: series.fold(tx, series_id))
    assert rows_in(db, "series_blocks") == 1
    check(db, run, as_model(rows))


def test_a_tail_is_due_when_idle_or_in_many_pieces(db: Database, run: Id) -> None:
    append(db, run, *curve(0, 1), now=1_000)
    assert db.read(lambda tx: series.due(tx, 2_000)) == []
    assert len(db.read(lambda tx: series.due(tx, 1_001 + series.IDLE_US))) == 1
    for i in range(1, series.FOLD_ROWS):
        append(db, run, *curve(i, 1), now=1_000)
    assert len(db.read(lambda tx: series.due(tx, 2_000))) == 1


def test_many_single_points_never_leave_a_long_tail(sqlite_db: Database) -> None:
    run = make_run(sqlite_db, make_world(sqlite_db)).id
    rows = curve(0, 400)
    for row in rows:
        append(sqlite_db, run, row)
    assert rows_in(sqlite_db, "series_tail") <= series.TAIL_ROWS
    check(sqlite_db, run, as_model(rows))


def test_large_appends_become_full_blocks_at_once(db: Database, run: Id) -> None:
    rows = curve(0, 2 * BLOCK_POINTS + 100)
    append(db, run, *rows)
    assert (rows_in(db, "series_blocks"), rows_in(db, "series_tail")) == (2, 1)
    check(db, run, as_model(rows))


def test_a_replay_changes_nothing(db: Database, run: Id) -> None:
    rows = curve(0, BLOCK_POINTS + 500)
    append(db, run, *rows)
    before = only_rollup(db, run)
    for start in (0, 3_900, BLOCK_POINTS + 100):
        append(db, run, *rows[start : start + 400])
    after = only_rollup(db, run)
    assert (after.count, after.min_value, after.max_iter) == (before.count, before.min_value, before.max_iter)
    check(db, run, as_model(rows))


def test_late_points_fall_into_place(db: Database, run: Id) -> None:
    even, odd = curve(0, 5_000, step=2), curve(1, 5_000, step=2, scale=3.0)
    append(db, run, *even)
    append(db, run, *odd[:4_900])
    append(db, run, *odd[4_900:])
    check(db, run, as_model(even + odd))


def test_an_overwritten_extreme_leaves_the_rollups(db: Database, run: Id) -> None:
    rows = curve(0, 10)
    append(db, run, *rows, ("loss", "train", 10, 5, 1e9))
    assert only_rollup(db, run).max_value == 1e9
    append(db, run, ("loss", "train", 10, 6, 0.5))
    check(db, run, as_model([*rows, ("loss", "train", 10, 6, 0.5)]))


def test_within_a_batch_the_later_point_wins_and_order_does_not_matter(db: Database, run: Id) -> None:
    rows = [*reversed(curve(0, 20)), ("loss", "train", 3, 9, 42.0)]
    append(db, run, *rows)
    check(db, run, as_model(rows))


def test_odd_numbers_survive(db: Database, run: Id) -> None:
    rows: list[PointRow] = [
        ("m", "v", -(2**63), 0, math.nan), ("m", "v", -5, -1, -math.inf), ("m", "v", 0, 2**62, 1.5),
        ("m", "v", 7, -(2**63), math.inf), ("m", "v", 2**63 - 1, 2**63 - 1, 5e-324),
    ]  # fmt: skip
    append(db, run, *rows)
    check(db, run, as_model(rows))
    (series_id,) = db.read(lambda tx: series.due(tx, series.IDLE_US + 1))
    db.write(lambda tx: series.fold(tx, series_id))
    check(db, run, as_model(rows))


def test_a_series_of_nan_alone_has_no_extremes(db: Database, run: Id) -> None:
    append(db, run, ("m", "v", 1, 1, math.nan))
    rollup = only_rollup(db, run)
    assert math.isnan(rollup.last_value)
    assert (rollup.min_value, rollup.mean) == (None, None)


def test_a_single_value_is_kept_beside_the_curve(db: Database, run: Id) -> None:
    append(db, run, ("Summary", "acc", SINGLE, 1, 0.8))
    rollup = only_rollup(db, run)
    assert (rollup.is_single, rollup.last_value, rollup.min_iter, rollup.mean) == (True, 0.8, SINGLE, 0.8)
    append(
        db, run, ("Summary", "acc", SINGLE, 2, 0.9), ("Summary", "acc", 1, 3, 0.1), ("Summary", "acc", -(2**40), 3, 7.0)
    )
    (single,) = db.read(lambda tx: series_read.single_values(tx, [run]))
    assert (single.value, single.ts) == (0.9, 2)
    (drawn,) = db.read(lambda tx: series_read.sample(tx, [run]))
    assert list(drawn.x) == [-(2**40), 1]
    rollup = only_rollup(db, run)
    assert (rollup.is_single, rollup.count, rollup.single_value, rollup.last_value) == (False, 2, 0.9, 0.1)
    check(db, run, {SINGLE: (2, 0.9), 1: (3, 0.1), -(2**40): (3, 7.0)})


def test_series_beyond_the_limit_are_stored_but_not_listed(sqlite_db: Database) -> None:
    run = make_run(sqlite_db, make_world(sqlite_db)).id
    append(sqlite_db, run, *(("m", str(i), 0, 0, 1.0) for i in range(LISTED_SERIES - 1)))
    append(sqlite_db, run, *(("n", str(i), 0, 0, 1.0) for i in range(3)))
    assert len(sqlite_db.read(lambda tx: series_read.rollups(tx, [run]))) == LISTED_SERIES
    assert len(sqlite_db.read(lambda tx: series_read.rollups(tx, [run], listed_only=False))) == LISTED_SERIES + 2


def test_long_names_of_any_script_are_distinct_series(db: Database, run: Id) -> None:
    name = "損失" * 500
    append(db, run, (name, "a", 0, 0, 1.0), (name, name, 0, 0, 2.0), ("", "", 0, 0, 3.0))
    found = db.read(lambda tx: series_read.rollups(tx, [run]))
    assert [(r.metric, r.variant, r.last_value) for r in sorted(found, key=lambda r: r.last_value)] == [
        (name, "a", 1.0),
        (name, name, 2.0),
        ("", "", 3.0),
    ]


def append_labelled(db: Database, run: Id, label: str) -> None:
    batch = PointBatch(PointBatch.of(curve(0, 1)).columns, {("loss", "train"): label})
    db.write(lambda tx: series.append_points(tx, run, batch))


def test_the_x_label_is_the_latest_one(db: Database, run: Id) -> None:
    for label in ("epoch", "step"):
        append_labelled(db, run, label)
    append(db, run, *curve(1, 1))
    assert only_rollup(db, run).x_label == "step"


def test_the_result_tells_the_last_iteration_without_monitors(db: Database, run: Id) -> None:
    batch = PointBatch.of([*curve(0, 3), (":monitor:gpu", "gpu", 900, 0, 1.0)])
    result = db.write(lambda tx: series.append_points(tx, run, batch))
    assert result == (4, 2, 2)


def test_deleting_the_series_of_a_run_leaves_other_runs_alone(db: Database) -> None:
    world = make_world(db)
    first, second = make_run(db, world).id, make_run(db, world).id
    for run in (first, second):
        append(db, run, *curve(0, BLOCK_POINTS + 10))
    sizes = db.read(lambda tx: series_read.stored_bytes(tx, [first, second]))
    assert sizes[first] == sizes[second] > 1_000
    assert db.write(lambda tx: series.delete_series(tx, first)) == 1
    assert first not in db.read(lambda tx: series_read.stored_bytes(tx, [first, second]))
    assert stored(db, first) == {}
    check(db, second, as_model(curve(0, BLOCK_POINTS + 10)))


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (("m", "v", 2**63, 0, 1.0), "'iter'"),
        (("m", "v", 0, -(2**63) - 1, 1.0), "'timestamp'"),
        (("m", "v", 0, 0, "high"), "'value'"),
        (("m", "v", 0, 0, 10**400), "'value'"),
        (("m" * 1001, "v", 0, 0, 1.0), "'metric'"),
        (("m", "v\x00", 0, 0, 1.0), "'variant'"),
        (("m\ud800", "v", 0, 0, 1.0), "'metric'"),
    ],
)
def test_what_is_no_point_is_counted_and_the_others_kept(row: PointRow, complaint: str) -> None:
    with pytest.raises(Invalid, match=complaint):
        PointBatch.of([row])
    batch, errors = PointBatch.collect([("m", "v", 0, 0, 1.0), row, ("m", "w", 0, 0, 1.0)])
    assert len(batch) == 2
    assert [complaint in message and times for message, times in errors.items()] == [1]


def test_points_may_come_as_plain_columns(db: Database, run: Id) -> None:
    columns = {("loss", "train"): Points([1, 2], [10, 20], [0.5, 0.25])}
    db.write(lambda tx: series.append_points(tx, run, PointBatch(columns)))
    check(db, run, {1: (10, 0.5), 2: (20, 0.25)})


_iters = st.one_of(st.integers(0, 60), st.integers(-(2**63), 2**63 - 1).filter(lambda i: i != SINGLE))
_values = st.floats(allow_nan=True, allow_infinity=True)
_appends = st.one_of(
    st.lists(st.tuples(_iters, st.integers(-(2**62), 2**62), _values), min_size=1, max_size=30),
    st.builds(
        lambda first, count, step: [(i, i, float(i)) for i in range(first, first + count * step, step)],
        st.integers(-500, 20_000), st.integers(100, 5_000), st.sampled_from([1, 2, 10]),
    ),
    st.just("fold"),
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_appends, min_size=1, max_size=8))
def test_any_appends_and_folds_end_as_a_dict_would(sqlite_db: Database, steps: list[object]) -> None:
    run = make_run(sqlite_db, make_world(sqlite_db)).id
    model: Model = {}
    for step in steps:
        if step == "fold":
            sqlite_db.write(lambda tx: [series.fold(tx, i) for i in series.due(tx, series.IDLE_US + 1)])
            continue
        assert isinstance(step, list)
        append(sqlite_db, run, *(("loss", "train", *point) for point in step))
        model.update({i: (ts, value) for i, ts, value in step})
    if model:
        check_sum_free = all(abs(v) < 1e100 for _, v in model.values() if math.isfinite(v))
        (check if check_sum_free else check_points)(sqlite_db, run, model)


def check_points(db: Database, run: Id, model: Model) -> None:
    """As `check`, for values whose sum overflows."""
    assert sorted(stored(db, run)) == sorted(model)
    assert only_rollup(db, run).count == len(model)


def test_parallel_appends_to_the_same_series_lose_nothing(db: Database, run: Id) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def work(worker: int) -> None:
        for i in range(worker, 60, 3):
            append(db, run, ("loss", "train", i, 0, float(i)), ("acc", "train", i, 0, float(i)))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    found = db.read(lambda tx: series_read.rollups(tx, [run]))
    assert [(r.count, r.sum_value, r.last_iter) for r in found] == [(60, 1770.0, 59)] * 2


def test_columns_that_are_arrays_are_not_changed_by_storing(sqlite_db: Database) -> None:
    run = make_run(sqlite_db, make_world(sqlite_db)).id
    columns = Points(array("q", [3, 1, 2]), array("q", [3, 1, 2]), array("d", [3, 1, 2]))
    before: Callable[[], object] = lambda: (list(columns.iters), list(columns.values))  # noqa: E731
    expected = before()
    sqlite_db.write(lambda tx: series.append_points(tx, run, PointBatch({("m", "v"): columns})))
    assert before() == expected
