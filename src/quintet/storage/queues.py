"""Queues, the order of their entries, and leases.

An entry's `position` is any number: smaller comes first, gaps mean nothing. New ones get the greatest plus
one, the front the smallest minus one; a step forwards or backwards swaps only the positions it passes.
On PostgreSQL whoever changes the order holds the queue's row, so that no two entries get the same position;
takers hold the run they take and pass over those that another holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, func, insert, or_, select, update

from quintet.domain.ids import Id
from quintet.domain.runs import Lease, Queue, QueueEntry, RunState
from quintet.storage import tables as t
from quintet.storage.mapping import Mapper
from quintet.storage.sql import for_update, json_has, skip_locked
from quintet.storage.tx import ReadTx, WriteTx

_queues = Mapper(Queue, t.queues)
_entries = Mapper(QueueEntry, t.queue_entries)
_leases = Mapper(Lease, t.leases)


# -- queues -----------------------------------------------------------------------------------------------------


def insert_queue(tx: WriteTx, queue: Queue) -> None:
    tx.write(insert(t.queues), _queues.dump(queue))


def save_queue(tx: WriteTx, queue: Queue) -> None:
    tx.write(update(t.queues).where(t.queues.c.id == queue.id), _queues.dump(queue))


def delete_queue(tx: WriteTx, queue_id: Id) -> None:
    tx.write(delete(t.queues).where(t.queues.c.id == queue_id))


def find_queue(tx: ReadTx, space_id: Id, queue_id: Id) -> Queue | None:
    c = t.queues.c
    row = tx.one(select(t.queues).where(c.space_id == space_id, c.id == queue_id))
    return _queues.load(row) if row else None


def queue_by_name(tx: ReadTx, space_id: Id, name: str) -> Queue | None:
    c = t.queues.c
    row = tx.one(select(t.queues).where(c.space_id == space_id, c.name == name))
    return _queues.load(row) if row else None


def default_queue(tx: ReadTx, space_id: Id) -> Queue | None:
    """The queue with the system tag "default", whatever it is called by now."""
    c = t.queues.c
    query = select(t.queues).where(c.space_id == space_id, json_has(tx, c.system_tags, "default")).order_by(c.id)
    row = tx.one(query.limit(1))
    return _queues.load(row) if row else None


def get_queues(tx: ReadTx, space_id: Id, ids: Sequence[Id]) -> dict[Id, Queue]:
    c = t.queues.c
    rows = tx.all(select(t.queues).where(c.space_id == space_id, c.id.in_(list(ids)))) if ids else []
    return {r["id"]: _queues.load(r) for r in rows}


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Which queues; None means any. `name_pattern` is a regular expression."""

    ids: tuple[Id, ...] | None = None
    names: tuple[str, ...] | None = None
    name_pattern: str | None = None
    tags_all: tuple[str, ...] = ()
    tags_any: tuple[str, ...] = ()
    tags_none: tuple[str, ...] = ()
    system_tags_all: tuple[str, ...] = ()
    system_tags_none: tuple[str, ...] = ()


def list_queues(tx: ReadTx, space_id: Id, wanted: QueueFilter) -> list[Queue]:
    """Queues in the order of their making. A space has few, so there are no pages."""
    c = t.queues.c
    clauses: list[ColumnElement[bool]] = [c.space_id == space_id]
    if wanted.ids is not None:
        clauses.append(c.id.in_(wanted.ids))
    if wanted.names is not None:
        clauses.append(c.name.in_(wanted.names))
    if wanted.name_pattern:
        clauses.append(c.name.regexp_match(wanted.name_pattern))
    clauses += [json_has(tx, c.tags, tag) for tag in wanted.tags_all]
    clauses += [~json_has(tx, c.tags, tag) for tag in wanted.tags_none]
    clauses += [json_has(tx, c.system_tags, tag) for tag in wanted.system_tags_all]
    clauses += [~json_has(tx, c.system_tags, tag) for tag in wanted.system_tags_none]
    if wanted.tags_any:
        clauses.append(or_(*(json_has(tx, c.tags, tag) for tag in wanted.tags_any)))
    return [_queues.load(r) for r in tx.all(select(t.queues).where(*clauses).order_by(c.id))]


