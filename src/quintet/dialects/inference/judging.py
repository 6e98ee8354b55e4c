"""Benchmarks, evaluations of checkpoints, and the leaderboard."""

from __future__ import annotations

from typing import Any

import msgspec

from quintet.app.evaluation.benchmarks import (
    CreateBenchmark,
    create_benchmark,
    delete_benchmark,
    edit_benchmark,
    find_benchmark,
    list_benchmarks,
)
from quintet.app.evaluation.evaluate import StartEvaluation, start_evaluation
from quintet.app.evaluation.leaderboard import Direction, Leaderboard, Row, leaderboard
from quintet.app.models.registry import find_model
from quintet.app.runs.read import get_checkpoint, get_runs, list_checkpoints
from quintet.dialects.inference.binder import binder
from quintet.dialects.inference.paging import cut, wanted_page
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.times import parse_time, to_rfc3339
from quintet.domain.errors import Invalid, NotFound
from quintet.domain.evaluation import Benchmark, Evaluation
from quintet.domain.ids import Id, parse_id
from quintet.domain.page import MAX_PAGE, PageRequest
from quintet.domain.runs import Checkpoint

METRICS = ("accuracy", "f1", "precision", "recall", "roc_auc", "log_loss", "ks", "gini")
ADDRESSED = "metrics"
"""The entry of a benchmark's detail that keeps what this API called its metrics."""


class BenchmarkBody(msgspec.Struct):
    """`connectors` are kept as they are given; a dataset of ours may be named as the connector's id."""

    name: str
    description: str
    task: str
    metrics: list[str]
    connectors: list[dict[str, Any]]


class BenchmarkChanges(msgspec.Struct, omit_defaults=True):
    name: str | None = None
    description: str | None = None
    task: str | None = None
    metrics: list[str] | None = None
    connector: str | None = None


def _benchmark(item: Benchmark) -> dict[str, Any]:
    return {
        "id": item.id,
        "name": item.name,
        "description": item.description,
        "task": item.task,
        "metrics": item.detail.get(ADDRESSED, [s.rpartition("::")[2] for s in item.scoring]),
        "connectors": item.detail.get("connectors", [item.dataset_id] if item.dataset_id else []),
        "created_at": to_rfc3339(item.created_at),
        "created_by": item.created_by,
        "updated_at": to_rfc3339(item.updated_at),
        "updated_by": item.created_by,
    }


def _check_metrics(metrics: list[str]) -> None:
    for name in metrics:
        if name not in METRICS:
            raise Invalid(f"'{name}' is no metric; there are: {', '.join(METRICS)}", field="metrics")


@binder.op("GET /benchmarks")
async def list_all(call: Call) -> object:
    found = await call.read(list_benchmarks, PageRequest(limit=MAX_PAGE))
    items = list(found.items)
    return cut([_benchmark(b) for b in items], [b.id for b in items], wanted_page(call))


@binder.op("POST /benchmarks", body=BenchmarkBody, status=201)
async def create(call: Call) -> object:
    body: BenchmarkBody = call.body
    _check_metrics(body.metrics)
    detail = {"connectors": body.connectors, ADDRESSED: body.metrics}
    dataset = next((str(c["connector_id"]) for c in body.connectors if parse_id(str(c.get("connector_id", "")))), None)
    cmd = CreateBenchmark(
        body.name, description=body.description, task=body.task, detail=detail, dataset=dataset,
        scoring=("basic::equality",),
    )  # fmt: skip
    return _benchmark(await call.write(create_benchmark, cmd))


@binder.op("GET /benchmarks/{id}")
async def get(call: Call) -> object:
    return _benchmark(await call.read(find_benchmark, call.path["id"]))


@binder.op("PUT /benchmarks/{id}", body=BenchmarkChanges)
async def update(call: Call) -> object:
    body: BenchmarkChanges = call.body
    current = await call.read(find_benchmark, call.path["id"])
    changes: dict[str, Any] = {
        n: v for n in ("name", "description", "task") if (v := getattr(body, n)) is not None
    }  # fmt: skip
    detail = dict(current.detail)
    if body.metrics is not None:
        _check_metrics(body.metrics)
        detail[ADDRESSED] = body.metrics
    if body.connector is not None:
        detail["connectors"] = [body.connector]
    if detail != current.detail:
        changes["detail"] = detail
    return _benchmark(await call.write(edit_benchmark, call.path["id"], changes))


@binder.op("DELETE /benchmarks/{id}")
async def delete(call: Call) -> object:
    return {"id": (await call.write(delete_benchmark, call.path["id"])).id}


