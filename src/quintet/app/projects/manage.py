"""Make, find, change and delete projects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from quintet.app.authz import authorize
from quintet.app.context import Ctx, Effect
from quintet.domain.errors import Conflict, Invalid, NotFound
from quintet.domain.identity import Permission
from quintet.domain.ids import Id, Kind, from_hex32, from_uuid, new_id, parse_id
from quintet.domain.page import PageRequest
from quintet.domain.projects import DEFAULT_PROJECT, MAX_DEPTH, Project, check_name, slug
from quintet.storage import projects as store
from quintet.storage.projects import ProjectFilter as ProjectFilter
from quintet.storage.tx import ReadTx, WriteTx

EDITABLE = frozenset(
    {"name", "description", "tags", "system_tags", "settings", "billing_tag", "visibility", "archived",
     "default_deployment_id", "detail"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CreateProject:
    """`name` is a full path; missing parents are made. `key` is derived from the name where it is absent."""

    name: str
    key: str | None = None
    description: str = ""
    tags: tuple[str, ...] = ()
    system_tags: tuple[str, ...] = ()
    visibility: str = "private"
    settings: dict[str, Any] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)


def create_project(ctx: Ctx[WriteTx], cmd: CreateProject) -> Project:
    """A new project; Conflict where its name or a key that was asked for is taken."""
    authorize(ctx, Permission.PROJECT_CREATE)
    name = _path(cmd.name)
    if store.by_name(ctx.tx, ctx.actor.space_id, name) is not None:
        raise Conflict(f"a project named '{name}' is there already", field="name")
    if cmd.key is not None and store.by_key(ctx.tx, ctx.actor.space_id, cmd.key) is not None:
        raise Conflict(f"a project with the key '{cmd.key}' is there already", field="key")
    parent = None
    levels = name.split("/")
    for depth in range(1, len(levels)):
        above = "/".join(levels[:depth])
        parent = store.by_name(ctx.tx, ctx.actor.space_id, above) or _insert(ctx, CreateProject(above), above, parent)
    return _insert(ctx, cmd, name, parent)


def _insert(ctx: Ctx[WriteTx], cmd: CreateProject, name: str, parent: Project | None) -> Project:
    key = check_name(cmd.key, field="key") if cmd.key is not None else _free_key(ctx, name)
    if len(key) > 200:
        raise Invalid("'key' is longer than 200 characters", field="key")
    project = Project(
        id=new_id(), space_id=ctx.actor.space_id, name=name, key=key, created_at=ctx.now, updated_at=ctx.now,
        created_by=ctx.actor.user_id, description=cmd.description, parent_id=parent.id if parent else None,
        tags=cmd.tags, system_tags=cmd.system_tags, settings=cmd.settings, visibility=cmd.visibility,
        detail=cmd.detail,
    )  # fmt: skip
    store.insert_project(ctx.tx, project)
    ctx.after_commit(Effect("routes", project.id))
    return project


def _free_key(ctx: Ctx[ReadTx], name: str) -> str:
    base = key = slug(name, "project")
    number = 2
    while store.by_key(ctx.tx, ctx.actor.space_id, key) is not None:
        key, number = f"{base}-{number}", number + 1
    return key


def _path(name: str) -> str:
    levels = [check_name(level, field="name") for level in check_name(name).split("/")]
    if len(levels) > MAX_DEPTH:
        raise Invalid(f"projects nest at most {MAX_DEPTH} deep", field="name")
    return "/".join(levels)


def find_project(ctx: Ctx[ReadTx], ref: str) -> Project:
    """A project by key, name, id or any dialect's spelling of it; NotFound otherwise."""
    authorize(ctx, Permission.PROJECT_READ)
    space = ctx.actor.space_id
    for ident in (parse_id(ref), from_hex32(ref, Kind.PROJECT), from_uuid(ref, Kind.PROJECT)):
        if ident is not None and (found := store.get(ctx.tx, space, ident)) is not None:
            return found
    found = store.by_key(ctx.tx, space, ref) or store.by_name(ctx.tx, space, ref)
    if found is None:
        raise NotFound.of("project", ref)
    return found


def get_projects(ctx: Ctx[ReadTx], ids: Sequence[Id]) -> dict[Id, Project]:
    """Projects of the actor's space by id; those that are not there are missing from the answer."""
    authorize(ctx, Permission.PROJECT_READ)
    return store.get_many(ctx.tx, ctx.actor.space_id, ids)


def ensure_project(ctx: Ctx[WriteTx], name: str = DEFAULT_PROJECT) -> Project:
    """The project of that name, made where it is missing."""
    authorize(ctx, Permission.PROJECT_READ)
    found = store.by_name(ctx.tx, ctx.actor.space_id, _path(name))
    return found or create_project(ctx, CreateProject(name))


def list_projects(
    ctx: Ctx[ReadTx], wanted: ProjectFilter | None = None, page: PageRequest | None = None
) -> tuple[list[Project], int]:
    """The projects and how many there are in all; every one of them without `page`."""
    authorize(ctx, Permission.PROJECT_READ)
    wanted = wanted or ProjectFilter()
    space = ctx.actor.space_id
    if page is None:
        found = store.list_projects(ctx.tx, space, wanted)
        return found, len(found)
    return (
        store.list_projects(ctx.tx, space, wanted, page.limit, page.offset),
        store.count_projects(ctx.tx, space, wanted),
    )


def edit_project(ctx: Ctx[WriteTx], ref: str, changes: dict[str, Any]) -> Project:
    """Replaces the given fields. A rename moves every descendant with it; Conflict where a name is taken."""
    authorize(ctx, Permission.PROJECT_WRITE)
    project = find_project(ctx, ref)
    unknown = set(changes) - EDITABLE
    if unknown:
        raise Invalid(f"a project has no field '{min(unknown)}' to change", field=min(unknown))
    if "name" in changes and changes["name"] != project.name:
        changes = {**changes, "name": _rename(ctx, project, changes["name"])}
    changed = replace(project, **changes, updated_at=ctx.now)
    store.save_project(ctx.tx, changed)
    ctx.after_commit(Effect("routes", project.id))
    return changed


def _rename(ctx: Ctx[WriteTx], project: Project, name: str) -> str:
    new = _path(name)
    if store.by_name(ctx.tx, ctx.actor.space_id, new) is not None:
        raise Conflict(f"a project named '{new}' is there already", field="name")
    for below in store.list_projects(ctx.tx, ctx.actor.space_id, ProjectFilter(under=project.name)):
        if below.id != project.id:
            store.save_project(ctx.tx, replace(below, name=new + below.name[len(project.name) :], updated_at=ctx.now))
    return new


def touch_project(ctx: Ctx[WriteTx], project_id: Id) -> None:
    """Marks a project as changed, because something in it did."""
    project = store.get(ctx.tx, ctx.actor.space_id, project_id)
    if project is not None:
        store.save_project(ctx.tx, replace(project, updated_at=ctx.now))


def delete_project(ctx: Ctx[WriteTx], ref: str) -> Project:
    """Deletes a project that has no children; what is in it is the caller's to move or delete before."""
    authorize(ctx, Permission.PROJECT_WRITE)
    project = find_project(ctx, ref)
    store.delete_project(ctx.tx, project.id)
    ctx.after_commit(Effect("routes", project.id))
    return project
