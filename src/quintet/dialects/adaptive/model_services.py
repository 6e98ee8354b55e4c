"""Model services: a model as one use case serves it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quintet.app.experiments.lookup import experiments_of_projects
from quintet.app.feedback.lookup import metrics_of_projects
from quintet.app.models.registry import get_models
from quintet.app.projects.manage import get_projects
from quintet.app.services import engine_pool
from quintet.app.serving.services import UpdateService, attach_to_project, update_service
from quintet.dialects.adaptive import campaigns, enums, ids, views
from quintet.dialects.adaptive.binder import graph
from quintet.dialects.adaptive.models import to_placement, warm
from quintet.dialects.adaptive.views import View
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.graphql import load
from quintet.domain.errors import Unsupported
from quintet.domain.models import Deployment


@graph.mutation("attachModel")
async def attach(call: Call, _obj: object, *, input: Mapping[str, Any]) -> View:
    """Attaching has the model loaded; `attached: false` is the same as detaching."""
    use_case, model = ids.ref(input["useCase"], ids.USE_CASE), input["model"]
    if not input["attached"]:
        return views.service(await call.write(update_service, UpdateService(use_case, model, attached=False)))
    placement = to_placement(input.get("placement")) or {}
    service = await call.write(attach_to_project, use_case, model, placement)
    await warm(call, [service], wait=input["wait"])
    return views.service(service)


@graph.mutation("updateModelService")
async def update(call: Call, _obj: object, *, input: Mapping[str, Any]) -> View:
    for name in ("systemPromptTemplate", "toolProviders"):
        if input.get(name):
            raise Unsupported(f"{name} of a model service is not implemented", field=name)
    service = await call.write(
        update_service,
        UpdateService(
            project=ids.ref(input["useCase"], ids.USE_CASE),
            service=input["modelService"],
            is_default=input.get("isDefault"),
            attached=input.get("attached"),
            desired_online=input.get("desiredOnline"),
            name=input.get("name"),
            placement=to_placement(input.get("placement")),
        ),
    )
    await _follow(call, service, input)
    return views.service(service)


async def _follow(call: Call, service: Deployment, input: Mapping[str, Any]) -> None:
    """Loads or frees the model as was asked for."""
    if input.get("attached") is False or input.get("desiredOnline") is False:
        await engine_pool(call.core).unload(service)
    elif input.get("attached") or input.get("desiredOnline"):
        await warm(call, [service], wait=False)


@graph.mutation("disconnectModel")
async def disconnect(call: Call, _obj: object, *, input: Mapping[str, Any]) -> str:
    wanted = UpdateService(ids.ref(input["useCase"], ids.USE_CASE), input["modelService"], attached=False)
    service = await call.write(update_service, wanted)
    await engine_pool(call.core).unload(service)
    return service.key


# -- what a model service shows -------------------------------------------------------------------------------


@graph.field("ModelService", "model")
async def model(call: Call, obj: View) -> View:
    service: Deployment = obj["self"]
    found = await load(call, get_models, service.model_id) if service.model_id else None
    return views.model(found) if found else views.upstream_model(service)


@graph.field("ModelService", "status")
def status(call: Call, obj: View) -> str:
    return enums.service_status(obj["self"], engine_pool(call.core).state(obj["self"]))


@graph.field("ModelService", "error")
def error(call: Call, obj: View) -> str | None:
    return engine_pool(call.core).error(obj["self"]) or None


@graph.field("ModelService", "isDefault")
async def is_default(call: Call, obj: View) -> bool:
    service: Deployment = obj["self"]
    project = await load(call, get_projects, service.project_id) if service.project_id else None
    return project is not None and project.default_deployment_id == service.id


@graph.field("ModelService", "metrics")
async def metrics(call: Call, obj: View) -> list[View]:
    project = await load(call, get_projects, obj["self"].project_id)
    found = await load(call, metrics_of_projects, obj["self"].project_id) or []
    return [views.metric_in(m, project) for m in found] if project else []


@graph.field("ModelService", "abCampaigns")
async def ab_campaigns(call: Call, obj: View, *, filter: Mapping[str, Any]) -> list[View]:
    found = await load(call, experiments_of_projects, obj["self"].project_id) or []
    return campaigns.matching([e for e in found if obj["self"].id in e.deployments], filter)