def lock_queue(tx: WriteTx, queue_id: Id) -> bool:
    """Holds the queue's order until the transaction ends; False where the queue is gone."""
    return tx.one(for_update(select(t.queues.c.id).where(t.queues.c.id == queue_id), tx.kind)) is not None


# -- entries ----------------------------------------------------------------------------------------------------


def add_entry(
    tx: WriteTx, queue_id: Id, run_id: Id, previous_state: RunState, now: int, *, front: bool = False
) -> QueueEntry:
    """Puts the run into the queue, out of any other; the caller holds the queue's order."""
    remove_entry(tx, run_id)
    c = t.queue_entries.c
    end = func.min(c.position) if front else func.max(c.position)
    edge = tx.scalar(select(end).where(c.queue_id == queue_id))
    position = 0 if edge is None else int(edge) + (-1 if front else 1)
    entry = QueueEntry(queue_id, run_id, position, now, previous_state)
    tx.write(insert(t.queue_entries), _entries.dump(entry))
    return entry


def entry_of(tx: ReadTx, run_id: Id) -> QueueEntry | None:
    row = tx.one(select(t.queue_entries).where(t.queue_entries.c.run_id == run_id))
    return _entries.load(row) if row else None


def remove_entry(tx: WriteTx, run_id: Id) -> bool:
    return tx.write(delete(t.queue_entries).where(t.queue_entries.c.run_id == run_id)) > 0


def entries_of(tx: ReadTx, queue_id: Id, limit: int | None = None, offset: int = 0) -> list[QueueEntry]:
    """The entries in the order in which they will be taken."""
    c = t.queue_entries.c
    query = select(t.queue_entries).where(c.queue_id == queue_id).order_by(c.position, c.run_id).offset(offset)
    return [_entries.load(r) for r in tx.all(query if limit is None else query.limit(limit))]


def count_entries(tx: ReadTx, queue_ids: Sequence[Id]) -> dict[Id, int]:
    """How many runs wait in each of the queues."""
    counts = dict.fromkeys(queue_ids, 0)
    if queue_ids:
        c = t.queue_entries.c
        query = select(c.queue_id, func.count().label("n")).where(c.queue_id.in_(list(queue_ids)))
        counts.update({r["queue_id"]: int(r["n"]) for r in tx.all(query.group_by(c.queue_id))})
    return counts


def place_of(tx: ReadTx, entry: QueueEntry) -> int:
    """How many entries are before this one."""
    c = t.queue_entries.c
    return int(tx.scalar(select(func.count()).where(c.queue_id == entry.queue_id, c.position < entry.position)) or 0)


def move_entry(tx: WriteTx, entry: QueueEntry, to: int) -> int | None:
    """Moves an entry to place `to` (0 is the front, clamped); its new place. The caller holds the order.

    The entries passed on the way take each other's positions, so a move by k steps writes k + 1 rows. None
    where somebody took the entry meanwhile: takers do not wait for the order.
    """
    c = t.queue_entries.c
    order = tx.all(select(c.run_id, c.position).where(c.queue_id == entry.queue_id).order_by(c.position, c.run_id))
    runs, positions = [r["run_id"] for r in order], [int(r["position"]) for r in order]
    if entry.run_id not in runs:
        return None
    old, new = runs.index(entry.run_id), max(0, min(to, len(runs) - 1))
    runs.insert(new, runs.pop(old))
    for place in range(min(old, new), max(old, new) + 1):
        tx.write(update(t.queue_entries).where(c.run_id == runs[place]).values(position=positions[place]))
    return new


def move_to_end(tx: WriteTx, entry: QueueEntry, *, front: bool) -> int | None:
    """Moves an entry before or behind all others in one write; its new place. The caller holds the order.

    None where somebody took the entry meanwhile.
    """
    c = t.queue_entries.c
    count = count_entries(tx, [entry.queue_id])[entry.queue_id]
    edge = func.min(c.position) if front else func.max(c.position)
    end = tx.scalar(select(edge).where(c.queue_id == entry.queue_id)) or 0
    position = int(end) + (-1 if front else 1)
    if not tx.write(update(t.queue_entries).where(c.run_id == entry.run_id).values(position=position)):
        return None
    return 0 if front else count - 1


