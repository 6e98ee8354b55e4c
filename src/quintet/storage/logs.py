"""The log of a run: compressed chunks of lines, read from either end by time.

Each append is a chunk, sorted by time. Chunks may overlap in time, because several workers report to one run
and some report late; `fold` joins small neighbours, so that a long quiet run is not a thousand tiny chunks.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import delete, func, insert, select, update

from quintet.domain.errors import Invalid
from quintet.domain.events import LogLine, LogPage
from quintet.domain.ids import Id
from quintet.storage import tables as t
from quintet.storage.sql import for_update
from quintet.storage.tx import ReadTx, WriteTx

CHUNK_LINES = 1_000
"""Lines in a chunk at most: what must be unpacked to show the last few lines of a run."""

FOLD_BELOW = 100
"""A chunk with fewer lines is small: `fold` joins it with small neighbours."""

FOLD_CHUNKS = 64
"""Small chunks of a run from which joining them is worth a transaction."""

MAX_LINES = 10_000
"""Lines in a page at most, ties aside."""

_c = t.log_chunks.c


def append_log(tx: WriteTx, run_id: Id, lines: Iterable[LogLine]) -> int:
    """Adds lines to the log of a run and says how many. Lines are never replaced."""
    ordered = sorted(lines, key=lambda line: line.ts)
    rows = [_chunk(run_id, ordered[i : i + CHUNK_LINES]) for i in range(0, len(ordered), CHUNK_LINES)]
    if rows:
        tx.write(insert(t.log_chunks), rows)
    return len(ordered)


def log_page(tx: ReadTx, run_id: Id, *, limit: int = 5_000, beyond: int | None = None, earlier: bool = True) -> LogPage:
    """Lines before the time `beyond` (with `earlier` off: after it), nearest ones; without `beyond` from the end
    (from the start). All lines that share the time of the furthest one are on the page, even beyond `limit`.
    """
    if not 1 <= limit <= MAX_LINES:
        raise Invalid(f"a page holds 1 to {MAX_LINES} lines", field="batch_size")
    sign = -1 if earlier else 1
    found: list[tuple[int, int, int, LogLine]] = []
    more = False
    for edge, chunk_id, lines in _chunks(tx, run_id, beyond, earlier):
        # Chunks come by their nearer edge, so nothing that comes later lies nearer than the edge of this one.
        if len(found) >= limit:
            found.sort(key=lambda entry: sign * entry[0])
            if sign * found[limit - 1][0] < sign * edge:
                more = True
                break
        found.extend(
            (line.ts, chunk_id, position, line)
            for position, line in enumerate(lines)
            if beyond is None or (line.ts < beyond if earlier else line.ts > beyond)
        )
    found.sort(key=lambda entry: sign * entry[0])
    if len(found) > limit:
        last = found[limit - 1][0]
        end = next((i for i in range(limit, len(found)) if found[i][0] != last), len(found))
        more = more or end < len(found)
        found = found[:end]
    # Lines of the same time are in the order in which they were reported.
    return LogPage([entry[3] for entry in sorted(found, key=lambda entry: entry[:3])], _count_lines(tx, run_id), more)


def log_tail(tx: ReadTx, run_id: Id, lines: int = 100) -> list[LogLine]:
    """The newest lines, oldest of them first."""
    return list(log_page(tx, run_id, limit=lines).lines[-lines:])


def all_lines(tx: ReadTx, run_id: Id) -> Iterator[LogLine]:
    """The whole log, from the oldest line, for downloads."""
    beyond: int | None = None
    while True:
        page = log_page(tx, run_id, limit=MAX_LINES, beyond=beyond, earlier=False)
        yield from page.lines
        if not page.more:
            return
        beyond = page.lines[-1].ts


def clear_log(tx: WriteTx, run_id: Id, before: int | None = None) -> int:
    """Deletes the lines before the time `before` (all where it is None) and says how many."""
    if before is None:
        count = _count_lines(tx, run_id)
        tx.write(delete(t.log_chunks).where(_c.run_id == run_id))
        return count
    removed = 0
    query = select(_c.id, _c.data).where(_c.run_id == run_id, _c.first_ts < before).order_by(_c.id)
    for chunk_id, data in tx.execute(for_update(query, tx.kind)).all():
        lines = _unpack(data)
        kept = [line for line in lines if line.ts >= before]
        removed += len(lines) - len(kept)
        if kept:
            tx.write(update(t.log_chunks).where(_c.id == chunk_id).values(_chunk(run_id, kept)))
        else:
            tx.write(delete(t.log_chunks).where(_c.id == chunk_id))
    return removed


def fold_log(tx: WriteTx, run_id: Id) -> int:
    """Joins small chunks and says how many chunks fewer there are."""
    query = select(_c.id, _c.data).where(_c.run_id == run_id, _c.lines < FOLD_BELOW).order_by(_c.id).limit(1_000)
    small = tx.execute(for_update(query, tx.kind)).all()
    if len(small) < 2:
        return 0
    # In the order of arrival, which decides between lines of the same time and so is kept by the first ids.
    lines = sorted((line for _, data in small for line in _unpack(data)), key=lambda line: line.ts)
    parts = [lines[i : i + CHUNK_LINES] for i in range(0, len(lines), CHUNK_LINES)]
    for (chunk_id, _), part in zip(small, parts, strict=False):
        tx.write(update(t.log_chunks).where(_c.id == chunk_id).values(_chunk(run_id, part)))
    tx.write(delete(t.log_chunks).where(_c.id.in_([chunk_id for chunk_id, _ in small[len(parts) :]])))
    return len(small) - len(parts)


def logs_due(tx: ReadTx, limit: int = 100) -> list[Id]:
    """Runs whose log `fold_log` should be called for."""
    query = select(_c.run_id).where(_c.lines < FOLD_BELOW).group_by(_c.run_id)
    return [row[0] for row in tx.execute(query.having(func.count() >= FOLD_CHUNKS).limit(limit))]


def _count_lines(tx: ReadTx, run_id: Id) -> int:
    return int(tx.scalar(select(func.coalesce(func.sum(_c.lines), 0)).where(_c.run_id == run_id)))


def _chunks(tx: ReadTx, run_id: Id, beyond: int | None, earlier: bool) -> Iterator[tuple[int, int, Sequence[LogLine]]]:
    """(nearer edge, id, lines) of the chunks that reach beyond the time, nearest edge first, a few at a time."""
    edge = _c.last_ts if earlier else _c.first_ts
    base = select(edge, _c.id, _c.data).where(_c.run_id == run_id)
    if beyond is not None:
        base = base.where(_c.first_ts < beyond if earlier else _c.last_ts > beyond)
    base = base.order_by(edge.desc() if earlier else edge, _c.id.desc() if earlier else _c.id)
    size = 4
    position: tuple[int, int] | None = None
    while True:
        query = base
        if position is not None:
            at, chunk_id = position
            further = (edge < at) | ((edge == at) & (_c.id < chunk_id))
            if not earlier:
                further = (edge > at) | ((edge == at) & (_c.id > chunk_id))
            query = base.where(further)
        rows = tx.execute(query.limit(size)).all()
        for at, chunk_id, data in rows:
            yield at, chunk_id, _unpack(data)
            position = (at, chunk_id)
        if len(rows) < size:
            return
        size = min(64, size * 2)


def _chunk(run_id: Id, lines: Sequence[LogLine]) -> dict[str, object]:
    text = json.dumps(lines, ensure_ascii=False, separators=(",", ":"))
    return {
        "run_id": run_id,
        "first_ts": lines[0].ts,
        "last_ts": lines[-1].ts,
        "lines": len(lines),
        # A lone surrogate is no text; what cannot be written is replaced rather than the line lost.
        "data": zlib.compress(text.encode(errors="replace"), 1),
    }


def _unpack(data: bytes) -> list[LogLine]:
    return [LogLine(*line) for line in json.loads(zlib.decompress(data))]
