"""Checks that what a command refers to is there and of the actor's space, naming the field that is wrong."""

from __future__ import annotations

from quintet.app.context import Ctx
from quintet.domain.errors import Forbidden, Invalid, NotFound
from quintet.domain.identity import Permission
from quintet.domain.ids import Id
from quintet.storage import identity, models, projects
from quintet.storage.tx import ReadTx


def check_project(ctx: Ctx[ReadTx], project_id: Id | None) -> None:
    """NotFound where the project is not one of the space."""
    if project_id is not None and projects.get(ctx.tx, ctx.actor.space_id, project_id) is None:
        raise NotFound.of("project", project_id)


def check_run(ctx: Ctx[ReadTx], run_id: Id | None) -> None:
    """NotFound where the run is not one of the space."""
    if run_id is not None and not models.run_in_space(ctx.tx, ctx.actor.space_id, run_id):
        raise NotFound.of("run", run_id)


def check_member(ctx: Ctx[ReadTx], user_id: Id, field: str) -> None:
    """Invalid, naming `field`, where the user is not a member of the space."""
    if identity.member_role(ctx.tx, ctx.actor.space_id, user_id) is None:
        raise Invalid(f"'{field}' names '{user_id}', who is not a member of this space", field=field)


def check_blob(ctx: Ctx[ReadTx], key: str, field: str) -> None:
    """Forbidden where a blob key does not lie in the actor's own part of the store.

    A key says whose it is by a part of its path: the space, or a run of it. Without this rule a command could
    name, and thereby read or delete, another space's files.
    """
    for part in key.split("/")[:4]:
        if part == ctx.actor.space_id or models.run_in_space(ctx.tx, ctx.actor.space_id, Id(part)):
            return
    raise Forbidden(f"'{field}' names files outside this space", field=field)


def authorize_output(ctx: Ctx[ReadTx], permission: Permission, run_id: Id | None) -> None:
    """The actor holds `permission`, or is the token of the very run whose output this is."""
    actor = ctx.actor
    if actor.run_id is not None and actor.run_id == run_id and actor.may(Permission.RUN_WRITE):
        return
    if not actor.may(permission):
        raise Forbidden(f"this needs the permission '{permission}'", permission=str(permission))
    if actor.run_id is not None and run_id != actor.run_id:
        raise Forbidden("this token belongs to another run")