# -- taking -----------------------------------------------------------------------------------------------------


def waiting_queues(tx: ReadTx, space_id: Id | None, names: Sequence[str]) -> list[Id]:
    """Queues of these names with a run for our workers, in the order of `names`, then by who waits longest.

    `space_id` None looks in every space.
    """
    q, e, r = t.queues.c, t.queue_entries.c, t.runs.c
    query = (
        select(q.id, q.name)
        .join(t.queue_entries, e.queue_id == q.id)
        .join(t.runs, r.id == e.run_id)
        .where(q.name.in_(list(names)), r.recipe.is_not(None), r.state == RunState.QUEUED.value)
        .group_by(q.id, q.name)
        .order_by(func.min(e.added_at), q.id)
    )
    rows = tx.all(query if space_id is None else query.where(q.space_id == space_id))
    rank = {name: n for n, name in enumerate(names)}
    return [r["id"] for r in sorted(rows, key=lambda row: rank[row["name"]])]


def hold_first(
    tx: WriteTx, queue_id: Id, *, with_recipe: bool, states: Sequence[RunState], only: Id | None = None
) -> QueueEntry | None:
    """The first fitting entry, its run held until the transaction ends; no two callers ever get the same one.

    The entry itself stays, for the caller to remove: entries are the last that anybody waits for. With `only`,
    None unless the first fitting entry is that run.
    """
    e, r = t.queue_entries.c, t.runs.c
    passed: list[str] = []
    while True:
        query = (
            select(e.run_id)
            .join(t.runs, r.id == e.run_id)
            .where(e.queue_id == queue_id, r.state.in_([s.value for s in states]), e.run_id.not_in(passed))
            .where(r.recipe.is_not(None) if with_recipe else r.recipe.is_(None))
            .order_by(e.position, e.run_id)
            .limit(1)
        )
        run_id = tx.scalar(skip_locked(query, tx.kind, of=t.runs))
        if run_id is None or (only is not None and run_id != only):
            return None
        # PostgreSQL looked before it locked: only now it is certain that the run still waits here.
        entry = entry_of(tx, run_id)
        if entry is not None and entry.queue_id == queue_id:
            return entry
        passed.append(run_id)


# -- leases -----------------------------------------------------------------------------------------------------


def insert_lease(tx: WriteTx, lease: Lease) -> None:
    delete_lease(tx, lease.run_id)
    tx.write(insert(t.leases), _leases.dump(lease))


def lease_of(tx: ReadTx, run_id: Id) -> Lease | None:
    row = tx.one(select(t.leases).where(t.leases.c.run_id == run_id))
    return _leases.load(row) if row else None


def leases_of(tx: ReadTx, run_ids: Sequence[Id]) -> dict[Id, Lease]:
    rows = tx.all(select(t.leases).where(t.leases.c.run_id.in_(list(run_ids)))) if run_ids else []
    return {r["run_id"]: _leases.load(r) for r in rows}


def extend_lease(tx: WriteTx, run_id: Id, token: str, expires_at: int) -> bool:
    """False, and nothing written, where the token is not (or no longer) the one that holds the run."""
    c = t.leases.c
    return tx.write(update(t.leases).where(c.run_id == run_id, c.token == token).values(expires_at=expires_at)) > 0


def note_lines(tx: WriteTx, run_id: Id, lines: int) -> None:
    """How many lines of the attempt have been taken by now."""
    tx.write(update(t.leases).where(t.leases.c.run_id == run_id).values(lines=lines))


def end_lease(tx: WriteTx, run_id: Id, token: str) -> bool:
    """Gives the run back; False, and nothing written, for a stale token."""
    c = t.leases.c
    return tx.write(delete(t.leases).where(c.run_id == run_id, c.token == token)) > 0


def delete_lease(tx: WriteTx, run_id: Id) -> bool:
    return tx.write(delete(t.leases).where(t.leases.c.run_id == run_id)) > 0


def expired_leases(tx: ReadTx, now: int, limit: int) -> list[Lease]:
    """Leases past their time, in any space, oldest first."""
    c = t.leases.c
    query = select(t.leases).where(c.expires_at < now).order_by(c.expires_at).limit(limit)
    return [_leases.load(r) for r in tx.all(query)]
