"""Who works in a project and towards what: owner, collaborators, goals, status.

They are kept in the project's `detail` under the name of the dialect that speaks of them; every change is read,
checked and written in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from quintet.app.audit import note
from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx, WriteTx
from quintet.app.identity.accounts import get_users
from quintet.app.projects.manage import CreateProject, create_project, edit_project, find_project, list_projects
from quintet.app.references import check_member
from quintet.domain.errors import NotFound
from quintet.domain.identity import Permission, User
from quintet.domain.ids import Id, parse_id
from quintet.domain.page import PageRequest
from quintet.domain.projects import Project
from quintet.storage.projects import ProjectFilter

OWNER = "owner_id"
"""The entry that names an owner other than whoever made the project."""

ProjectChange = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ProjectView:
    """A project with its owner, where that user is still a member of the space."""

    project: Project
    owner_id: Id
    owner: User | None


def owner_of(project: Project) -> Id:
    """The user who owns the project: the one it was given to, else whoever made it."""
    for own in project.detail.values():
        given = own.get(OWNER) if isinstance(own, dict) else None
        if isinstance(given, str):
            return Id(given)
    return project.created_by


def with_owners(ctx: Ctx[ReadTx], projects: Sequence[Project]) -> list[ProjectView]:
    """The projects with their owners."""
    authorize(ctx, Permission.PROJECT_READ)
    owners = [owner_of(p) for p in projects]
    users = get_users(ctx, list(dict.fromkeys(owners)))
    return [ProjectView(p, owner, users.get(owner)) for p, owner in zip(projects, owners, strict=True)]


def view_project(ctx: Ctx[ReadTx], ref: str) -> ProjectView:
    """A project by any spelling of its id; NotFound where it is archived or not there."""
    found = find_project(ctx, ref)
    if found.archived:
        raise NotFound.of("project", ref)
    return with_owners(ctx, [found])[0]


def view_projects(ctx: Ctx[ReadTx], page: PageRequest) -> tuple[list[ProjectView], int]:
    """A page of the projects that are not archived, and how many there are."""
    found, total = list_projects(ctx, ProjectFilter(archived=False), page)
    return with_owners(ctx, found), total


def create_owned(ctx: Ctx[WriteTx], cmd: CreateProject, dialect: str, owner: Id | None) -> ProjectView:
    """A new project, in the name of `owner` where it is another member."""
    if owner is not None:
        check_member(ctx, owner, "ownerId")
    project = create_project(ctx, cmd)
    if owner is not None and owner != ctx.actor.user_id:
        project = _changed(ctx, project, dialect, lambda own: {**own, OWNER: owner})
    return with_owners(ctx, [project])[0]


def change_collaboration(
    ctx: Ctx[WriteTx], ref: str, dialect: str, change: ProjectChange, *, members: Sequence[str] = ()
) -> Project:
    """Replaces what `dialect` keeps of the project by what `change` makes of it; `members` must be in the space."""
    authorize(ctx, Permission.PROJECT_WRITE)
    for member in members:
        check_member(ctx, parse_id(member) or Id(member), "id")
    project = view_project(ctx, ref).project
    changed = _changed(ctx, project, dialect, change)
    note(ctx, "project.collaboration", "project", project.id)
    return changed


def _changed(ctx: Ctx[WriteTx], project: Project, dialect: str, change: ProjectChange) -> Project:
    fresh = change(dict(project.detail.get(dialect, {})))
    return edit_project(ctx, project.id, {"detail": {**project.detail, dialect: fresh}})


def archive_project(ctx: Ctx[WriteTx], ref: str) -> Project:
    """Puts a project away; what is in it stays."""
    return edit_project(ctx, view_project(ctx, ref).project.id, {"archived": True})
