"""Reading series: roll-ups without touching points, charts of few points, raw points in pages, sizes."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, func, or_, select

from quintet.domain.errors import Invalid
from quintet.domain.ids import Id
from quintet.domain.page import decode_cursor, encode_cursor
from quintet.domain.sampling import bucket_means, bucket_width, buckets, sorted_by_time
from quintet.domain.series import (
    SINGLE,
    Curve,
    Ints,
    MetricFilter,
    PointPage,
    PointRow,
    Points,
    RawPage,
    RollUp,
    SingleValue,
)
from quintet.storage import tables as t
from quintet.storage.blocks import Piece, cut, join_ints, join_values, loaded
from quintet.storage.tx import ReadTx

AT_ONCE = 64
"""Series whose blocks are in memory at the same time: a hundred runs are then read with flat memory."""

MAX_SAMPLES = 6_000
MAX_RAW = 200_000

Axis = Literal["iter", "ts"]

_s = t.series.c
_ROLL_UP = (
    _s.run_id, _s.metric, _s.variant, _s.x_label, _s.points, _s.finite, _s.first_iter, _s.first_value, _s.last_iter,
    _s.last_ts, _s.last_value, _s.min_value, _s.min_iter, _s.max_value, _s.max_iter, _s.sum_value, _s.single_ts,
    _s.single_value,
)  # fmt: skip


class _Series(NamedTuple):
    id: int
    run_id: Id
    metric: str
    variant: str
    x_label: str | None
    points: int
    finite: int


# -- without points ----------------------------------------------------------------------------------------------


def rollups(tx: ReadTx, run_ids: Sequence[Id], *, listed_only: bool = True) -> list[RollUp]:
    """The roll-ups of all series of the runs; at most 2,000 for each run, unless `listed_only` is off."""
    query = select(*_ROLL_UP).where(_s.run_id.in_(list(run_ids)), or_(_s.points > 0, _s.single_ts.is_not(None)))
    if listed_only:
        query = query.where(_s.listed)
    return [_roll_up(row) for row in tx.execute(query.order_by(_s.run_id, _s.id)).all()]


def _roll_up(row: Sequence[Any]) -> RollUp:
    run_id, metric, variant, x_label, count, finite, first_iter, first, last_iter, last_ts, last, *rest = row
    low, low_iter, high, high_iter, total, single_ts, single_stored = rest
    single = None if single_ts is None else loaded(single_stored)
    if count:
        return RollUp(
            run_id, metric, variant, x_label, count, finite, first_iter, loaded(first), last_iter, last_ts,
            loaded(last), low, low_iter, high, high_iter, total, single_ts, single,
        )  # fmt: skip
    # No points: the single value stands for all of them.
    value = loaded(single)
    clean, at = (value, SINGLE) if isfinite(value) else (None, None)
    return RollUp(
        run_id, metric, variant, x_label, 1, int(clean is not None), SINGLE, value, SINGLE, single_ts, value,
        clean, at, clean, at, clean or 0.0, single_ts, value,
    )  # fmt: skip


def single_values(tx: ReadTx, run_ids: Sequence[Id]) -> list[SingleValue]:
    """The single values of the runs."""
    query = select(_s.run_id, _s.metric, _s.variant, _s.single_ts, _s.single_value)
    query = query.where(_s.run_id.in_(list(run_ids)), _s.single_ts.is_not(None)).order_by(_s.metric, _s.variant, _s.id)
    return [SingleValue(r, m, v, ts, loaded(value)) for r, m, v, ts, value in tx.execute(query).all()]


def stored_bytes(tx: ReadTx, run_ids: Sequence[Id]) -> dict[Id, int]:
    """How many bytes the points, log and events of each run take; runs without any are left out."""
    sizes: dict[Id, int] = {}
    for table in (t.series_blocks, t.series_tail):
        joined = table.join(t.series, _s.id == table.c.series_id)
        query = select(_s.run_id, func.sum(func.length(table.c.data))).select_from(joined)
        for run_id, size in tx.execute(query.where(_s.run_id.in_(list(run_ids))).group_by(_s.run_id)):
            sizes[run_id] = sizes.get(run_id, 0) + int(size)
    for table in (t.log_chunks, t.run_events):
        c = table.c
        query = select(c.run_id, func.coalesce(func.sum(func.length(c.data)), 0)).where(c.run_id.in_(list(run_ids)))
        for run_id, size in tx.execute(query.group_by(c.run_id)):
            sizes[run_id] = sizes.get(run_id, 0) + int(size)
    return sizes


# -- charts ------------------------------------------------------------------------------------------------------


def sample(
    tx: ReadTx,
    run_ids: Sequence[Id],
    metrics: Sequence[MetricFilter] = (),
    *,
    samples: int = 2_000,
    axis: Axis = "iter",
) -> list[Curve]:
    """Curves of the runs, by metric, variant and run; without `metrics` all of them.

    A series with fewer points than `samples` is given whole; another by the mean of each bucket of
    ceil((last - first + 1) / samples) iterations (or µs), aligned to multiples of that width.
    """
    if not 1 <= samples <= MAX_SAMPLES:
        raise Invalid(f"'samples' is 1 to {MAX_SAMPLES}", field="samples")
    curves: list[Curve] = []
    for one, x, y in _columns(tx, _select(tx, run_ids, metrics), axis):
        sampled = len(y) >= samples
        if sampled:
            x, y = bucket_means(x, y, bucket_width(x[0], x[-1], samples), finite=one.finite == one.points)
        curves.append(Curve(one.run_id, one.metric, one.variant, x, y, sampled, one.x_label))
    return curves


def chart(
    tx: ReadTx,
    run_ids: Sequence[Id],
    metrics: Sequence[MetricFilter] = (),
    *,
    points: int = 1_000,
    first: int | None = None,
    last: int | None = None,
    axis: Axis = "iter",
) -> list[Curve]:
    """As `sample`, with minimum and maximum of each bucket, and only what lies in `first`…`last` of the axis."""
    if not 1 <= points <= MAX_SAMPLES:
        raise Invalid(f"'points' is 1 to {MAX_SAMPLES}", field="points")
    curves: list[Curve] = []
    window = (first, last) if axis == "iter" else (None, None)
    for one, x, y in _columns(tx, _select(tx, run_ids, metrics), axis, window):
        x, y = _within(x, y, first, last)
        if not len(y):
            continue
        if len(y) < points:
            curves.append(Curve(one.run_id, one.metric, one.variant, x, y, False, one.x_label, y, y))
            continue
        b = buckets(x, y, bucket_width(x[0], x[-1], points))
        curves.append(Curve(one.run_id, one.metric, one.variant, b.x, b.mean, True, one.x_label, b.low, b.high))
    return curves


def _within(x: Ints, y: Sequence[float], first: int | None, last: int | None) -> tuple[Ints, Sequence[float]]:
    start = 0 if first is None else bisect_left(x, first)
    end = len(x) if last is None else bisect_right(x, last)
    return x[start:end], y[start:end]


def _select(tx: ReadTx, run_ids: Sequence[Id], metrics: Sequence[MetricFilter]) -> list[_Series]:
    """The series that have points, in the order that charts list them."""
    query = select(_s.id, _s.run_id, _s.metric, _s.variant, _s.x_label, _s.points, _s.finite).where(
        _s.run_id.in_(list(run_ids)), _s.points > 0
    )
    if metrics:
        query = query.where(_s.metric.in_(sorted({m.metric for m in metrics})))
    found = (_Series(*row) for row in tx.execute(query))
    kept = [s for s in found if not metrics or any(m.takes(s.metric, s.variant) for m in metrics)]
    return sorted(kept, key=lambda s: (s.metric, s.variant, s.run_id))


def _columns(
    tx: ReadTx, wanted: Sequence[_Series], axis: Axis, window: tuple[int | None, int | None] = (None, None)
) -> Iterator[tuple[_Series, Ints, Sequence[float]]]:
    """Each series with its x and y; those that have nothing in the window are left out."""
    for start in range(0, len(wanted), AT_ONCE):
        group = wanted[start : start + AT_ONCE]
        pieces = _pieces(tx, [s.id for s in group], *window)
        for one in group:
            own = pieces.get(one.id)
            if not own:
                continue
            y: Sequence[float] = join_values([p.values() for p in own])
            x = join_ints([p.iters() if axis == "iter" else p.times() for p in own])
            if axis == "ts":
                x, y = sorted_by_time(x, y)
            yield one, x, y


def _pieces(
    tx: ReadTx, series_ids: Sequence[int], first: int | None = None, last: int | None = None
) -> dict[int, list[Piece]]:
    """The pieces that hold what lies in `first`…`last` (and some beside it), in the order of iterations."""
    pieces: dict[int, list[Piece]] = {}
    for table in (t.series_blocks, t.series_tail):
        c = table.c
        query = select(c.series_id, c.data).where(c.series_id.in_(series_ids), *_overlap(c, first, last))
        for series_id, data in tx.execute(query.order_by(c.series_id, c.first_iter)).all():
            pieces.setdefault(series_id, []).append(Piece(data))
    return pieces


def _overlap(columns: Any, first: int | None, last: int | None) -> list[ColumnElement[bool]]:
    clauses: list[ColumnElement[bool]] = []
    if first is not None:
        clauses.append(columns.last_iter >= first)
    if last is not None:
        clauses.append(columns.first_iter <= last)
    return clauses


# -- raw points --------------------------------------------------------------------------------------------------


def raw(
    tx: ReadTx, run_id: Id, metrics: Sequence[MetricFilter] = (), *, limit: int = 10_000, cursor: str | None = None
) -> RawPage:
    """Points as they were reported, one series after the other, the single values first of each.

    The cursor names a series and an iteration, so points that come meanwhile neither repeat nor hide others.
    """
    if not 1 <= limit <= MAX_RAW:
        raise Invalid(f"a page holds 1 to {MAX_RAW} points", field="batch_size")
    wanted = _select_all(tx, run_id, metrics)
    total = sum(one.points for one, _ in wanted)
    after_id, after_iter = _raw_cursor(cursor)
    pages: list[tuple[str, str, Points]] = []
    left = limit
    for position, (one, single) in enumerate(wanted):
        if one.id < after_id:
            continue
        beyond = after_iter if one.id == after_id else None
        points, more = _points_beyond(tx, one, single, beyond, left)
        if len(points):
            pages.append((one.metric, one.variant, points))
            left -= len(points)
        if more or (left == 0 and position + 1 < len(wanted)):
            following = encode_cursor(one.id, points.iters[-1] if len(points) else beyond)
            return RawPage(pages, limit - left, total, following)
    return RawPage(pages, limit - left, total, None)


def _raw_cursor(cursor: str | None) -> tuple[int, int | None]:
    if cursor is None:
        return -1, None
    series_id, iteration = decode_cursor(cursor, 2)
    if not isinstance(series_id, int) or not isinstance(iteration, int | None):
        raise Invalid("the cursor is not one that this server gave", field="cursor")
    return series_id, iteration


def _select_all(
    tx: ReadTx, run_id: Id, metrics: Sequence[MetricFilter]
) -> list[tuple[_Series, tuple[int, float] | None]]:
    """The series of a run by id, with their single values; a single value counts as a point."""
    query = select(
        _s.id, _s.run_id, _s.metric, _s.variant, _s.x_label, _s.points, _s.finite, _s.single_ts,
        _s.single_value,
    ).where(_s.run_id == run_id, or_(_s.points > 0, _s.single_ts.is_not(None))).order_by(_s.id)  # fmt: skip
    found: list[tuple[_Series, tuple[int, float] | None]] = []
    for row in tx.execute(query).all():
        series_id, _, metric, variant, x_label, count, finite, single_ts, single_value = row
        if metrics and not any(m.takes(metric, variant) for m in metrics):
            continue
        single = None if single_ts is None else (single_ts, loaded(single_value))
        one = _Series(series_id, run_id, metric, variant, x_label, count + (single is not None), finite)
        found.append((one, single))
    return found


def _points_beyond(
    tx: ReadTx, one: _Series, single: tuple[int, float] | None, after: int | None, limit: int
) -> tuple[Points, bool]:
    """Up to `limit` points after the iteration `after`, the single value first, and whether there are more."""
    parts: list[Points] = []
    count = 0
    if single is not None and after is None:
        parts.append(Points((SINGLE,), (single[0],), (single[1],)))
        count = 1
    # No point proper is at SINGLE: a cursor there stands behind the single value and before all of them.
    beyond = None if after == SINGLE else after
    for piece in _pieces_in_turn(tx, one.id, beyond, newest_first=False):
        points = _beyond(piece.points(), beyond, newest_first=False)
        if count + len(points) > limit:
            parts.append(cut(points, 0, limit - count))
            return _all(parts), True
        parts.append(points)
        count += len(points)
    return _all(parts), False


def _beyond(points: Points, after: int | None, *, newest_first: bool) -> Points:
    if after is None:
        return points
    if newest_first:
        return cut(points, 0, bisect_left(points.iters, after))
    return cut(points, bisect_right(points.iters, after), len(points))


def _all(parts: Sequence[Points]) -> Points:
    x: list[int] = []
    ts: list[int] = []
    y: list[float] = []
    for part in parts:
        x.extend(part.iters)
        ts.extend(part.times)
        y.extend(part.values)
    return Points(x, ts, y)


def _pieces_in_turn(tx: ReadTx, series_id: int, after: int | None, *, newest_first: bool) -> Iterator[Piece]:
    """The pieces of one series that hold something beyond `after`, first one, then a few at a time."""
    tables = (t.series_tail, t.series_blocks) if newest_first else (t.series_blocks, t.series_tail)
    for table in tables:
        c = table.c
        position, size = after, 1
        while True:
            query = select(c.first_iter, c.last_iter, c.data).where(c.series_id == series_id)
            if position is not None:
                query = query.where(c.first_iter < position if newest_first else c.last_iter > position)
            query = query.order_by(c.first_iter.desc() if newest_first else c.first_iter).limit(size)
            rows = tx.execute(query).all()
            for first_iter, last_iter, data in rows:
                yield Piece(data)
                position = first_iter if newest_first else last_iter
            if len(rows) < size:
                break
            size = 8


def points_in_order(
    tx: ReadTx,
    run_id: Id,
    metrics: Sequence[MetricFilter] = (),
    *,
    limit: int = 500,
    after: int | None = None,
    newest_first: bool = False,
) -> PointPage:
    """Points of all series together, by iteration (with `newest_first` from the highest down), `after` excluded.

    All points of the last iteration of a page are on it, even beyond `limit`. Single values are at `SINGLE`.
    """
    if not 1 <= limit <= MAX_RAW:
        raise Invalid(f"a page holds 1 to {MAX_RAW} points", field="batch_size")
    wanted = _select_all(tx, run_id, metrics)
    total = sum(one.points for one, _ in wanted)
    singles = [(one.metric, one.variant, SINGLE, *single) for one, single in wanted if single is not None]
    if after is not None and (after <= SINGLE if newest_first else after >= SINGLE):
        singles = []
    streams = [_stream(tx, one, after, newest_first=newest_first) for one, _ in wanted]
    sign = -1 if newest_first else 1
    rows: list[PointRow] = []
    for row in heapq.merge(singles, *streams, key=lambda r: sign * r[2]):
        if len(rows) >= limit and row[2] != rows[-1][2]:
            return PointPage(rows, total, rows[-1][2])
        rows.append(row)
    return PointPage(rows, total, None)


def _stream(tx: ReadTx, one: _Series, after: int | None, *, newest_first: bool) -> Iterator[PointRow]:
    for piece in _pieces_in_turn(tx, one.id, after, newest_first=newest_first):
        points = _beyond(piece.points(), after, newest_first=newest_first)
        order = range(len(points) - 1, -1, -1) if newest_first else range(len(points))
        for i in order:
            yield one.metric, one.variant, points.iters[i], points.times[i], points.values[i]
