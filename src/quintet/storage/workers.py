"""Workers: who takes runs, what they said last, and until when they count as there."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, insert, select, update

from quintet.domain.ids import Id
from quintet.domain.runs import Worker
from quintet.storage import tables as t
from quintet.storage.mapping import Mapper
from quintet.storage.tx import ReadTx, WriteTx

_map = Mapper(Worker, t.workers)


def find_worker(tx: ReadTx, space_id: Id, name: str) -> Worker | None:
    c = t.workers.c
    row = tx.one(select(t.workers).where(c.space_id == space_id, c.name == name))
    return _map.load(row) if row else None


def insert_worker(tx: WriteTx, worker: Worker) -> None:
    tx.write(insert(t.workers), _map.dump(worker))


def save_worker(tx: WriteTx, worker: Worker) -> None:
    tx.write(update(t.workers).where(t.workers.c.id == worker.id), _map.dump(worker))


def delete_worker(tx: WriteTx, space_id: Id, name: str) -> bool:
    c = t.workers.c
    return tx.write(delete(t.workers).where(c.space_id == space_id, c.name == name)) > 0


def list_workers(
    tx: ReadTx, space_id: Id, *, alive_at: int | None = None, seen_since: int | None = None,
    names: Sequence[str] | None = None,
) -> list[Worker]:  # fmt: skip
    """Workers by name: with `alive_at` those not expired then, with `seen_since` those heard of since."""
    c = t.workers.c
    query = select(t.workers).where(c.space_id == space_id).order_by(c.name)
    if alive_at is not None:
        query = query.where(c.expires_at >= alive_at)
    if seen_since is not None:
        query = query.where(c.last_seen_at >= seen_since)
    if names is not None:
        query = query.where(c.name.in_(list(names)))
    return [_map.load(r) for r in tx.all(query)]


def forget_workers(tx: WriteTx, expired_before: int) -> int:
    """Drops workers, of any space, that expired before then; how many."""
    return tx.write(delete(t.workers).where(t.workers.c.expires_at < expired_before))
