"""What a project refers to: code repositories, which are kept as addresses, and datasets of other projects."""

from __future__ import annotations

from typing import Any

from quintet.app.datasets.snapshotted import view_dataset
from quintet.app.projects.collaboration import change_collaboration, view_project
from quintet.dialects.domino.binder import DIALECT, binder
from quintet.dialects.domino.envelope import Body, choices, chosen, cut, enveloped, own_id, paged, path_id, wanted_page
from quintet.dialects.domino.projects import done
from quintet.dialects.kit.call import Call
from quintet.domain.errors import Invalid, NotFound
from quintet.domain.ids import Id, new_id

JsonObject = dict[str, Any]
PROJECT = "/api/projects/v1/projects/{projectId}"
PROVIDERS = choices(
    ("bitbucket", "bitbucketServer", "github", "githubEnterprise", "gitLab", "gitLabEnterprise", "unknown")
)


def _ref(call: Call) -> Id:
    return path_id(call, "projectId", "project")


async def _own(call: Call) -> JsonObject:
    project = (await call.read(view_project, _ref(call))).project
    return dict(project.detail.get(DIALECT, {}))


# -- repositories -----------------------------------------------------------------------------------------------


class NewRepository(Body):
    uri: str
    name: str | None = None
    service_provider: str = "unknown"
    default_ref: JsonObject | None = None
    git_credential_id: str | None = None


@binder.op(f"GET {PROJECT}/repositories")
async def repositories(call: Call) -> object:
    page = wanted_page(call)
    found = (await _own(call)).get("repositories", [])
    return paged(call, "repositories", cut(found, page), len(found), page)


@binder.op(f"POST {PROJECT}/repositories", body=NewRepository)
async def add_repository(call: Call) -> object:
    body: NewRepository = call.body
    if not body.uri.strip():
        raise Invalid("an address is required", field="uri")
    item = {
        "id": new_id(), "uri": body.uri, "name": body.name or body.uri.rstrip("/").rsplit("/", 1)[-1],
        "serviceProvider": chosen(body.service_provider, PROVIDERS, "serviceProvider"),
        "defaultRef": body.default_ref or {"refType": "head", "value": None},
    }  # fmt: skip

    def change(own: JsonObject) -> JsonObject:
        return {**own, "repositories": [*own.get("repositories", []), item]}

    await call.write(change_collaboration, _ref(call), DIALECT, change)
    return enveloped(call, repository=item)


@binder.op(f"DELETE {PROJECT}/repositories/{{repositoryId}}")
async def drop_repository(call: Call) -> object:
    ident = call.path["repositoryId"]

    def change(own: JsonObject) -> JsonObject:
        kept = [r for r in own.get("repositories", []) if r["id"] != ident]
        if len(kept) == len(own.get("repositories", [])):
            raise NotFound.of("repository", ident)
        return {**own, "repositories": kept}

    await call.write(change_collaboration, _ref(call), DIALECT, change)
    return done(call)


# -- shared datasets --------------------------------------------------------------------------------------------


class SharedDataset(Body):
    dataset_id: str


def _shared(call: Call, own: JsonObject) -> JsonObject:
    entry = {"projectId": _ref(call), "sharedDatasetIds": own.get("sharedDatasets", [])}
    return enveloped(call, dataset=entry)


@binder.op(f"GET {PROJECT}/shared-datasets")
async def shared_datasets(call: Call) -> object:
    return _shared(call, await _own(call))


@binder.op(f"POST {PROJECT}/shared-datasets", body=SharedDataset)
async def share_dataset(call: Call) -> object:
    body: SharedDataset = call.body
    dataset = (await call.read(view_dataset, own_id(body.dataset_id, "dataset"))).dataset
    if dataset.project_id == _ref(call):
        raise Invalid("the dataset belongs to this project", field="datasetId")

    def change(own: JsonObject) -> JsonObject:
        others = [d for d in own.get("sharedDatasets", []) if d != dataset.id]
        return {**own, "sharedDatasets": [*others, dataset.id]}

    project = await call.write(change_collaboration, _ref(call), DIALECT, change)
    return _shared(call, project.detail[DIALECT])


@binder.op(f"DELETE {PROJECT}/shared-datasets/{{datasetId}}")
async def unshare_dataset(call: Call) -> object:
    ident = call.path["datasetId"]

    def change(own: JsonObject) -> JsonObject:
        if ident not in own.get("sharedDatasets", []):
            raise NotFound.of("shared dataset", ident)
        return {**own, "sharedDatasets": [d for d in own["sharedDatasets"] if d != ident]}

    await call.write(change_collaboration, _ref(call), DIALECT, change)
    return done(call)
