"""Who did what: entries are added and listed, never changed."""

from __future__ import annotations

from sqlalchemy import insert, select

from quintet.domain.billing import AuditEntry
from quintet.domain.ids import Id
from quintet.domain.page import Page, PageRequest
from quintet.storage import tables as t
from quintet.storage.keyset import fetch_page
from quintet.storage.mapping import Mapper
from quintet.storage.tx import ReadTx, WriteTx

_map = Mapper(AuditEntry, t.audit)


def record(tx: WriteTx, entry: AuditEntry) -> None:
    tx.write(insert(t.audit), _map.dump(entry))


def list_entries(
    tx: ReadTx,
    space_id: Id,
    page: PageRequest,
    *,
    kind: str | None = None,
    subject_id: str | None = None,
    actions: tuple[str, ...] | None = None,
    user_id: Id | None = None,
    since: int | None = None,
    until: int | None = None,
    count: bool = False,
) -> Page[AuditEntry]:
    """Entries of a space, newest first; `since` is included, `until` is not (microseconds)."""
    c = t.audit.c
    query = select(t.audit).where(c.space_id == space_id)
    if kind is not None:
        query = query.where(c.kind == kind)
    if subject_id is not None:
        query = query.where(c.subject_id == subject_id)
    if actions is not None:
        query = query.where(c.action.in_(actions))
    if user_id is not None:
        query = query.where(c.user_id == user_id)
    if since is not None:
        query = query.where(c.at >= since)
    if until is not None:
        query = query.where(c.at < until)
    return fetch_page(tx, query, c.id, c.id, _map.load, page, descending=True, count=count)
