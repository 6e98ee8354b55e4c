"""Hardware tiers and environments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from quintet.app.compute.catalog import (
    ENVIRONMENT,
    TIER,
    change_environment,
    change_tier,
    drop_environment,
    drop_tier,
    get_entry,
    list_entries,
    put_environment,
    put_tier,
)
from quintet.app.documents import Document
from quintet.app.identity.accounts import get_users
from quintet.dialects.domino.binder import binder
from quintet.dialects.domino.envelope import Body, choices, chosen, enveloped, own_id, paged, path_id, wanted_page, when
from quintet.dialects.domino.people import user_name
from quintet.dialects.domino.projects import done
from quintet.dialects.kit.call import Call
from quintet.domain.errors import Invalid, NotFound
from quintet.domain.identity import User
from quintet.domain.ids import new_id

JsonObject = dict[str, Any]
TIERS = "/api/hardwaretiers/v1/hardwaretiers"
ENVIRONMENTS = "/api/environments/beta/environments"
ONE_ENVIRONMENT = "/api/environments/v1/environments/{environmentId}"
UNITS = choices(("MB", "MiB", "GB", "GiB"))
VISIBILITIES = choices(("global", "private"))
CLUSTERS = choices(("dask", "mpi", "ray", "spark"))

# -- hardware tiers ---------------------------------------------------------------------------------------------


class Amount(Body):
    value: float
    units: str = "GiB"


class Resources(Body):
    cores: float = 1
    cores_limit: float | None = None
    memory: Amount | None = None
    memory_limit: Amount | None = None
    memory_swap_limit: Amount | None = None
    shared_memory_limit: Amount | None = None
    allow_shared_memory_to_exceed_default: bool = False


class Gpus(Body):
    number_of_gpus: int = 0
    gpu_key: str = "nvidia.com/gpu"


class Tier(Body):
    """Entries that say how a cluster schedules are kept and shown; nothing here schedules by them."""

    id: str
    name: str | None = None
    cents_per_minute: float | None = None
    resources: Resources | None = None
    gpu_configuration: Gpus | None = None
    flags: JsonObject | None = None
    node_pool: str | None = None
    data_plane_id: str | None = None
    max_simultaneous_executions: int | None = None
    availability_zones: list[str] | None = None
    compute_cluster_restrictions: JsonObject | None = None
    over_provisioning: JsonObject | None = None
    pod_customization: JsonObject | None = None
    tags: list[str] | None = None


FLAGS = {
    "isArchived": False,
    "isDataAnalystTier": False,
    "isDefault": False,
    "isDefaultForModelApi": False,
    "isGlobal": True,
    "isModelApiTier": False,
    "isVisible": True,
}
CAPACITY = {"capacityLevel": "CanExecuteWithCurrentInstances"}


def tier_shown(item: Document) -> JsonObject:
    """HardwareTierV1."""
    return {
        "id": item.key,
        "name": item.key,
        "nodePool": "default",
        "centsPerMinute": None,
        "maxSimultaneousExecutions": None,
        "resources": None,
        "gpuConfiguration": None,
        "availabilityZones": [],
        "tags": [],
        **{name: value for name, value in item.data.items() if value is not None},
        "flags": {**FLAGS, **(item.data.get("flags") or {})},
        "capacity": CAPACITY,
        "metadata": {},
        "creationTime": when(item.created_at),
        "updateTime": when(item.updated_at),
    }


def _tier_data(body: Tier) -> JsonObject:
    for name in ("memory", "memory_limit", "memory_swap_limit", "shared_memory_limit"):
        amount = getattr(body.resources, name) if body.resources is not None else None
        if amount is not None:
            chosen(amount.units, UNITS, f"resources.{name}.units")
    data = msgspec.to_builtins(body)
    del data["id"]
    return {name: value for name, value in data.items() if value is not None}


@binder.op(f"GET {TIERS}")
async def tiers(call: Call) -> object:
    page = wanted_page(call)
    found, total = await call.read(list_entries, TIER, page.limit, page.offset)
    return paged(call, "hardwareTiers", [tier_shown(t) for t in found], total, page)


@binder.op(f"POST {TIERS}", body=Tier)
async def create_tier(call: Call) -> object:
    body: Tier = call.body
    return enveloped(call, hardwareTier=tier_shown(await call.write(put_tier, body.id, _tier_data(body))))


@binder.op(f"PUT {TIERS}", body=Tier)
async def update_tier(call: Call) -> object:
    body: Tier = call.body
    return enveloped(call, hardwareTier=tier_shown(await call.write(change_tier, body.id, _tier_data(body))))


@binder.op(f"GET {TIERS}/{{hardwareTierId}}")
async def get_tier(call: Call) -> object:
    return enveloped(call, hardwareTier=tier_shown(await call.read(get_entry, TIER, call.path["hardwareTierId"])))


@binder.op(f"DELETE {TIERS}/{{hardwareTierId}}")
async def delete_tier(call: Call) -> object:
    await call.write(drop_tier, call.path["hardwareTierId"])
    return done(call)


# -- environments -----------------------------------------------------------------------------------------------


class NewEnvironment(Body):
    """An environment is a name for an image: nothing is built here, so a revision is ready at once."""

    name: str
    visibility: str = "private"
    description: str = ""
    image: str | None = None
    add_base_dependencies: bool = False
    is_curated: bool = False
    is_restricted: bool = False
    org_owner_id: str | None = None
    duplicate_from_environment_id: str | None = None
    supported_clusters: list[str] = []
    tags: list[str] = []


class NewRevision(Body):
    image: str | None = None
    summary: str = ""
    dockerfile_instructions: str = ""
    environment_variables: list[JsonObject] = []
    supported_clusters: list[str] = []
    tags: list[str] = []


class RevisionChanges(Body):
    is_restricted: bool


def environment_shown(item: Document, owner: User | None) -> JsonObject:
    """EnvironmentV1."""
    data = item.data
    revisions = [_revision(r) for r in data["revisions"]]
    restricted = next((_revision(r) for r in reversed(data["revisions"]) if r.get("isRestricted")), None)
    return {
        "id": item.id,
        "name": data["name"],
        "visibility": data["visibility"],
        "archived": item.deleted_at is not None,
        "isCurated": data["isCurated"],
        "owner": {"id": item.created_by, "ownerType": "individual", "username": user_name(owner)},
        "latestRevision": revisions[-1],
        "selectedRevision": revisions[-1],
        "restrictedRevision": restricted,
        "activeRevisionTags": data["revisions"][-1]["tags"],
        "internalTags": [],
        "supportedClusters": data["revisions"][-1]["supportedClusters"],
    }


def _revision(given: JsonObject) -> JsonObject:
    return {"id": given["id"], "number": given["number"], "status": "succeeded", "availableTools": []}


def _new_revision(number: int, body: NewEnvironment | NewRevision) -> JsonObject:
    clusters = [chosen(c, CLUSTERS, "supportedClusters") for c in body.supported_clusters]
    return {
        "id": new_id(), "number": number, "image": body.image, "tags": body.tags, "supportedClusters": clusters,
        "isRestricted": isinstance(body, NewEnvironment) and body.is_restricted,
    }  # fmt: skip


@binder.op(f"GET {ENVIRONMENTS}")
async def environments(call: Call) -> object:
    page = wanted_page(call)
    found, total = await call.read(list_entries, ENVIRONMENT, page.limit, page.offset)
    return paged(call, "environments", await _environments(call, found), total, page)


async def _environments(call: Call, found: Sequence[Document]) -> list[JsonObject]:
    users = await call.read(get_users, list({e.created_by for e in found if e.created_by is not None}))
    return [environment_shown(e, users.get(e.created_by) if e.created_by else None) for e in found]


@binder.op(f"POST {ENVIRONMENTS}", body=NewEnvironment)
async def create_environment(call: Call) -> object:
    body: NewEnvironment = call.body
    if body.duplicate_from_environment_id is not None:
        raise Invalid("environments are not duplicated here; give an image", field="duplicateFromEnvironmentId")
    data = {
        "name": body.name, "visibility": chosen(body.visibility, VISIBILITIES, "visibility"),
        "description": body.description, "isCurated": body.is_curated, "revisions": [_new_revision(1, body)],
    }  # fmt: skip
    return enveloped(call, environment=(await _environments(call, [await call.write(put_environment, data)]))[0])


@binder.op(f"GET {ONE_ENVIRONMENT}")
async def get_environment(call: Call) -> object:
    ident = path_id(call, "environmentId", "environment")
    found = await call.read(get_entry, ENVIRONMENT, ident)
    return enveloped(call, environment=(await _environments(call, [found]))[0])


@binder.op(f"DELETE {ONE_ENVIRONMENT}")
async def delete_environment(call: Call) -> object:
    await call.write(drop_environment, path_id(call, "environmentId", "environment"))
    return done(call)


@binder.op(f"POST {ENVIRONMENTS}/{{environmentId}}/revisions", body=NewRevision)
async def create_revision(call: Call) -> object:
    body: NewRevision = call.body

    def change(data: JsonObject) -> JsonObject:
        return {"revisions": [*data["revisions"], _new_revision(len(data["revisions"]) + 1, body)]}

    changed = await call.write(change_environment, path_id(call, "environmentId", "environment"), change)
    return enveloped(call, environmentRevision=_revision(changed.data["revisions"][-1]))


@binder.op(f"PATCH {ENVIRONMENTS}/{{environmentId}}/revisions/{{revisionId}}", body=RevisionChanges)
async def restrict_revision(call: Call) -> object:
    body: RevisionChanges = call.body
    ident = own_id(call.path["revisionId"], "revision")

    def change(data: JsonObject) -> JsonObject:
        if all(r["id"] != ident for r in data["revisions"]):
            raise NotFound.of("revision", ident)
        given = {"isRestricted": body.is_restricted}
        return {"revisions": [{**r, **given} if r["id"] == ident else r for r in data["revisions"]]}

    await call.write(change_environment, path_id(call, "environmentId", "environment"), change)
    return {"id": ident}
