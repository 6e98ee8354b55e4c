"""Plots, images and vectors of runs: a row each, the newest one for its key.

The figures of plots are large and few are looked at, so lists of where there are events never touch them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, or_, select

from quintet.domain.errors import Invalid
from quintet.domain.events import EventKey, EventType, NewEvent, RunEvent
from quintet.domain.ids import Id
from quintet.domain.page import Page
from quintet.domain.series import MetricFilter
from quintet.storage import tables as t
from quintet.storage.series import series_digest
from quintet.storage.sql import upsert
from quintet.storage.tx import ReadTx, WriteTx

COMPRESS_FROM = 1_024
"""Bytes from which data is compressed: a page of SQLite is 4 kB, so less would save nothing."""

MAX_EVENTS = 10_000
"""Events in a page at most, ties aside."""

_c = t.run_events.c
_PLAIN, _ZLIB = b"\0", b"\1"


def put_events(tx: WriteTx, run_id: Id, events: Iterable[NewEvent]) -> int:
    """Stores events and says how many; one at the place of another replaces it."""
    rows: dict[tuple[str, str, int], dict[str, Any]] = {}
    count = 0
    for event in events:
        digest = series_digest(event.metric, event.variant, event.key)
        place = (event.type.value, digest, event.iter)
        rows[place] = {
            "run_id": run_id, "type": event.type.value, "digest": digest, "metric": event.metric,
            "variant": event.variant, "iter": event.iter, "ts": event.ts, "key": event.key, "url": event.url,
            "data": _pack(event.data),
        }  # fmt: skip
        count += 1
    upsert(
        tx,
        t.run_events,
        [rows[place] for place in sorted(rows)],
        keys=["run_id", "type", "digest", "iter"],
        update=["ts", "url", "data"],
    )
    return count


def delete_events(tx: WriteTx, run_id: Id) -> list[str]:
    """Deletes all events of a run; the distinct URLs they pointed to, for whoever deletes files."""
    urls = tx.execute(select(_c.url).where(_c.run_id == run_id, _c.url != "").distinct().order_by(_c.url)).all()
    tx.write(delete(t.run_events).where(_c.run_id == run_id))
    return [row[0] for row in urls]


def last_events(
    tx: ReadTx,
    run_ids: Sequence[Id],
    types: Sequence[EventType],
    metrics: Sequence[MetricFilter] = (),
    *,
    iterations: int = 1,
    per_run: bool = True,
) -> list[RunEvent]:
    """The events of the last `iterations` iterations of each metric and variant, newest first.

    With `per_run` off the iterations are counted over all the runs together.
    """
    places = (_c.run_id, _c.metric, _c.variant) if per_run else (_c.metric, _c.variant)
    rank = func.dense_rank().over(partition_by=(_c.type, *places), order_by=_c.iter.desc())
    ranked = select(_c.id, rank.label("rank")).where(*_where(run_ids, types, metrics)).subquery()
    chosen = select(ranked.c.id).where(ranked.c.rank <= iterations)
    order = (_c.metric, _c.variant, _c.iter.desc(), _c.run_id, _c.id)
    return [_load(row) for row in tx.all(select(t.run_events).where(_c.id.in_(chosen)).order_by(*order))]


def event_keys(
    tx: ReadTx,
    run_id: Id,
    types: Sequence[EventType],
    metrics: Sequence[MetricFilter] = (),
    *,
    current_only: bool = False,
) -> list[EventKey]:
    """Where a run has events, newest iteration first.

    With `current_only`, events whose URL a later event of the same metric and variant writes again are left
    out: clients reuse a limited number of files, and what was there is gone.
    """
    query = select(_c.metric, _c.variant, _c.iter, func.count()).where(*_where([run_id], types, metrics))
    if current_only:
        query = query.where(_c.id.in_(_current([run_id], types, metrics)))
    query = query.group_by(_c.metric, _c.variant, _c.iter).order_by(_c.iter.desc(), _c.metric, _c.variant)
    return [EventKey(*row) for row in tx.execute(query).all()]


def iterations(
    tx: ReadTx,
    run_id: Id,
    types: Sequence[EventType],
    metrics: Sequence[MetricFilter] = (),
    *,
    beyond: int | None = None,
    newer: bool = False,
    limit: int = 1,
    current_only: bool = True,
) -> list[int]:
    """The `limit` iterations nearest to `beyond` that have events: below it, with `newer` above it.

    Without `beyond` from the newest down (with `newer` from the oldest up). Always newest first.
    """
    query = select(_c.iter).where(*_where([run_id], types, metrics)).distinct()
    if current_only:
        query = query.where(_c.id.in_(_current([run_id], types, metrics)))
    if beyond is not None:
        query = query.where(_c.iter > beyond if newer else _c.iter < beyond)
    query = query.order_by(_c.iter if newer else _c.iter.desc()).limit(limit)
    return sorted((row[0] for row in tx.execute(query)), reverse=True)


def events_at(
    tx: ReadTx,
    run_id: Id,
    types: Sequence[EventType],
    metrics: Sequence[MetricFilter] = (),
    *,
    iters: Sequence[int],
    current_only: bool = True,
) -> list[RunEvent]:
    """The events of these iterations, newest iteration first, then by metric, variant and key."""
    query = select(t.run_events).where(*_where([run_id], types, metrics), _c.iter.in_(list(iters)))
    if current_only:
        query = query.where(_c.id.in_(_current([run_id], types, metrics)))
    order = (_c.iter.desc(), _c.metric, _c.variant, _c.key, _c.id)
    return [_load(row) for row in tx.all(query.order_by(*order))]


def page_events(
    tx: ReadTx,
    run_id: Id,
    types: Sequence[EventType],
    metrics: Sequence[MetricFilter] = (),
    *,
    limit: int = 500,
    after: int | None = None,
    newest_first: bool = True,
) -> tuple[Page[RunEvent], int | None]:
    """Events by iteration beyond `after`, and the iteration to continue from (None at the end).

    All events of the last iteration of a page are on it, even beyond `limit`.
    """
    if not 1 <= limit <= MAX_EVENTS:
        raise Invalid(f"a page holds 1 to {MAX_EVENTS} events", field="batch_size")
    where = _where([run_id], types, metrics)
    total = int(tx.scalar(select(func.count()).select_from(t.run_events).where(*where)))
    beyond = list(where)
    if after is not None:
        beyond.append(_c.iter < after if newest_first else _c.iter > after)
    order = _c.iter.desc() if newest_first else _c.iter
    edge = tx.scalar(select(_c.iter).where(*beyond).order_by(order).offset(limit - 1).limit(1))
    if edge is not None:
        beyond.append(_c.iter >= edge if newest_first else _c.iter <= edge)
    rows = tx.all(select(t.run_events).where(*beyond).order_by(order, _c.id))
    following = None
    if edge is not None:
        further = select(_c.id).where(*where, _c.iter < edge if newest_first else _c.iter > edge).limit(1)
        following = None if tx.scalar(further) is None else int(edge)
    return Page([_load(row) for row in rows], total=total), following


def _current(run_ids: Sequence[Id], types: Sequence[EventType], metrics: Sequence[MetricFilter]) -> Any:
    """Ids of the events whose URL nobody wrote again at a later iteration."""
    place = (_c.run_id, _c.type, _c.metric, _c.variant, _c.url)
    last = func.max(_c.iter).over(partition_by=place)
    seen = select(_c.id, _c.iter, _c.url, last.label("last")).where(*_where(run_ids, types, metrics)).subquery()
    return select(seen.c.id).where((seen.c.url == "") | (seen.c.iter == seen.c.last))


def _where(
    run_ids: Sequence[Id], types: Sequence[EventType], metrics: Sequence[MetricFilter]
) -> list[ColumnElement[bool]]:
    clauses: list[ColumnElement[bool]] = [
        _c.run_id.in_(list(run_ids)),
        _c.type.in_([one.value for one in types]),
    ]
    if metrics:
        wanted = [
            and_(_c.metric == m.metric, _c.variant.in_(list(m.variants))) if m.variants else _c.metric == m.metric
            for m in metrics
        ]
        clauses.append(or_(*wanted))
    return clauses


def _load(row: Any) -> RunEvent:
    return RunEvent(
        run_id=row["run_id"],
        type=EventType(row["type"]),
        metric=row["metric"],
        variant=row["variant"],
        iter=row["iter"],
        ts=row["ts"],
        key=row["key"],
        url=row["url"],
        data=_unpack(row["data"]),
        seq=row["id"],
    )


def _pack(text: str) -> bytes | None:
    if not text:
        return None
    raw = text.encode(errors="replace")
    if len(raw) < COMPRESS_FROM:
        return _PLAIN + raw
    packed = zlib.compress(raw, 6)
    return _ZLIB + packed if len(packed) < len(raw) else _PLAIN + raw


def _unpack(data: bytes | None) -> str:
    if not data:
        return ""
    return (zlib.decompress(data[1:]) if data[:1] == _ZLIB else data[1:]).decode()
