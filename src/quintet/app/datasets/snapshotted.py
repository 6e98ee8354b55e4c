"""Datasets with what lists show beside them (project, snapshots), and grants with the names of who has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quintet.app.context import Ctx, ReadTx, WriteTx
from quintet.app.datasets.manage import CreateDataset, DatasetFilter, create_dataset, find_dataset, list_datasets
from quintet.app.datasets.snapshots import list_grants, put_grant, snapshots_of
from quintet.app.identity.accounts import get_users, list_teams
from quintet.app.projects.collaboration import ProjectView, with_owners
from quintet.app.projects.manage import get_projects
from quintet.app.references import check_member
from quintet.domain.data import Dataset, Grant, GrantRole, Snapshot
from quintet.domain.errors import Conflict, Invalid
from quintet.domain.ids import Id
from quintet.domain.page import PageRequest
from quintet.storage import datasets as store


@dataclass(frozen=True, slots=True)
class DatasetView:
    dataset: Dataset
    snapshots: Sequence[Snapshot] = ()
    project: ProjectView | None = None


@dataclass(frozen=True, slots=True)
class GrantView:
    """A grant, and the e-mail of the user or name of the team that has it."""

    grant: Grant
    name: str
    is_team: bool


def view_dataset(ctx: Ctx[ReadTx], ref: str) -> DatasetView:
    return _views(ctx, [find_dataset(ctx, ref)])[0]


def list_views(ctx: Ctx[ReadTx], wanted: DatasetFilter, page: PageRequest) -> tuple[list[DatasetView], int]:
    """A page of datasets, oldest first, and how many there are."""
    found = list_datasets(ctx, wanted, page, count=True)
    return _views(ctx, found.items), found.total or 0


def _views(ctx: Ctx[ReadTx], datasets: Sequence[Dataset]) -> list[DatasetView]:
    snapshots = snapshots_of(ctx, [d.id for d in datasets])
    ids = list(dict.fromkeys(d.project_id for d in datasets if d.project_id is not None))
    projects = {v.project.id: v for v in with_owners(ctx, list(get_projects(ctx, ids).values()))}
    return [
        DatasetView(d, snapshots.get(d.id, []), projects.get(d.project_id) if d.project_id else None) for d in datasets
    ]


def create_granted(
    ctx: Ctx[WriteTx], name: str, project_id: Id, description: str, grants: Sequence[tuple[Id, GrantRole]]
) -> Dataset:
    """A new, empty dataset, owned by who makes it; Conflict where the project has one of that name."""
    if store.list_datasets(
        ctx.tx, ctx.actor.space_id, DatasetFilter(project_ids=(project_id,), names=(name,)), PageRequest(limit=1)
    ).items:
        raise Conflict(f"the project has a dataset named '{name}' already", field="name")
    made = create_dataset(ctx, CreateDataset(name, project_id=project_id, description=description))
    put_grant(ctx, made.id, ctx.actor.user_id, GrantRole.OWNER)
    teams = {team.id for team in list_teams(ctx)}
    for target, role in grants:
        if target in teams and role is GrantRole.OWNER:
            raise Invalid("an organisation cannot own a dataset", field="targetRole")
        if target not in teams:
            check_member(ctx, target, "targetId")
        put_grant(ctx, made.id, target, role)
    return made


def view_grants(ctx: Ctx[ReadTx], ref: str) -> list[GrantView]:
    found = list_grants(ctx, ref)
    users = get_users(ctx, [g.target_id for g in found])
    teams = {team.id: team.name for team in list_teams(ctx)}
    names = {**teams, **{user.id: user.email for user in users.values()}}
    return [GrantView(g, names.get(g.target_id, ""), g.target_id in teams) for g in found]
