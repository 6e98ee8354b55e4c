"""Writing series: small appends go to a tail of small pieces, from there to blocks of 4,096 points.

    series         a row for each (run, metric, variant), with its roll-ups
    series_tail    what was appended lately, a piece for each append and series
    series_blocks  the rest, compressed

What holds at every commit, for each series: blocks cover disjoint ranges of iterations; the tail begins after
the last block; pieces of the tail follow each other; every iteration is there once; the roll-ups in the row are
those of all points. So an append whose iterations are all new and growing needs no look at older points, and
one that is late or repeated rewrites only the blocks that it falls into.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from itertools import zip_longest
from operator import itemgetter
from typing import Any

from sqlalchemy import Table, bindparam, delete, func, insert, select, update

from quintet.domain.ids import Id
from quintet.domain.series import (
    LISTED_SERIES,
    MONITOR_METRICS,
    SINGLE,
    AppendResult,
    PointBatch,
    Points,
    SeriesKey,
    unique_by_iter,
)
from quintet.storage import tables as t
from quintet.storage.blocks import (
    BLOCK_POINTS,
    Piece,
    Summary,
    combine,
    concat,
    cut,
    encode,
    join,
    merge,
    stored,
    summarize,
)
from quintet.storage.sql import for_update, upsert
from quintet.storage.tx import ReadTx, WriteTx

TAIL_ROWS = 128
"""Pieces after which a tail is joined into one: bounds what a read of one series must fetch and unpack."""

FOLD_ROWS = 32
"""Pieces from which a tail is worth the attention of the background, while its series still grows."""

IDLE_US = 60 * 1_000_000
"""A tail that nobody appended to for this long is folded whatever its size: the series may be complete."""

IN_LIST = 500
"""Items in one IN list: both databases allow far more, but each size of list is a statement to prepare."""

_summary_values = itemgetter(*Summary._fields)
_SUMMARY = [c for c in t.series.c if c.name in Summary._fields]


def append_points(tx: WriteTx, run_id: Id, batch: PointBatch, now: int = 0) -> AppendResult:
    """Stores points of a run and brings the roll-ups up to date.

    A point at an iteration that its series has already replaces the earlier one. `now` (µs) dates the tail.
    """
    groups = {series_digest(*key): (key, unique_by_iter(points)) for key, points in batch.columns.items()}
    groups = {digest: group for digest, group in groups.items() if len(group[1])}
    rows, created = _lock_series(tx, run_id, groups, batch.x_labels)
    changes = _Changes(now)
    last_iter: int | None = None
    for digest, (key, points) in groups.items():
        row = rows[digest]
        iters = points.iters
        if key[0] not in MONITOR_METRICS:
            last_iter = iters[-1] if last_iter is None else max(last_iter, iters[-1])
        if iters[0] <= SINGLE <= iters[-1]:
            points = _without_single(tx, row["id"], points)
        if len(points):
            _append(tx, row, points, changes)
    changes.apply(tx)
    return AppendResult(len(batch), created, last_iter)


def fold(tx: WriteTx, series_id: int) -> int:
    """Moves the tail of a series into blocks and says how many points that were; 0 where there was none."""
    locked = tx.one(for_update(select(t.series.c.id).where(t.series.c.id == series_id), tx.kind))
    tail = _tail_points(tx, series_id) if locked else None
    if tail is None:
        return 0
    points, b = tail, t.series_blocks.c
    # The last block may be a short one from an earlier fold: fill it up instead of leaving a trail of them.
    last = tx.one(select(b.id, b.points, b.data).where(b.series_id == series_id).order_by(b.first_iter.desc()).limit(1))
    changes = _Changes(0)
    if last is not None and last["points"] < BLOCK_POINTS:
        changes.old_blocks.append(last["id"])
        points = concat(Piece(last["data"]).points(), tail)
    for start in range(0, len(points), BLOCK_POINTS):
        changes.add_block(series_id, cut(points, start, start + BLOCK_POINTS))
    changes.old_tails.append(series_id)
    changes.apply(tx)
    tx.write(update(t.series).where(t.series.c.id == series_id).values(tail_rows=0, tail_count=0))
    return len(tail)


def due(tx: ReadTx, now: int, limit: int = 100) -> list[int]:
    """Series that `fold` should be called for: many small pieces, or none added for a minute."""
    c = t.series_tail.c
    rows = tx.execute(
        select(c.series_id)
        .group_by(c.series_id)
        .having((func.count() >= FOLD_ROWS) | (func.max(c.added_at) < now - IDLE_US))
        .limit(limit)
    )
    return [row[0] for row in rows]


def delete_series(tx: WriteTx, run_id: Id) -> int:
    """Deletes all series of a run with their points; how many there were."""
    ids = select(t.series.c.id).where(t.series.c.run_id == run_id)
    tx.write(delete(t.series_tail).where(t.series_tail.c.series_id.in_(ids)))
    tx.write(delete(t.series_blocks).where(t.series_blocks.c.series_id.in_(ids)))
    return tx.write(delete(t.series).where(t.series.c.run_id == run_id))


@lru_cache(maxsize=65_536)
def series_digest(*names: str) -> str:
    """What names are found by, of one length however long they are."""
    # Names cannot hold a NUL, so joined names are the same only when all of them are.
    return hashlib.blake2b("\0".join(names).encode(), digest_size=16).hexdigest()


# -- the rows of the series --------------------------------------------------------------------------------------


def _lock_series(
    tx: WriteTx,
    run_id: Id,
    groups: Mapping[str, tuple[SeriesKey, Points]],
    x_labels: Mapping[SeriesKey, str],
) -> tuple[dict[str, Mapping[str, Any]], int]:
    """The rows of the series by digest, made where they are missing, and held; how many were made."""
    found = _select_series(tx, run_id, list(groups))
    missing = [d for d in groups if d not in found]
    if missing:
        known = int(tx.scalar(select(func.count()).select_from(t.series).where(t.series.c.run_id == run_id)))
        rows = []
        # Sorted, so that two transactions that make the same series wait for each other in the same order.
        for position, digest in enumerate(sorted(missing)):
            key = groups[digest][0]
            rows.append(
                {
                    "run_id": run_id, "digest": digest, "metric": key[0], "variant": key[1],
                    "listed": known + position < LISTED_SERIES, "x_label": x_labels.get(key),
                }
            )  # fmt: skip
        upsert(tx, t.series, rows, keys=["run_id", "digest"], update=[])
        found.update(_select_series(tx, run_id, missing))
    changed = [
        {"row": found[d]["id"], "label": label}
        for d, (key, _) in groups.items()
        if (label := x_labels.get(key)) and label != found[d]["x_label"]
    ]
    if changed:
        tx.write(update(t.series).where(t.series.c.id == bindparam("row")).values(x_label=bindparam("label")), changed)
    return found, len(missing)


_SELECT_SERIES = (
    select(t.series.c.id, t.series.c.digest, t.series.c.x_label, t.series.c.tail_rows, t.series.c.tail_count, *_SUMMARY)
    .where(t.series.c.run_id == bindparam("run"), t.series.c.digest.in_(bindparam("digests", expanding=True)))
    .order_by(t.series.c.id)
)
"""Made once: to build it anew takes longer than to run it."""


def _select_series(tx: WriteTx, run_id: Id, digests: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    query = for_update(_SELECT_SERIES, tx.kind)
    for start in range(0, len(digests), IN_LIST):
        rows = tx.all(query, {"run": run_id, "digests": digests[start : start + IN_LIST]})
        found.update((row["digest"], row) for row in rows)
    return found


def _without_single(tx: WriteTx, series_id: int, points: Points) -> Points:
    """Stores the single value, if there is one, and gives the points beside it."""
    at = bisect_left(points.iters, SINGLE)
    if points.iters[at] != SINGLE:
        return points
    values = {"single_ts": points.times[at], "single_value": stored(points.values[at])}
    tx.write(update(t.series).where(t.series.c.id == series_id).values(**values))
    return concat(cut(points, 0, at), cut(points, at + 1, len(points)))


# -- appending ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Changes:
    """What an append changes, gathered over all of its series, so that each kind is one statement."""

    now: int
    new_tails: list[dict[str, Any]] = field(default_factory=list)
    old_tails: list[int] = field(default_factory=list)
    new_blocks: list[dict[str, Any]] = field(default_factory=list)
    old_blocks: list[int] = field(default_factory=list)
    series: list[dict[str, Any]] = field(default_factory=list)

    def add_tail(self, series_id: int, points: Points) -> None:
        first, last = points.iters[0], points.iters[-1]
        row = {"series_id": series_id, "added_at": self.now, "first_iter": first, "last_iter": last}
        self.new_tails.append({**row, "data": encode(points)})

    def add_block(self, series_id: int, points: Points) -> Summary:
        summary = summarize(points)
        self.new_blocks.append({"series_id": series_id, **summary._asdict(), "data": encode(points)})
        return summary

    def add_series(self, series_id: int, summary: Summary, tail_rows: int, tail_count: int) -> None:
        row = {"row": series_id, "tail_rows": tail_rows, "tail_count": tail_count}
        self.series.append({**summary._asdict(), **row})

    def apply(self, tx: WriteTx) -> None:
        for table, column, old in (
            (t.series_tail, t.series_tail.c.series_id, self.old_tails),
            (t.series_blocks, t.series_blocks.c.id, self.old_blocks),
        ):
            for start in range(0, len(old), IN_LIST):
                tx.write(delete(table).where(column.in_(old[start : start + IN_LIST])))
        _insert(tx, t.series_blocks, self.new_blocks)
        _insert(tx, t.series_tail, self.new_tails)
        if self.series:
            tx.write(_UPDATE_SERIES, self.series)


_UPDATE_SERIES = (
    update(t.series)
    .where(t.series.c.id == bindparam("row"))
    .values({name: bindparam(name) for name in (*Summary._fields, "tail_rows", "tail_count")})
)


def _insert(tx: WriteTx, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        tx.write(insert(table), rows)


def _append(tx: WriteTx, row: Mapping[str, Any], points: Points, changes: _Changes) -> None:
    """Points of one series, sorted by iteration and without repeats."""
    if row["points"] and points.iters[0] <= row["last_iter"]:
        _merge(tx, row, points, changes)
        return
    series_id = row["id"]
    added = summarize(points)
    summary = combine(_summary_of(row), added) if row["points"] else added
    tail_rows, tail_count = row["tail_rows"] + 1, row["tail_count"] + len(points)
    if tail_count < BLOCK_POINTS and tail_rows < TAIL_ROWS:
        changes.add_tail(series_id, points)
    else:
        if tail_rows > 1:
            points = concat(_tail_points(tx, series_id) or points, points)
            changes.old_tails.append(series_id)
        tail_rows, tail_count = _store(series_id, points, changes)
    changes.add_series(series_id, summary, tail_rows, tail_count)


def _store(series_id: int, points: Points, changes: _Changes) -> tuple[int, int]:
    """Full blocks, and what is left of them as a tail of one piece; (rows, points) of that tail."""
    full = len(points) - len(points) % BLOCK_POINTS
    for start in range(0, full, BLOCK_POINTS):
        changes.add_block(series_id, cut(points, start, start + BLOCK_POINTS))
    if full == len(points):
        return 0, 0
    changes.add_tail(series_id, cut(points, full, len(points)))
    return 1, len(points) - full


def _tail_points(tx: ReadTx, series_id: int) -> Points | None:
    c = t.series_tail.c
    rows = tx.execute(select(c.data).where(c.series_id == series_id).order_by(c.first_iter)).all()
    return join([Piece(row[0]) for row in rows]) if rows else None


def _summary_of(row: Mapping[str, Any]) -> Summary:
    return Summary(*_summary_values(row))


# -- late and repeated points --------------------------------------------------------------------------------------


def _merge(tx: WriteTx, row: Mapping[str, Any], points: Points, changes: _Changes) -> None:
    """Points of which some belong before the end of their series: rewrites what they change."""
    series_id, b = row["id"], t.series_blocks.c
    blocks = tx.all(
        select(b.id, *(b[name] for name in Summary._fields)).where(b.series_id == series_id).order_by(b.first_iter)
    )
    split = bisect_right(points.iters, blocks[-1]["last_iter"]) if blocks else 0
    summaries = _merge_blocks(tx, series_id, blocks, cut(points, 0, split), changes)
    tail_rows, tail_count = row["tail_rows"], row["tail_count"]
    tail = _tail_points(tx, series_id)
    if split < len(points):
        late = cut(points, split, len(points))
        merged = merge(tail, late) if tail is not None else late
        if merged is not None:
            tail = merged
            changes.old_tails.append(series_id)
            tail_rows, tail_count = _store(series_id, tail, changes)
    if tail is not None:
        summaries.append(summarize(tail))
    changes.add_series(series_id, reduce(combine, summaries), tail_rows, tail_count)


def _merge_blocks(
    tx: WriteTx, series_id: int, blocks: Sequence[Mapping[str, Any]], points: Points, changes: _Changes
) -> list[Summary]:
    """Puts each point into the block whose range it falls into or follows; the summaries of all blocks."""
    summaries: list[Summary] = []
    start = 0
    for block, following in zip_longest(blocks, blocks[1:]):
        end = len(points) if following is None else bisect_left(points.iters, following["first_iter"], start)
        part, start = cut(points, start, end), end
        merged = _merge_block(tx, block["id"], part) if len(part) else None
        if merged is None:
            summaries.append(_summary_of(block))
            continue
        changes.old_blocks.append(block["id"])
        # Halves rather than a full block and a rest: the next late points will likely fall here again.
        size = -(-len(merged) // -(-len(merged) // BLOCK_POINTS))
        for first in range(0, len(merged), size):
            summaries.append(changes.add_block(series_id, cut(merged, first, first + size)))
    return summaries


def _merge_block(tx: WriteTx, block_id: int, points: Points) -> Points | None:
    data = tx.scalar(select(t.series_blocks.c.data).where(t.series_blocks.c.id == block_id))
    return merge(Piece(data).points(), points)
