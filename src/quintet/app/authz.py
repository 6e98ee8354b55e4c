"""The one place that decides whether an actor may do something.

Every use case calls `authorize`; reads of a thing in another space look like the thing is not there, because
saying "forbidden" would tell that it exists.
"""

from __future__ import annotations

from typing import Any

from quintet.app.context import Ctx
from quintet.domain.errors import Forbidden, NotFound
from quintet.domain.identity import Actor, Permission
from quintet.domain.ids import Id


def authorize(ctx: Ctx[Any], permission: Permission) -> None:
    """Forbidden where the actor's role lacks `permission`."""
    require(ctx.actor, permission)


def require(actor: Actor, permission: Permission) -> None:
    if not actor.may(permission):
        raise Forbidden(f"this needs the permission '{permission}'", permission=str(permission))


def same_space(ctx: Ctx[Any], space_id: Id, kind: str, ident: object) -> None:
    """NotFound where the thing belongs to another space."""
    if space_id != ctx.actor.space_id:
        raise NotFound.of(kind, ident)


def authorize_run(ctx: Ctx[Any], run_id: Id, permission: Permission = Permission.RUN_WRITE) -> None:
    """As `authorize`; a run's own token may touch that run and no other."""
    authorize(ctx, permission)
    if ctx.actor.run_id is not None and ctx.actor.run_id != run_id:
        raise Forbidden("this token belongs to another run")
