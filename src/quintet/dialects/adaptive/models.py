"""Models: ours and those of external providers, and where they run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from quintet.app.feedback.lookup import metrics_of_projects
from quintet.app.models.registry import ModelFilter, find_model, get_models, list_models
from quintet.app.projects.manage import get_projects
from quintet.app.runs.read import get_runs
from quintet.app.services import engine_pool
from quintet.app.serving.lookup import deployments_of_models
from quintet.app.serving.services import (
    AddExternalModel,
    add_external_model,
    deploy_model,
    set_compute,
    terminate_model,
)
from quintet.dialects.adaptive import enums, views
from quintet.dialects.adaptive.binder import graph
from quintet.dialects.adaptive.external import upstream_of
from quintet.dialects.adaptive.nullable import or_none
from quintet.dialects.adaptive.views import View
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.graphql import load
from quintet.domain.models import Deployment, DeploymentState, Model, ModelFormat
from quintet.domain.page import MAX_PAGE, PageRequest
from quintet.domain.projects import Project
from quintet.domain.runs import ENDED

WAIT_SECONDS = 75.0
"""How long `wait` waits: the official client gives up after 90 seconds."""

_warming: set[asyncio.Task[Any]] = set()
"""Loads that go on after the answer; asyncio itself keeps no task alive."""


async def warm(call: Call, services: Iterable[Deployment], *, wait: bool) -> None:
    """Has services loaded; with `wait` the answer comes when they are, or when waiting has to end."""
    pool = engine_pool(call.core)
    tasks = [asyncio.create_task(pool.warm(s)) for s in services if s.attached and s.desired_online]
    _warming.update(tasks)
    for task in tasks:
        task.add_done_callback(_warming.discard)
    if wait and tasks:
        await asyncio.wait(tasks, timeout=WAIT_SECONDS)


@graph.query("models")
async def models(call: Call, _obj: object, *, filter: Mapping[str, Any]) -> list[View]:
    """Every model of the space that fits; archived ones only with `viewAll`."""
    wanted = ModelFilter(archived=None if filter.get("viewAll") else False)
    found: list[Model] = []
    after: str | None = None
    while True:
        page = await call.read(list_models, wanted, PageRequest(limit=MAX_PAGE, after=after))
        found += page.items
        after = page.next_cursor
        if after is None:
            break
    shown = [views.model(m) for m in found if _fits(m, filter)]
    states = filter.get("online")
    return shown if states is None else [v for v in shown if await online(call, v) in states]


def _fits(item: Model, filter: Mapping[str, Any]) -> bool:
    ours = item.format in (ModelFormat.TRANSFORMERS, ModelFormat.ADAPTER)
    stored = item.latest_version > 0
    kinds = filter.get("kind")
    checks = (
        (filter.get("inStorage"), stored),
        (filter.get("available"), stored or item.format is ModelFormat.UPSTREAM),
        (filter.get("trainable"), ours and stored),
    )
    return (kinds is None or enums.MODEL_KIND[item.kind] in kinds) and all(
        wanted is None or wanted == found for wanted, found in checks
    )


@graph.query("model")
async def model(call: Call, _obj: object, *, idOrKey: str) -> View | None:
    found = await or_none(call.read(find_model, idOrKey))
    return views.model(found) if found else None


@graph.mutation("addExternalModel")
async def add_external(call: Call, _obj: object, *, input: Mapping[str, Any]) -> View:
    upstream = upstream_of(input["provider"], input.get("providerData"))
    made = await call.write(
        add_external_model,
        AddExternalModel(
            name=input["name"], provider=upstream.provider, upstream_model=upstream.model, config=upstream.config,
            description=input.get("description") or "",
        ),
    )  # fmt: skip
    return views.model(made)


@graph.mutation("updateModelComputeConfig")
async def update_compute(call: Call, _obj: object, *, idOrKey: str, input: Mapping[str, Any]) -> View:
    changes = {name: value for name, value in input.items() if value is not None}
    return views.model(await call.write(set_compute, idOrKey, changes))


@graph.mutation("deployModel")
async def deploy(
    call: Call, _obj: object, *, idOrKey: str, wait: bool = False, placement: Mapping[str, Any] | None = None
) -> str:
    services = await call.write(deploy_model, idOrKey, to_placement(placement))
    await warm(call, services, wait=wait)
    return services[0].key


@graph.mutation("terminateModel")
async def terminate(call: Call, _obj: object, *, idOrKey: str, force: bool = False) -> str:
    services = await call.write(terminate_model, idOrKey, force=force)
    for service in services:
        await engine_pool(call.core).unload(service)
    return services[0].key if services else idOrKey


def to_placement(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A placement as the core keeps it; None where none is given."""
    if given is None:
        return None
    return {"compute_pools": list(given["computePools"]), "max_ttft_ms": given.get("maxTtftMs")}


