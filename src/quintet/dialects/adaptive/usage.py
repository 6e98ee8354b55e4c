"""Usage of models over time, and how busy use cases, models and metrics are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from quintet.app.billing.series import ActivityAsk, Busy, Used, UsedIn, activity, usage_by_deployment
from quintet.app.feedback.series import Point, SeriesAsk, TrendAsk, feedback_series, feedback_trends
from quintet.app.models.registry import get_models
from quintet.app.projects.manage import get_projects
from quintet.app.serving.lookup import deployments_of_models, get_deployments
from quintet.dialects.adaptive import ids, views
from quintet.dialects.adaptive.binder import graph
from quintet.dialects.adaptive.query_convert import time_range
from quintet.dialects.adaptive.views import View
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.graphql import load
from quintet.domain.calendar import Bucket, zone
from quintet.domain.errors import NotFound
from quintet.domain.ids import Id
from quintet.domain.models import Deployment

BUCKETS: dict[str, Bucket] = {
    "HOUR": Bucket.HOUR,
    "DAY": Bucket.DAY,
    "WEEK": Bucket.WEEK,
    "MONTH": Bucket.MONTH,
    "QUARTER": Bucket.QUARTER,
    "YEAR": Bucket.YEAR,
    "MILLENNIUM": Bucket.MILLENNIUM,
    "NO_GROUP_BY_DATE": Bucket.ALL,
}


async def _used(call: Call, filter: Mapping[str, Any], unit: str) -> list[UsedIn]:
    since, until = time_range(filter.get("timerange"))
    return await call.read(usage_by_deployment, since, until, BUCKETS[unit], zone(filter.get("timezone")))


def _stats(items: Iterable[Used]) -> View:
    kept = list(items)
    prompt, completion = sum(u.prompt_tokens for u in kept), sum(u.completion_tokens for u in kept)
    return {
        "promptTokens": prompt,
        "completionTokens": completion,
        "totalTokens": prompt + completion,
        "interactions": sum(u.calls for u in kept),
    }


def _buckets(items: Sequence[UsedIn]) -> list[View]:
    starts = sorted({i.start for i in items})
    return [{"bucketTs": start, **_stats(i.used for i in items if i.start == start)} for start in starts]


async def _deployments_of(call: Call, model: str) -> list[Id]:
    """The deployments of a model by its UUID; NotFound for a model that is not there."""
    ident = ids.known(model, ids.MODEL)
    if await load(call, get_models, ident) is None:
        raise NotFound.of("model", model)
    return [d.id for d in await load(call, deployments_of_models, ident) or []]


@graph.query("modelUsage")
async def model_usage(call: Call, _obj: object, *, filter: Mapping[str, Any]) -> list[View]:
    mine = await _deployments_of(call, filter["modelId"])
    return _buckets([u for u in await _used(call, filter, filter["unit"]) if u.deployment_id in mine])


@graph.query("modelUsageByUseCase")
async def model_usage_by_use_case(call: Call, _obj: object, *, filter: Mapping[str, Any]) -> list[View]:
    mine = await _deployments_of(call, filter["modelId"])
    shown: list[View] = []
    for item in await _used(call, filter, "NO_GROUP_BY_DATE"):
        service = await load(call, get_deployments, item.deployment_id) if item.deployment_id in mine else None
        project = await load(call, get_projects, item.project_id) if item.project_id else None
        if service is not None and project is not None and service.project_id is not None:
            entry = {"useCase": views.use_case(project), "modelService": views.service(service)}
            shown.append({**entry, **_stats([item.used])})
    return shown


@graph.query("globalUsage")
async def global_usage(call: Call, _obj: object, *, filter: Mapping[str, Any]) -> View:
    """`signature` is a digest of the numbers: two reports with the same one say the same."""
    found = await _used(call, filter, filter["interval"])
    models: dict[str, View] = {}
    grouped: dict[str, list[UsedIn]] = {}
    for item in found:
        service = await load(call, get_deployments, item.deployment_id)
        if service is not None:
            view = await _model_view(call, service)
            models.setdefault(view["id"], view)
            grouped.setdefault(view["id"], []).append(item)
    by_model = [
        {"model": models[ident], **_stats(i.used for i in items), "timeseries": _buckets(items)}
        for ident, items in grouped.items()
    ]
    ours = [i.used for ident, items in grouped.items() if not models[ident]["isExternal"] for i in items]
    others = [i.used for ident, items in grouped.items() if models[ident]["isExternal"] for i in items]
    sides = {"adaptiveModels": _stats(ours), "externalModels": _stats(others)}
    total = _stats(i.used for i in found)
    plain = [total, sides, [{**m, "model": m["model"]["id"]} for m in by_model]]
    signature = hashlib.sha256(msgspec.json.encode(plain)).hexdigest()
    return {"total": total, **sides, "byModel": by_model, "signature": signature}


async def _model_view(call: Call, service: Deployment) -> View:
    model = await load(call, get_models, service.model_id) if service.model_id else None
    return views.model(model) if model else views.upstream_model(service)


# -- activity -------------------------------------------------------------------------------------------------


def _trend(now: float, before: float) -> float | None:
    """The relative change; null where there is nothing to compare with."""
    return (now - before) / before if before else None


async def _activity(call: Call, ask: ActivityAsk) -> View:
    busy = await load(call, activity, ask) or Busy(0, 0, 0, 0, 1.0)
    return {
        "interactions": {
            "value": busy.calls,
            "perSecond": busy.calls / busy.seconds,
            "trend": _trend(busy.calls, busy.calls_before),
        },
        "feedbacks": {"value": busy.feedbacks, "trend": _trend(busy.feedbacks, busy.feedbacks_before)},
    }


@graph.field("UseCase", "activity")
async def use_case_activity(call: Call, obj: View, *, timerange: Mapping[str, Any] | None = None) -> View:
    since, until = time_range(timerange)
    return await _activity(call, ActivityAsk(project_id=obj["self"].id, since=since, until=until))


@graph.field("ModelService", "activity")
async def service_activity(call: Call, obj: View, *, timerange: Mapping[str, Any] | None = None) -> View:
    service: Deployment = obj["self"]
    since, until = time_range(timerange)
    ask = ActivityAsk(service.project_id, (service.id,), service.model_id, None, since, until)
    return await _activity(call, ask)


@graph.field("Model", "activity")
async def model_activity(call: Call, obj: View, *, timerange: Mapping[str, Any] | None = None) -> View:
    since, until = time_range(timerange)
    ident = obj["self"].id if obj["self"] else ids.NOTHING
    mine = tuple(d.id for d in await load(call, deployments_of_models, ident) or [])
    return await _activity(call, ActivityAsk(None, mine, ident, None, since, until))


@graph.field("Metric", "activity")
async def metric_activity(call: Call, obj: View, *, timerange: Mapping[str, Any] | None = None) -> View:
    since, until = time_range(timerange)
    return await _activity(call, ActivityAsk(metric_id=obj["self"].id, since=since, until=until))


# -- metrics over time ----------------------------------------------------------------------------------------


def _aggregated(count: int, total: float, aggregation: str) -> float | None:
    if aggregation == "COUNT":
        return float(count)
    if aggregation == "SUM":
        return total
    return total / count if count else None


@graph.field("MetricWithContext", "trend")
async def metric_trend(call: Call, obj: View, *, input: Mapping[str, Any]) -> View | None:
    """Null where the metric has no value in one of the two times."""
    since, until = time_range(input.get("timerange"))
    found = await load(call, feedback_trends, TrendAsk(obj["project"].id, obj["self"].id, since, until))
    if found is None:
        return None
    before, now = (_aggregated(*pair, input["aggregation"]) for pair in (found.before, found.now))
    if before is None or now is None:
        return None
    return {"previous": before, "current": now, "trend": _trend(now, before) or 0.0}


@graph.field("MetricWithContext", "timeseries")
async def metric_timeseries(call: Call, obj: View, *, input: Mapping[str, Any]) -> list[View]:
    since, until = time_range(input.get("timerange"))
    ask = SeriesAsk(
        obj["project"].id, obj["self"].id, BUCKETS[input["interval"]], input.get("timezone"), input["byModel"],
        since, until,
    )  # fmt: skip
    lines: dict[Id | None, list[Point]] = {} if input["byModel"] else {None: []}
    for point in await load(call, feedback_series, ask) or []:
        lines.setdefault(point.model_id, []).append(point)
    shown: list[View] = []
    for ident, points in lines.items():
        model = await load(call, get_models, ident) if ident else None
        shown.append(
            {
                "model": views.model(model) if model else None,
                "timeBuckets": [p.start for p in points],
                "count": [p.count for p in points],
                "values": [_aggregated(p.count, p.total, input["aggregation"]) for p in points],
                "aggregation": input["aggregation"],
            }
        )
    return shown
