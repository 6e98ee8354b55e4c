"""Use cases: the core's projects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from quintet.app.context import Ctx, ReadTx
from quintet.app.experiments.lookup import experiments_of_projects
from quintet.app.feedback.lookup import metrics_of_projects
from quintet.app.feedback.manage import get_metrics
from quintet.app.identity.accounts import list_roles, list_teams
from quintet.app.interactions.groups import LabelUse, labels_of_projects
from quintet.app.projects.manage import CreateProject, ProjectFilter, find_project, list_projects
from quintet.app.projects.presentation import PresentProject, default_metric, present_project
from quintet.app.projects.sharing import ShareWith, create_shared_project, share_project, shares_of
from quintet.app.serving.lookup import deployments_of_projects, get_deployments
from quintet.dialects.adaptive import campaigns, ids, views
from quintet.dialects.adaptive.binder import graph
from quintet.dialects.adaptive.nullable import or_none
from quintet.dialects.adaptive.views import View
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.graphql import load
from quintet.domain.identity import Role, Team
from quintet.domain.ids import Id, time_of
from quintet.domain.models import Deployment
from quintet.domain.projects import Project

DIALECT = "adaptive"


@graph.query("useCases")
async def use_cases(call: Call, _obj: object, *, filter: Mapping[str, Any]) -> list[View]:
    found, _ = await call.read(list_projects, ProjectFilter(archived=filter.get("isArchived")))
    return [views.use_case(p) for p in found]


@graph.query("useCase")
async def use_case(call: Call, _obj: object, *, idOrKey: str) -> View | None:
    found = await or_none(call.read(find_project, ids.ref(idOrKey, ids.USE_CASE)))
    return views.use_case(found) if found else None


@graph.mutation("createUseCase")
async def create_use_case(call: Call, _obj: object, *, input: Mapping[str, Any]) -> View:
    team = input.get("team")
    settings = input.get("settings") or {}
    made = await call.write(
        create_shared_project,
        CreateProject(input["name"], input.get("key"), input.get("description") or ""),
        None if team is None else ids.ref(team, ids.TEAM),
        PresentProject(
            default_metric=settings.get("defaultMetric"), dialect=DIALECT,
            detail=_detail(input) | _entries(gradient_color=input.get("gradientColor")),
        ),
    )  # fmt: skip
    return views.use_case(made)


@graph.mutation("updateUseCase")
async def update_use_case(call: Call, _obj: object, *, idOrKey: str, input: Mapping[str, Any]) -> View:
    settings = input.get("settings") or {}
    changed = await call.write(
        present_project,
        ids.ref(idOrKey, ids.USE_CASE),
        PresentProject(
            name=input.get("name"), description=input.get("description"), archived=input.get("isArchived"),
            default_metric=settings.get("defaultMetric"), dialect=DIALECT,
            detail=_detail(input) | _entries(widgets=input.get("widgets")),
        ),
    )  # fmt: skip
    return views.use_case(changed)


def _detail(given: Mapping[str, Any]) -> dict[str, Any]:
    emoji = (given.get("metadata") or {}).get("emoji")
    return _entries(emoji=None if emoji is None else emoji["native"])


def _entries(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


@graph.mutation("shareUseCase")
async def share_use_case(call: Call, _obj: object, *, idOrKey: str, input: Mapping[str, Any]) -> View:
    shares = [
        ShareWith(ids.ref(s["team"], ids.TEAM), ids.ref(s["role"], ids.ROLE), s["isOwner"]) for s in input["shares"]
    ]
    return views.use_case(await call.write(share_project, ids.ref(idOrKey, ids.USE_CASE), shares))


# -- what a use case shows ------------------------------------------------------------------------------------


async def services_in(call: Call, project: Project) -> list[Deployment]:
    return await load(call, deployments_of_projects, project.id) or []


@graph.field("UseCase", "modelServices")
async def model_services(call: Call, obj: View, *, filter: Mapping[str, Any] | None = None) -> list[View]:
    found = [d for d in await services_in(call, obj["self"]) if d.attached]
    wanted = filter or {}
    if (model := wanted.get("model")) is not None:
        found = [d for d in found if names(d, model)]
    if (kinds := wanted.get("kind")) is not None:
        found = [d for d in found if ("Embedding" if d.task == "embedding" else "Generation") in kinds]
    return [views.service(d) for d in found]


def names(service: Deployment, ref: str) -> bool:
    """Whether an id-or-key means this service, or its model."""
    return ref == service.key or service.id == ids.ref(ref, ids.MODEL_SERVICE) or (
        service.model_id is not None and service.model_id == ids.ref(ref, ids.MODEL)
    )  # fmt: skip


@graph.field("UseCase", "modelService")
async def model_service(call: Call, obj: View, *, idOrKey: str) -> View | None:
    found = next((d for d in await services_in(call, obj["self"]) if names(d, idOrKey)), None)
    return views.service(found) if found else None


@graph.field("UseCase", "defaultModelService")
async def default_model_service(call: Call, obj: View) -> View | None:
    ident = obj["self"].default_deployment_id
    found = await load(call, get_deployments, ident) if ident else None
    return views.service(found) if found else None


@graph.field("UseCase", "metrics")
async def metrics(call: Call, obj: View) -> list[View]:
    found = await load(call, metrics_of_projects, obj["self"].id) or []
    return [views.metric_in(m, obj["self"]) for m in found]


@graph.field("UseCase", "metric")
async def metric(call: Call, obj: View, *, metric: str) -> View | None:
    found = await load(call, metrics_of_projects, obj["self"].id) or []
    ident = ids.ref(metric, ids.METRIC)
    return next((views.metric_in(m, obj["self"]) for m in found if ident in (m.id, m.key)), None)


@graph.field("UseCase", "permissions")
def permissions(call: Call, _obj: View) -> list[str]:
    """Roles hold in the whole space, so these are the caller's in every use case."""
    return sorted(call.actor.permissions)


