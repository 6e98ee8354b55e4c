"""The spaces a user is a member of."""

from __future__ import annotations

from dataclasses import replace

from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx, WriteTx
from quintet.domain.errors import NotFound
from quintet.domain.identity import Permission, Space
from quintet.domain.projects import check_name
from quintet.storage import identity as store


def my_spaces(ctx: Ctx[ReadTx]) -> list[Space]:
    """The actor's spaces, oldest first."""
    return [s for s in store.spaces_of(ctx.tx, ctx.actor.user_id) if s.deleted_at is None]


def get_space(ctx: Ctx[ReadTx], ref: str) -> Space:
    """One of the actor's spaces; NotFound for all others."""
    found = next((s for s in my_spaces(ctx) if s.id == ref), None)
    if found is None:
        raise NotFound.of("space", ref)
    return found


def edit_space(ctx: Ctx[WriteTx], ref: str, name: str | None, description: str | None) -> Space:
    """Renames or describes the space that the actor's key belongs to."""
    authorize(ctx, Permission.ADMIN)
    space = get_space(ctx, ref)
    if space.id != ctx.actor.space_id:
        raise NotFound.of("space", ref)
    changed = replace(
        space,
        name=check_name(name) if name is not None else space.name,
        description=space.description if description is None else description,
        updated_at=ctx.now,
    )
    store.save_space(ctx.tx, changed)
    return changed
