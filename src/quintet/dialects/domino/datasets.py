"""Datasets, their snapshots with tags, and who was granted what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quintet.app.datasets.manage import DatasetFilter, delete_dataset, edit_dataset
from quintet.app.datasets.snapshots import (
    create_snapshot,
    find_snapshot,
    list_snapshots,
    put_grant,
    remove_grant,
    remove_tag,
    set_tag,
)
from quintet.app.datasets.snapshotted import (
    DatasetView,
    create_granted,
    list_views,
    view_dataset,
    view_grants,
)
from quintet.dialects.domino.binder import binder
from quintet.dialects.domino.envelope import Body, chosen, enveloped, own_id, paged, path_id, wanted_page, when
from quintet.dialects.domino.people import user_name
from quintet.dialects.domino.projects import done
from quintet.dialects.kit.call import Call
from quintet.domain.data import GrantRole, Snapshot
from quintet.domain.errors import Invalid
from quintet.domain.ids import Id

ROOT = "/api/datasetrw/v1/datasets"
ONE = f"{ROOT}/{{datasetId}}"
JsonObject = dict[str, Any]
ROLES = {
    "DatasetRwOwner": GrantRole.OWNER,
    "DatasetRwEditor": GrantRole.EDITOR,
    "DatasetRwReader": GrantRole.READER,
}
ROLE_NAMES = {role: name for name, role in ROLES.items()}


def dataset_shown(view: DatasetView) -> JsonObject:
    """DatasetRwDetailsV1."""
    item = view.dataset
    return {
        "id": item.id,
        "name": item.name,
        "description": item.description,
        "projectId": item.project_id,
        "createdAt": when(item.created_at),
        "snapshotIds": [s.id for s in view.snapshots],
        "tags": {tag: s.id for s in view.snapshots for tag in s.tags},
    }


def snapshot_shown(item: Snapshot) -> JsonObject:
    """SnapshotDetailsV1."""
    return {
        "id": item.id,
        "datasetId": item.dataset_id,
        "description": item.description,
        "status": item.status,
        "creatorId": item.created_by,
        "createdAt": when(item.created_at),
        "lastMounted": None,
    }


def _ref(call: Call) -> Id:
    return path_id(call, "datasetId", "dataset")


async def _shown(call: Call, ref: str) -> object:
    return enveloped(call, dataset=dataset_shown(await call.read(view_dataset, ref)))


@binder.op(f"GET {ROOT}")
async def list_all(call: Call) -> object:
    page = wanted_page(call)
    project = call.query.get("projectId")
    wanted = DatasetFilter(project_ids=(own_id(project, "project"),) if project else None)
    found, total = await call.read(list_views, wanted, page)
    return paged(call, "datasets", [dataset_shown(v) for v in found], total, page)


@binder.op("GET /api/datasetrw/v2/datasets", comma=True)
async def list_with_projects(call: Call) -> object:
    """`minimumPermission` changes nothing: who may see a dataset here may see it in every list."""
    page = wanted_page(call)
    included, excluded = (call.query.get(n) or [] for n in ("projectIdsToInclude", "projectIdsToExclude"))
    if included and excluded:
        raise Invalid("give projects to include or to exclude, not both", field="projectIdsToExclude")
    wanted = DatasetFilter(
        project_ids=_projects(included) if included else None, excluded_project_ids=_projects(excluded)
    )
    found, total = await call.read(list_views, wanted, page)
    with_project = bool(call.query.get("includeProjectInfo"))
    items = [{"dataset": dataset_shown(v), "projectInfo": _project(v) if with_project else None} for v in found]
    return paged(call, "datasets", items, total, page)


def _projects(ids: Sequence[str]) -> tuple[Id, ...]:
    return tuple(own_id(ident, "project") for ident in ids)


def _project(view: DatasetView) -> JsonObject | None:
    if view.project is None:
        return None
    project = view.project.project
    return {
        "projectId": project.id,
        "projectName": project.name,
        "projectOwnerUsername": user_name(view.project.owner),
    }


class GrantBody(Body):
    target_id: str
    target_role: str


class NewDataset(Body):
    """Either of the project, or a copy of what a snapshot holds."""

    name: str
    description: str = ""
    project_id: str | None = None
    snapshot_id: str | None = None
    grants: list[GrantBody] | None = None


@binder.op(f"POST {ROOT}", body=NewDataset)
async def create(call: Call) -> object:
    body: NewDataset = call.body
    if body.snapshot_id is not None:
        raise Invalid("datasets are not copied from snapshots here; give a projectId", field="snapshotId")
    if body.project_id is None:
        raise Invalid("this field is required", field="projectId")
    grants = [(own_id(g.target_id, "user"), chosen(g.target_role, ROLES, "targetRole")) for g in body.grants or []]
    project = own_id(body.project_id, "project")
    made = await call.write(create_granted, body.name, project, body.description, grants)
    return await _shown(call, made.id)


@binder.op(f"GET {ONE}")
async def get(call: Call) -> object:
    return await _shown(call, _ref(call))


class DatasetChanges(Body):
    name: str | None = None
    description: str | None = None


@binder.op(f"PATCH {ONE}", body=DatasetChanges)
async def change(call: Call) -> object:
    body: DatasetChanges = call.body
    given = {"name": body.name, "description": body.description}
    dataset = (await call.read(view_dataset, _ref(call))).dataset
    await call.write(edit_dataset, dataset.id, {name: value for name, value in given.items() if value is not None})
    return await _shown(call, dataset.id)


@binder.op(f"DELETE {ONE}")
async def delete(call: Call) -> object:
    await call.write(delete_dataset, _ref(call))
    return done(call)


# -- grants -----------------------------------------------------------------------------------------------------


@binder.op(f"GET {ONE}/grants")
async def grants(call: Call) -> object:
    found = await call.read(view_grants, _ref(call))
    shown = [
        {
            "targetId": g.grant.target_id,
            "targetName": g.name,
            "targetRole": ROLE_NAMES[g.grant.role],
            "isOrganization": g.is_team,
        }
        for g in found
    ]
    return enveloped(call, grantDetails=shown)


async def _grants(call: Call) -> object:
    found = await call.read(view_grants, _ref(call))
    shown = [{"targetId": g.grant.target_id, "targetRole": ROLE_NAMES[g.grant.role]} for g in found]
    return enveloped(call, grants=shown)


@binder.op(f"POST {ONE}/grants", body=GrantBody)
async def grant(call: Call) -> object:
    body: GrantBody = call.body
    role = chosen(body.target_role, ROLES, "targetRole")
    await call.write(put_grant, _ref(call), own_id(body.target_id, "user"), role)
    return await _grants(call)


@binder.op(f"DELETE {ONE}/grants", body=GrantBody)
async def take_back(call: Call) -> object:
    body: GrantBody = call.body
    chosen(body.target_role, ROLES, "targetRole")
    await call.write(remove_grant, _ref(call), own_id(body.target_id, "user"))
    return await _grants(call)


# -- snapshots --------------------------------------------------------------------------------------------------


class NewSnapshot(Body):
    relative_file_paths: list[str] = []
    description: str = ""


@binder.op(f"GET {ONE}/snapshots")
async def snapshots(call: Call) -> object:
    page = wanted_page(call)
    _, found = await call.read(list_snapshots, _ref(call), page, count=True)
    return paged(call, "snapshots", [snapshot_shown(s) for s in found.items], found.total or 0, page)


@binder.op(f"POST {ONE}/snapshots", body=NewSnapshot)
async def snapshot(call: Call) -> object:
    body: NewSnapshot = call.body
    files = [{"path": path} for path in body.relative_file_paths]
    made = await call.write(create_snapshot, _ref(call), body.description, files=files)
    return enveloped(call, snapshot=snapshot_shown(made))


@binder.op("GET /api/datasetrw/v1/snapshots/{snapshotId}")
async def one_snapshot(call: Call) -> object:
    _, found = await call.read(find_snapshot, call.path["snapshotId"])
    return enveloped(call, snapshot=snapshot_shown(found))


class NewTag(Body):
    tag_name: str
    snapshot_id: str


@binder.op(f"POST {ONE}/tags", body=NewTag)
async def tag(call: Call) -> object:
    body: NewTag = call.body
    await call.write(set_tag, _ref(call), body.tag_name, body.snapshot_id)
    return await _shown(call, _ref(call))


@binder.op(f"DELETE {ONE}/tags/{{tagName}}")
async def untag(call: Call) -> object:
    await call.write(remove_tag, _ref(call), call.path["tagName"])
    return await _shown(call, _ref(call))