# -- checkpoints, evaluations -----------------------------------------------------------------------------------


def checkpoint_shown(item: Checkpoint) -> dict[str, Any]:
    return {
        "id": item.id,
        "name": item.name,
        "training_id": item.run_id,
        "step": item.step,
        "path": item.path,
        "metrics": item.metrics,
        "created_at": to_rfc3339(item.created_at),
    }


@binder.op("GET /checkpoints")
async def checkpoints(call: Call) -> object:
    found = await call.read(list_checkpoints, PageRequest(limit=MAX_PAGE))
    items = list(found.items)
    return cut([checkpoint_shown(c) for c in items], [c.id for c in items], wanted_page(call))


class EvaluationBody(msgspec.Struct):
    benchmark_id: str
    checkpoint_id: str
    gpu_count: int


def _evaluation(item: Evaluation, gpus: int) -> dict[str, Any]:
    return {
        "id": item.id,
        "benchmark_id": item.benchmark_id,
        "checkpoint_id": item.checkpoint_id or item.model_id,
        "gpu_count": gpus,
        "result": {"status": item.status, "metrics": item.metrics, "error": item.error or None},
        "created_at": to_rfc3339(item.created_at),
        "created_by": item.created_by,
        "updated_at": to_rfc3339(item.finished_at or item.created_at),
        "updated_by": item.created_by,
    }


@binder.op("POST /evaluations", body=EvaluationBody, status=201)
async def evaluate(call: Call) -> object:
    """A checkpoint of a training, or a registered model, on a benchmark."""
    body: EvaluationBody = call.body
    if body.gpu_count < 0:
        raise Invalid("'gpu_count' cannot be negative", field="gpu_count")
    checkpoint: Id | None = None
    model = ""
    ident = parse_id(body.checkpoint_id)
    try:
        checkpoint = (await call.read(get_checkpoint, ident)).id if ident else None
    except NotFound:
        checkpoint = None
    if checkpoint is None:
        model = (await call.read(find_model, body.checkpoint_id)).key
    cmd = StartEvaluation(body.benchmark_id, model, checkpoint_id=checkpoint, config={"gpu_count": body.gpu_count})
    made, _ = await call.write(start_evaluation, cmd)
    return _evaluation(made, body.gpu_count)


# -- leaderboard ------------------------------------------------------------------------------------------------


@binder.op("GET /leaderboards", comma=True)
async def leaderboards(call: Call) -> object:
    query = call.query
    direction = query.get("order_by_metric.direction") or "desc"
    if direction not in ("asc", "desc"):
        raise Invalid("the direction is 'asc' or 'desc'", field="order_by_metric.direction")
    wanted = Leaderboard(
        benchmarks=tuple(query["benchmarks"]) if query.get("benchmarks") else None,
        by_benchmark=query.get("order_by_metric.benchmark_id"), metric=query.get("order_by_metric.metric_name"),
        direction=Direction(direction), model_ids=_ids(query.get("model_id"), "model_id"),
        training_ids=tuple(_ids(t, "trainings")[0] for t in query["trainings"]) if query.get("trainings") else None,  # type: ignore[index]
        name=query.get("name"), since=_time(query, "start_date"), until=_time(query, "end_date"),
    )  # fmt: skip
    rows = await call.read(leaderboard, wanted)
    runs = await call.read(get_runs, [r.training_id for r in rows if r.training_id])
    shown = [_row(r, runs[r.training_id].name if r.training_id in runs else "") for r in rows]
    return cut(shown, [s["checkpoint_id"] for s in shown], wanted_page(call))


def _ids(text: str | None, field: str) -> tuple[Id, ...] | None:
    if text is None:
        return None
    ident = parse_id(text)
    if ident is None:
        raise Invalid(f"'{text}' is not an id of this server", field=field)
    return (ident,)


def _time(query: Any, name: str) -> int | None:
    return parse_time(query[name], name) if query.get(name) else None


def _row(row: Row, training: str) -> dict[str, Any]:
    ident = row.checkpoint.id if row.checkpoint else row.model.id if row.model else row.name
    return {
        "rank": row.rank,
        "checkpoint_id": ident,
        "checkpoint_name": row.name,
        "training_id": row.training_id,
        "training_name": training,
        "evaluations": [
            {
                "benchmark_id": r.benchmark.id,
                "benchmark_name": r.benchmark.name,
                "metrics": dict(r.metrics),
                "evaluated_at": to_rfc3339(r.evaluated_at),
            }
            for r in row.results
        ],
        "score": row.score,
        "created_at": to_rfc3339(row.created_at),
    }
