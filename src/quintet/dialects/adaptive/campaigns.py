"""A/B campaigns: the core's experiments, which end by themselves when the evidence suffices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from quintet.app.experiments.manage import (
    CreateExperiment,
    cancel_experiment,
    create_experiment,
    find_experiment,
    list_experiments,
)
from quintet.app.feedback.manage import get_metrics
from quintet.app.projects.manage import find_project, get_projects
from quintet.app.serving.lookup import get_deployments
from quintet.dialects.adaptive import enums, ids, views
from quintet.dialects.adaptive.binder import graph
from quintet.dialects.adaptive.nullable import or_none
from quintet.dialects.adaptive.views import View
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.graphql import load
from quintet.domain.ids import Id
from quintet.domain.interactions import Experiment, ExperimentState, FeedbackKind

KINDS = {name: kind for kind, name in enums.FEEDBACK_TYPE.items()}
RUNNING = (ExperimentState.WARMUP, ExperimentState.RUNNING)


def matching(found: Iterable[Experiment], filter: Mapping[str, Any]) -> list[View]:
    """Those that are active, and in the status, that the filter asks for."""
    active, status = filter.get("active"), filter.get("status")
    shown = [views.campaign(e) for e in found if active in (None, e.state in RUNNING)]
    return [v for v in shown if status in (None, v["status"])]


@graph.query("abCampaigns")
async def ab_campaigns(call: Call, _obj: object, *, filter: Mapping[str, Any]) -> list[View]:
    project: Id | None = None
    if (use_case := filter.get("useCase")) is not None:
        project = (await call.read(find_project, ids.ref(use_case, ids.USE_CASE))).id
    return matching(await call.read(list_experiments, project_id=project), filter)


@graph.query("abCampaign")
async def ab_campaign(call: Call, _obj: object, *, idOrKey: str) -> View | None:
    found = await or_none(call.read(find_experiment, idOrKey))
    return views.campaign(found) if found else None


@graph.mutation("createAbCampaign")
async def create(call: Call, _obj: object, *, input: Mapping[str, Any]) -> View:
    made = await call.write(
        create_experiment,
        CreateExperiment(
            key=input["key"],
            project=ids.ref(input["useCase"], ids.USE_CASE),
            metric=input["metric"],
            models=input["modelServices"],
            feedback=KINDS[input["feedbackType"]],
            traffic=input["trafficSplit"],
            auto_deploy=input["autoDeploy"],
            name=input.get("name") or "",
        ),
    )
    return views.campaign(made)


@graph.mutation("cancelAbCampaign")
async def cancel(call: Call, _obj: object, *, input: str) -> str:
    return (await call.write(cancel_experiment, input)).key


# -- what a campaign shows ------------------------------------------------------------------------------------


@graph.field("Abcampaign", "metric")
async def metric(call: Call, obj: View) -> View | None:
    found = await load(call, get_metrics, obj["self"].metric_id)
    return views.metric(found) if found else None


@graph.field("Abcampaign", "useCase")
async def use_case(call: Call, obj: View) -> View | None:
    found = await load(call, get_projects, obj["self"].project_id)
    return views.use_case(found) if found else None


@graph.field("Abcampaign", "models")
async def models(call: Call, obj: View) -> list[View]:
    found = [await load(call, get_deployments, ident) for ident in obj["self"].deployments]
    return [views.service(d) for d in found if d is not None]


@graph.field("Abcampaign", "report")
async def report(call: Call, obj: View) -> View:
    """The p-value stays null until every variant has enough feedback to be judged at all."""
    item: Experiment = obj["self"]
    services = {i: await load(call, get_deployments, i) for i in item.deployments}
    shown = {i: views.service(d) for i, d in services.items() if d is not None}
    enough = bool(item.report.get("enough"))
    return {
        "pValue": item.p_value if enough else None,
        "variants": [_variant(item, ident, shown) for ident in item.deployments if ident in shown],
    }


def _variant(item: Experiment, ident: Id, shown: Mapping[Id, View]) -> View:
    """One variant: its mean, or for preferences the rate at which it was preferred."""
    found: Mapping[str, Any] = item.report.get("variants", {}).get(ident, {})
    compares = item.feedback is FeedbackKind.COMPARISON
    mean, lower, upper = found.get("win_rate" if compares else "mean"), found.get("lower"), found.get("upper")
    against: Mapping[str, Any] = found.get("against", {})
    known = mean is not None and lower is not None and upper is not None
    return {
        "variant": shown[ident],
        "interval": {"start": lower, "middle": mean, "end": upper} if known else None,
        "mean": mean if mean is not None else 0.0,
        "feedbacks": found.get("n", 0),
        "comparisons": [_against(pair, shown[Id(i)]) for i, pair in against.items() if Id(i) in shown]
        if compares
        else None,
    }


def _against(pair: Mapping[str, Any], other: View) -> View:
    ties_good, ties_bad = pair["ties_good"], pair["ties_bad"]
    return {
        "variant": other,
        "feedbacks": pair["wins"] + pair["losses"] + ties_good + ties_bad,
        "wins": pair["wins"],
        "losses": pair["losses"],
        "tiesGood": ties_good,
        "tiesBad": ties_bad,
    }
