"""Names that clients choose, and ids from elsewhere: one table says which thing of ours each means."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, insert, select, update

from quintet.domain.ids import Id
from quintet.storage import tables as t
from quintet.storage.tx import ReadTx, WriteTx


def put(tx: WriteTx, space_id: Id, dialect: str, kind: str, value: str, target_id: Id) -> None:
    """Adds a name; Conflict where it means something already."""
    row = {"space_id": space_id, "dialect": dialect, "kind": kind, "value": value, "target_id": target_id}
    tx.write(insert(t.external_refs), row)


def move(tx: WriteTx, space_id: Id, dialect: str, kind: str, value: str, target_id: Id) -> None:
    """Points a name at another thing, and adds it where it is new."""
    c = t.external_refs.c
    where = (c.space_id == space_id) & (c.dialect == dialect) & (c.kind == kind) & (c.value == value)
    if not tx.write(update(t.external_refs).where(where).values(target_id=target_id)):
        put(tx, space_id, dialect, kind, value, target_id)


def find(tx: ReadTx, space_id: Id, dialect: str, kind: str, value: str) -> Id | None:
    c = t.external_refs.c
    found = tx.scalar(
        select(c.target_id).where(
            c.space_id == space_id, c.dialect == dialect, c.kind == kind, c.value == value
        )
    )
    return None if found is None else Id(found)


def find_any(tx: ReadTx, space_id: Id, kind: str, value: str) -> Id | None:
    """What a name means in any dialect, for look-ups that take every spelling; the dialects' order decides."""
    c = t.external_refs.c
    found = tx.scalar(
        select(c.target_id)
        .where(c.space_id == space_id, c.kind == kind, c.value == value)
        .order_by(c.dialect)
        .limit(1)
    )
    return None if found is None else Id(found)


def list_refs(tx: ReadTx, space_id: Id, dialect: str, kind: str) -> list[tuple[str, Id]]:
    """(name, target) of every name of one sort, in the order their targets were made."""
    c = t.external_refs.c
    query = select(c.value, c.target_id).where(c.space_id == space_id, c.dialect == dialect, c.kind == kind)
    return [(r["value"], Id(r["target_id"])) for r in tx.all(query.order_by(c.target_id, c.value))]


def names_of(tx: ReadTx, space_id: Id, dialect: str, kind: str, targets: Sequence[Id]) -> dict[Id, str]:
    """The name of each target that has one."""
    if not targets:
        return {}
    c = t.external_refs.c
    query = select(c.value, c.target_id).where(
        c.space_id == space_id, c.dialect == dialect, c.kind == kind, c.target_id.in_(list(targets))
    )
    return {Id(r["target_id"]): r["value"] for r in tx.all(query.order_by(c.value.desc()))}


def drop_target(tx: WriteTx, space_id: Id, kind: str, target_id: Id) -> None:
    """Forgets every name of a thing that is deleted, so that the names are free again."""
    c = t.external_refs.c
    tx.write(delete(t.external_refs).where(c.space_id == space_id, c.kind == kind, c.target_id == target_id))
