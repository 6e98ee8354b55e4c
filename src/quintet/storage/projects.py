"""Projects, and the ids that other systems or clients gave to things of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, delete, func, insert, or_, select, update

from quintet.domain.ids import Id
from quintet.domain.projects import Project
from quintet.storage import tables as t
from quintet.storage.mapping import Mapper
from quintet.storage.tx import ReadTx, WriteTx

_map = Mapper(Project, t.projects)


def insert_project(tx: WriteTx, project: Project) -> None:
    tx.write(insert(t.projects), _map.dump(project))


def save_project(tx: WriteTx, project: Project) -> None:
    tx.write(update(t.projects).where(t.projects.c.id == project.id), _map.dump(project))


def delete_project(tx: WriteTx, project_id: Id) -> None:
    tx.write(delete(t.projects).where(t.projects.c.id == project_id))


def get(tx: ReadTx, space_id: Id, project_id: Id) -> Project | None:
    c = t.projects.c
    row = tx.one(select(t.projects).where(c.space_id == space_id, c.id == project_id))
    return _map.load(row) if row else None


def by_name(tx: ReadTx, space_id: Id, name: str) -> Project | None:
    c = t.projects.c
    row = tx.one(select(t.projects).where(c.space_id == space_id, c.name == name))
    return _map.load(row) if row else None


def by_key(tx: ReadTx, space_id: Id, key: str) -> Project | None:
    c = t.projects.c
    row = tx.one(select(t.projects).where(c.space_id == space_id, c.key == key))
    return _map.load(row) if row else None


def get_many(tx: ReadTx, space_id: Id, ids: Sequence[Id]) -> dict[Id, Project]:
    c = t.projects.c
    rows = tx.all(select(t.projects).where(c.space_id == space_id, c.id.in_(list(ids)))) if ids else []
    return {r["id"]: _map.load(r) for r in rows}


@dataclass(frozen=True, slots=True)
class ProjectFilter:
    """What to list. `under` is a full name whose descendants are wanted; `archived` None means both."""

    ids: tuple[Id, ...] | None = None
    names: tuple[str, ...] | None = None
    parent_id: Id | None = None
    under: str | None = None
    archived: bool | None = None
    name_contains: str | None = None


def _where(space_id: Id, wanted: ProjectFilter) -> Select[tuple[Project]]:
    c = t.projects.c
    query = select(t.projects).where(c.space_id == space_id)
    if wanted.ids is not None:
        query = query.where(c.id.in_(wanted.ids))
    if wanted.names is not None:
        query = query.where(c.name.in_(wanted.names))
    if wanted.parent_id is not None:
        query = query.where(c.parent_id == wanted.parent_id)
    if wanted.under is not None:
        escaped = wanted.under.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        query = query.where(or_(c.name == wanted.under, c.name.like(f"{escaped}/%", escape="\\")))
    if wanted.archived is not None:
        query = query.where(c.archived == wanted.archived)
    if wanted.name_contains:
        query = query.where(func.lower(c.name).contains(wanted.name_contains.lower(), autoescape=True))
    return query


def list_projects(
    tx: ReadTx, space_id: Id, wanted: ProjectFilter, limit: int | None = None, offset: int = 0
) -> list[Project]:
    """Projects in the order of their making."""
    query = _where(space_id, wanted).order_by(t.projects.c.id).offset(offset)
    return [_map.load(r) for r in tx.all(query.limit(limit) if limit is not None else query)]


def count_projects(tx: ReadTx, space_id: Id, wanted: ProjectFilter) -> int:
    return int(tx.scalar(select(func.count()).select_from(_where(space_id, wanted).subquery())) or 0)
