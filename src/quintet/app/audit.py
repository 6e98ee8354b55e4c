"""Audit entries: use cases that change what others rely on leave one; administrators read them."""

from __future__ import annotations

from typing import Any

from quintet.app.authz import authorize
from quintet.app.context import Ctx
from quintet.domain.billing import AuditEntry
from quintet.domain.identity import Permission
from quintet.domain.ids import Id, new_id
from quintet.domain.page import Page, PageRequest
from quintet.storage import audit as store
from quintet.storage.tx import ReadTx, WriteTx


def note(ctx: Ctx[WriteTx], action: str, kind: str, subject_id: str, **data: Any) -> None:
    """Writes down that the actor did `action` (e.g. "review.respond") to a thing; `data` must be safe to show."""
    store.record(
        ctx.tx,
        AuditEntry(new_id(), ctx.actor.space_id, ctx.now, ctx.actor.user_id, action, kind, subject_id, data),
    )


def list_audit(
    ctx: Ctx[ReadTx],
    page: PageRequest | None = None,
    *,
    kind: str | None = None,
    subject_id: str | None = None,
    actions: tuple[str, ...] | None = None,
    user_id: Id | None = None,
    since: int | None = None,
    until: int | None = None,
    count: bool = False,
) -> Page[AuditEntry]:
    """Entries of the actor's space, newest first; `since` is included, `until` is not (microseconds)."""
    authorize(ctx, Permission.AUDIT_READ)
    return store.list_entries(
        ctx.tx, ctx.actor.space_id, page or PageRequest(), kind=kind, subject_id=subject_id, actions=actions,
        user_id=user_id, since=since, until=until, count=count,
    )  # fmt: skip
