"""Metrics: what feedback is given in. Global to the space, linked to use cases to be shown there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quintet.app.feedback.links import link_to_project, unlink_from_project
from quintet.app.feedback.lookup import feedback_counts, projects_of_metrics
from quintet.app.feedback.manage import CreateMetric, create_metric, feedback_kinds, find_metric, list_metrics
from quintet.app.projects.manage import get_projects
from quintet.dialects.adaptive import enums, ids, views
from quintet.dialects.adaptive.binder import graph
from quintet.dialects.adaptive.nullable import or_none
from quintet.dialects.adaptive.query_convert import time_range
from quintet.dialects.adaptive.views import View
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.graphql import load

KINDS = {name: kind for kind, name in enums.METRIC_KIND.items()}
DIRECTIONS = {name: direction for direction, name in enums.DIRECTION.items()}


@graph.query("metrics")
async def metrics(call: Call, _obj: object) -> list[View]:
    return [views.metric(m) for m in await call.read(list_metrics)]


@graph.query("metric")
async def metric(call: Call, _obj: object, *, idOrKey: str) -> View | None:
    found = await or_none(call.read(find_metric, idOrKey))
    return views.metric(found) if found else None


@graph.mutation("createMetric")
async def create(call: Call, _obj: object, *, input: Mapping[str, Any]) -> View:
    wanted = CreateMetric(
        name=input["name"], key=input.get("key"), kind=KINDS[input["kind"]],
        direction=DIRECTIONS[input["scoringType"]], description=input.get("description") or "",
    )  # fmt: skip
    return views.metric(await call.write(create_metric, wanted))


@graph.mutation("linkMetric")
async def link(call: Call, _obj: object, *, input: Mapping[str, Any]) -> View:
    linked = await call.write(link_to_project, ids.ref(input["useCase"], ids.USE_CASE), input["metric"])
    return views.metric_in(linked.metric, linked.project)


@graph.mutation("unlinkMetric")
async def unlink(call: Call, _obj: object, *, input: Mapping[str, Any]) -> str:
    gone = await call.write(unlink_from_project, ids.ref(input["useCase"], ids.USE_CASE), input["metric"])
    return gone.metric.key


# -- what a metric shows --------------------------------------------------------------------------------------


async def has_direct(call: Call, obj: View) -> bool:
    return "direct" in (await load(call, feedback_kinds, obj["self"].id) or ())


async def has_comparison(call: Call, obj: View) -> bool:
    return "comparison" in (await load(call, feedback_kinds, obj["self"].id) or ())


for _type in ("Metric", "MetricWithContext"):
    graph.field(_type, "hasDirectFeedbacks")(has_direct)
    graph.field(_type, "hasComparisonFeedbacks")(has_comparison)


@graph.field("Metric", "useCases")
async def use_cases(call: Call, obj: View, *, filter: Mapping[str, Any]) -> list[View]:
    linked = await load(call, projects_of_metrics, obj["self"].id) or []
    owners = [await load(call, get_projects, ident) for ident in linked]
    archived = filter.get("isArchived")
    return [views.use_case(p) for p in owners if p is not None and archived in (None, p.archived)]


async def _counts(call: Call, obj: View, timerange: Mapping[str, Any] | None) -> Mapping[str, int]:
    window = (obj["project"].id, obj["self"].id, *time_range(timerange))
    return await load(call, feedback_counts, window) or {}


@graph.field("MetricWithContext", "feedbackCount")
async def feedback_count(call: Call, obj: View, *, timerange: Mapping[str, Any] | None = None) -> int:
    return (await _counts(call, obj, timerange)).get("direct", 0)


@graph.field("MetricWithContext", "comparisonCount")
async def comparison_count(call: Call, obj: View, *, timerange: Mapping[str, Any] | None = None) -> int:
    return (await _counts(call, obj, timerange)).get("comparison", 0)
