"""Billing tags, and the small documents that one dialect alone has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, select, update

from quintet.domain.billing import BillingTag
from quintet.domain.ids import Id
from quintet.storage import sql
from quintet.storage import tables as t
from quintet.storage.mapping import Mapper
from quintet.storage.tx import ReadTx, WriteTx

_tags = Mapper(BillingTag, t.billing_tags)


def put_tag(tx: WriteTx, tag: BillingTag) -> None:
    sql.upsert(tx, t.billing_tags, [_tags.dump(tag)], keys=("space_id", "tag"), update=("active",))


def find_tag(tx: ReadTx, space_id: Id, tag: str) -> BillingTag | None:
    c = t.billing_tags.c
    row = tx.one(select(t.billing_tags).where(c.space_id == space_id, c.tag == tag))
    return _tags.load(row) if row else None


def list_tags(tx: ReadTx, space_id: Id) -> list[BillingTag]:
    c = t.billing_tags.c
    return [_tags.load(r) for r in tx.all(select(t.billing_tags).where(c.space_id == space_id).order_by(c.tag))]


@dataclass(frozen=True, slots=True)
class Document:
    """A resource of one dialect: `data` is its own JSON, `key` unique among its kind in the space."""

    id: Id
    space_id: Id
    dialect: str
    kind: str
    key: str
    created_at: int
    updated_at: int
    created_by: Id | None
    data: dict[str, Any]
    project_id: Id | None = None
    deleted_at: int | None = None


_documents = Mapper(Document, t.documents)


def insert_document(tx: WriteTx, item: Document) -> None:
    tx.write(insert(t.documents), _documents.dump(item))


def save_document(tx: WriteTx, item: Document) -> None:
    tx.write(update(t.documents).where(t.documents.c.id == item.id), _documents.dump(item))


def find_document(tx: ReadTx, space_id: Id, dialect: str, kind: str, ref: str) -> Document | None:
    """By id or key; deleted ones are found too, with `deleted_at` set."""
    c = t.documents.c
    where = (c.space_id == space_id) & (c.dialect == dialect) & (c.kind == kind)
    row = tx.one(select(t.documents).where(where, (c.id == ref) | (c.key == ref)))
    return _documents.load(row) if row else None


def list_documents(
    tx: ReadTx, space_id: Id, dialect: str, kind: str, limit: int, after: Id | None = None, offset: int = 0
) -> tuple[list[Document], int]:
    """Documents that are not deleted, oldest first, and how many there are in all."""
    c = t.documents.c
    query = select(t.documents).where(
        c.space_id == space_id, c.dialect == dialect, c.kind == kind, c.deleted_at.is_(None)
    )
    total = int(tx.scalar(select(func.count()).select_from(query.subquery())) or 0)
    if after is not None:
        query = query.where(c.id > after)
    rows = tx.all(query.order_by(c.id).limit(limit).offset(offset))
    return [_documents.load(r) for r in rows], total
