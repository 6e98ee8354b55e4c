"""Which teams work in a project. A share says who is meant to; what they may do is their role's business."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quintet.app.audit import note
from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx, WriteTx
from quintet.app.identity.accounts import find_team
from quintet.app.projects.manage import CreateProject, create_project, find_project
from quintet.app.projects.presentation import PresentProject, present_project
from quintet.domain.errors import Invalid, NotFound
from quintet.domain.identity import Permission, Role
from quintet.domain.ids import Id
from quintet.domain.projects import Project, Share
from quintet.storage import identity as identity_store
from quintet.storage import shares as store

FIRST_TEAM = "default"
FIRST_ROLE = "admin"
"""Whom a new project is shared with where nobody is named: the team that every space starts with."""


@dataclass(frozen=True, slots=True)
class ShareWith:
    """A team and a role, each by id or key."""

    team: str
    role: str
    is_owner: bool = False


def share_project(ctx: Ctx[WriteTx], ref: str, shares: Sequence[ShareWith]) -> Project:
    """Shares the project with exactly these teams, each of them once."""
    authorize(ctx, Permission.PROJECT_SHARE)
    project = find_project(ctx, ref)
    made: list[Share] = []
    for wanted in shares:
        team = find_team(ctx, wanted.team)
        if any(s.team_id == team.id for s in made):
            raise Invalid(f"the team '{team.key}' is named twice", field="shares")
        made.append(Share(project.id, team.id, find_role(ctx, wanted.role).key, wanted.is_owner))
    store.replace_shares(ctx.tx, project.id, made)
    note(ctx, "project.share", "project", project.id, teams=[s.team_id for s in made])
    return project


def find_role(ctx: Ctx[ReadTx], ref: str) -> Role:
    """A role of the space by id or key."""
    for role in identity_store.roles_of(ctx.tx, ctx.actor.space_id):
        if ref in (role.id, role.key):
            return role
    raise NotFound.of("role", ref)


def create_shared_project(
    ctx: Ctx[WriteTx], cmd: CreateProject, team: str | None = None, look: PresentProject | None = None
) -> Project:
    """A new project, owned by `team` or by the first team of the space, if that is still there."""
    project = create_project(ctx, cmd)
    if look is not None:
        project = present_project(ctx, project.id, look)
    owner = find_team(ctx, team) if team is not None else None
    owner = owner or identity_store.find_team(ctx.tx, ctx.actor.space_id, FIRST_TEAM)
    if owner is not None:
        store.replace_shares(ctx.tx, project.id, [Share(project.id, owner.id, FIRST_ROLE, True)])
    return project


def shares_of(ctx: Ctx[ReadTx], project_ids: Sequence[Id]) -> dict[Id, list[Share]]:
    """The shares of each project that has any."""
    authorize(ctx, Permission.PROJECT_READ)
    found: dict[Id, list[Share]] = {}
    for share in store.of_projects(ctx.tx, project_ids):
        found.setdefault(share.project_id, []).append(share)
    return found