def all_teams(ctx: Ctx[ReadTx], wanted: Sequence[Id]) -> dict[Id, Team]:
    return {t.id: t for t in list_teams(ctx)}


def all_roles(ctx: Ctx[ReadTx], wanted: Sequence[str]) -> dict[str, Role]:
    return {r.key: r for r in list_roles(ctx)}


@graph.field("UseCase", "shares")
async def shares(call: Call, obj: View) -> list[View]:
    shown = []
    for share in await load(call, shares_of, obj["self"].id) or []:
        team, role = await load(call, all_teams, share.team_id), await load(call, all_roles, share.role)
        if team is not None and role is not None:
            shown.append({"team": views.team(team), "role": views.role(role), "isOwner": share.is_owner})
    return shown


@graph.field("UseCase", "settings")
async def settings(call: Call, obj: View) -> View:
    ident = default_metric(obj["self"])
    found = await load(call, get_metrics, ident) if ident else None
    return {"defaultMetric": views.metric_in(found, obj["self"]) if found else None}


@graph.field("UseCase", "metadata")
def metadata(_call: Call, obj: View) -> View:
    emoji = obj["self"].detail.get(DIALECT, {}).get("emoji")
    return {"emoji": {"native": emoji} if emoji else None}


@graph.field("UseCase", "widgets")
def widgets(_call: Call, obj: View) -> list[View]:
    return list(obj["self"].detail.get(DIALECT, {}).get("widgets", []))


@graph.field("UseCase", "toolProviders")
def tool_providers(_call: Call, _obj: View) -> list[View]:
    return []


@graph.field("UseCase", "abCampaigns")
async def ab_campaigns(call: Call, obj: View, *, filter: Mapping[str, Any]) -> list[View]:
    return campaigns.matching(await load(call, experiments_of_projects, obj["self"].id) or [], filter)


@graph.field("UseCase", "labelUsage")
async def labels_used(call: Call, obj: View) -> View:
    grouped: dict[str, list[LabelUse]] = {}
    for use in await load(call, labels_of_projects, obj["self"].id) or []:
        grouped.setdefault(use.key, []).append(use)
    return {
        "keys": [
            {
                "key": key,
                "count": sum(u.count for u in uses),
                "values": [{"value": u.value, "count": u.count, "lastUsed": time_of(u.newest)} for u in uses],
                "lastUsed": time_of(max(u.newest for u in uses)),
            }
            for key, uses in grouped.items()
        ]
    }
