"""The call log and its summary, and the models that can be called."""

from __future__ import annotations

from typing import Any

from quintet.app.interactions.manage import InteractionFilter, list_interactions
from quintet.app.interactions.summary import CallSummary, summarise_calls
from quintet.app.models.registry import list_models
from quintet.app.serving.deployments import list_deployments
from quintet.dialects.inference.binder import binder
from quintet.dialects.inference.paging import envelope, wanted_page
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.times import parse_time, to_rfc3339
from quintet.domain.errors import Invalid
from quintet.domain.ids import parse_id
from quintet.domain.interactions import Interaction
from quintet.domain.models import Deployment, Model, ModelFormat
from quintet.domain.page import MAX_PAGE, PageRequest


def filter_of(call: Call) -> InteractionFilter:
    """The query's conditions. `user` is an id of ours or the end user's name that the caller gave."""
    query = call.query
    user = query.get("user")
    ours = parse_id(user) if user else None
    since, until = (parse_time(query[n], n) if query.get(n) else None for n in ("start_date", "end_date"))
    if since is not None and until is not None and since > until:
        raise Invalid("'start_date' is after 'end_date'", field="start_date")
    return InteractionFilter(
        since=since, until=until, user_id=ours, end_user=user if user and not ours else None,
        model_name=query.get("model"), status=query.get("status"), correlation_id=query.get("correlation_id"),
        types=(query["type"],) if query.get("type") else None, tag=query.get("tag"),
    )  # fmt: skip


@binder.op("GET /inference-logs")
async def logs(call: Call) -> object:
    page = wanted_page(call, 20)
    request = PageRequest(limit=min(page.limit, MAX_PAGE), offset=page.offset)
    found = await call.read(list_interactions, filter_of(call), request, count=True)
    return envelope([_log(i) for i in found.items], found.total or 0, page)


def _log(item: Interaction) -> dict[str, Any]:
    return {
        "id": item.id,
        "created_at": to_rfc3339(item.created_at),
        "user": item.end_user or item.user_id,
        "space": item.space_id,
        "model": item.model_name,
        "type": item.type,
        "status": item.status,
        "tags": item.metadata.get("tags", []),
        "correlation_id": item.correlation_id,
        "latency_ms": round(item.latency_us / 1000, 3),
        "input_tokens": item.prompt_tokens,
        "output_tokens": item.completion_tokens,
        "request": {"messages": item.messages, **item.parameters},
        "response": {"content": item.completion, "finish_reason": item.finish_reason},
        "error": item.error or None,
    }


@binder.op("GET /inference-logs/summary")
async def summary(call: Call) -> object:
    found: CallSummary = await call.read(summarise_calls, filter_of(call))
    return {
        "total_calls": found.calls,
        "success_rate": (found.calls - found.errors) / found.calls if found.calls else 0.0,
        "avg_latency_ms": found.latency_us / found.calls / 1000 if found.calls else 0.0,
        "input_tokens": found.prompt_tokens,
        "output_tokens": found.completion_tokens,
        "total_tokens": found.prompt_tokens + found.completion_tokens,
        "model_usage": found.by_model,
        "period_start_date": to_rfc3339(found.since) if found.since is not None else None,
        "period_end_date": to_rfc3339(found.until) if found.until is not None else None,
    }


@binder.op("GET /models")
async def models(call: Call) -> object:
    """What can be called now, and what is registered with weights of its own."""
    deployed = await call.read(list_deployments, mine_only=True)
    kept = await call.read(list_models, None, PageRequest(limit=MAX_PAGE))
    rows = {m.key: _model(m) for m in kept.items if m.format in (ModelFormat.TRANSFORMERS, ModelFormat.ADAPTER)}
    for item in deployed:
        if item.attached:
            rows[item.key] = {**rows.get(item.key, {}), **_deployed(item)}
    data = list(rows.values())
    return {"count": len(data), "data": data, "has_more": False}


def _model(item: Model) -> dict[str, Any]:
    return {
        "id": item.id,
        "name": item.key,
        "type": item.kind.value,
        "status": "registered",
        "created_at": to_rfc3339(item.created_at),
    }


def _deployed(item: Deployment) -> dict[str, Any]:
    return {
        "id": item.model_id or item.id,
        "name": item.key,
        "type": "embedding" if item.task == "embedding" else "generation",
        "status": "deployed",
        "created_at": to_rfc3339(item.created_at),
    }
