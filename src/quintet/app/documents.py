"""Small resources that one dialect alone has: kept whole, found by id or key, deleted softly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx, WriteTx
from quintet.domain.errors import Conflict, NotFound
from quintet.domain.identity import Permission
from quintet.domain.ids import Id, new_id
from quintet.storage import billing as store
from quintet.storage.billing import Document

__all__ = ["Document"]


def create_document(
    ctx: Ctx[WriteTx], dialect: str, kind: str, data: dict[str, Any], key: str | None = None
) -> Document:
    """A new document; its key is its id where none is given."""
    authorize(ctx, Permission.PROJECT_WRITE)
    ident = new_id()
    if key is not None and store.find_document(ctx.tx, ctx.actor.space_id, dialect, kind, key) is not None:
        raise Conflict(f"a {kind} '{key}' is there already", field="key")
    item = Document(ident, ctx.actor.space_id, dialect, kind, key or ident, ctx.now, ctx.now, ctx.actor.user_id, data)
    store.insert_document(ctx.tx, item)
    return item


def get_document(ctx: Ctx[ReadTx], dialect: str, kind: str, ref: str) -> Document:
    authorize(ctx, Permission.PROJECT_READ)
    item = store.find_document(ctx.tx, ctx.actor.space_id, dialect, kind, ref)
    if item is None or item.deleted_at is not None:
        raise NotFound.of(kind, ref)
    return item


def list_documents(
    ctx: Ctx[ReadTx], dialect: str, kind: str, limit: int = 50, after: Id | None = None, offset: int = 0
) -> tuple[list[Document], int]:
    """A page, oldest first, and the total."""
    authorize(ctx, Permission.PROJECT_READ)
    return store.list_documents(ctx.tx, ctx.actor.space_id, dialect, kind, limit, after, offset)


def edit_document(ctx: Ctx[WriteTx], dialect: str, kind: str, ref: str, changes: dict[str, Any]) -> Document:
    """Sets the given entries of the document's data; the others stay."""
    authorize(ctx, Permission.PROJECT_WRITE)
    item = get_document(ctx, dialect, kind, ref)
    changed = replace(item, data={**item.data, **changes}, updated_at=ctx.now)
    store.save_document(ctx.tx, changed)
    return changed


def delete_document(ctx: Ctx[WriteTx], dialect: str, kind: str, ref: str) -> Document:
    authorize(ctx, Permission.PROJECT_WRITE)
    item = replace(get_document(ctx, dialect, kind, ref), deleted_at=ctx.now)
    # The key is given free, so that the same one may be used again.
    store.save_document(ctx.tx, replace(item, key=item.id))
    return item