# -- what a model shows ---------------------------------------------------------------------------------------


async def services_of(call: Call, obj: View) -> list[Deployment]:
    return (await load(call, deployments_of_models, obj["self"].id) or []) if obj["self"] else []


def best_state(call: Call, services: Iterable[Deployment]) -> DeploymentState:
    """The best that any of the services is in."""
    pool = engine_pool(call.core)
    states = {pool.state(s) for s in services if s.attached and s.desired_online}
    order = (DeploymentState.ONLINE, DeploymentState.PENDING, DeploymentState.ERROR)
    return next((state for state in order if state in states), DeploymentState.OFFLINE)


@graph.field("Model", "online")
async def online(call: Call, obj: View) -> str:
    """An external model is always there; ours is what its best service is."""
    if obj["isExternal"]:
        return str(obj.get("online", "ONLINE"))
    return enums.ONLINE[best_state(call, await services_of(call, obj))]


@graph.field("Model", "error")
async def error(call: Call, obj: View) -> str | None:
    pool = engine_pool(call.core)
    return next((text for s in await services_of(call, obj) if (text := pool.error(s))), None)


@graph.field("Model", "isTraining")
async def is_training(call: Call, obj: View) -> bool:
    """Whether the run that makes it is still going."""
    run_id = obj["self"].run_id if obj["self"] else None
    run = await load(call, get_runs, run_id) if run_id else None
    return run is not None and run.state not in ENDED


@graph.field("Model", "backbone")
async def backbone(call: Call, obj: View) -> View | None:
    ident = obj["self"].backbone_id if obj["self"] else None
    found = await load(call, get_models, ident) if ident else None
    return views.model(found) if found else None


async def _in_projects(
    call: Call, obj: View, filter: Mapping[str, Any], attached: bool
) -> list[tuple[Deployment, Project]]:
    """The services of a model with their projects; with `attached` false detached ones too."""
    archived = filter.get("isArchived")
    found: list[tuple[Deployment, Project]] = []
    for service in await services_of(call, obj):
        project = await load(call, get_projects, service.project_id) if service.project_id else None
        if project is not None and archived in (None, project.archived) and (service.attached or not attached):
            found.append((service, project))
    return found


@graph.field("Model", "useCases")
async def use_cases(call: Call, obj: View, *, filter: Mapping[str, Any], attached: bool = True) -> list[View]:
    owners = {p.id: p for _, p in await _in_projects(call, obj, filter, attached)}
    return [views.use_case(p) for p in owners.values()]


@graph.field("Model", "modelServices")
async def model_services(call: Call, obj: View, *, filter: Mapping[str, Any], attached: bool = True) -> list[View]:
    return [views.service(d) for d, _ in await _in_projects(call, obj, filter, attached)]


@graph.field("Model", "metrics")
async def metrics(call: Call, obj: View) -> list[View]:
    """The metrics of the use cases that serve it, each as the first of them sees it."""
    shown: dict[str, View] = {}
    for _, project in await _in_projects(call, obj, {"isArchived": False}, True):
        for metric in await load(call, metrics_of_projects, project.id) or []:
            shown.setdefault(metric.id, views.metric_in(metric, project))
    return list(shown.values())
