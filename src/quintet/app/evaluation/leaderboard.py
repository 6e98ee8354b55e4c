"""Leaderboards: what evaluations found, one row for each thing evaluated, best first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from statistics import fmean

from quintet.app.authz import authorize
from quintet.app.context import Ctx
from quintet.app.evaluation.benchmarks import find_benchmark
from quintet.domain.errors import Invalid
from quintet.domain.evaluation import Benchmark, Evaluation
from quintet.domain.identity import Permission
from quintet.domain.ids import Id
from quintet.domain.models import Model, ModelVersion
from quintet.domain.runs import Checkpoint
from quintet.storage import evaluation as store
from quintet.storage import models as model_store
from quintet.storage.evaluation import EvaluationFilter
from quintet.storage.tx import ReadTx

NEWEST = 10_000
"""How many evaluations a leaderboard looks back at: enough for any screen, and a bound on its memory."""


class Direction(StrEnum):
    ASC = "asc"
    DESC = "desc"


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """What to rank. `benchmarks` None means all of them; `by_benchmark` ranks by that one alone, otherwise the
    mean over the benchmarks counts. Without `metric` each benchmark's first one is taken."""

    benchmarks: tuple[str, ...] | None = None
    by_benchmark: str | None = None
    metric: str | None = None
    direction: Direction = Direction.DESC
    model_ids: tuple[Id, ...] | None = None
    checkpoint_ids: tuple[Id, ...] | None = None
    training_ids: tuple[Id, ...] | None = None
    name: str | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The latest scores of a row on one benchmark."""

    benchmark: Benchmark
    metrics: Mapping[str, float]
    evaluated_at: int
    evaluation_id: Id


@dataclass(frozen=True, slots=True)
class Row:
    """One model version, checkpoint or called name. Rows with the same score share their `rank`."""

    name: str
    model: Model | None
    version: int | None
    checkpoint: Checkpoint | None
    training_id: Id | None
    created_at: int
    rank: int = 0
    score: float | None = None
    results: tuple[Result, ...] = field(default_factory=tuple)


def leaderboard(ctx: Ctx[ReadTx], wanted: Leaderboard) -> list[Row]:
    """All rows in their order: by score, those without one last, ties by name."""
    authorize(ctx, Permission.RUN_READ)
    authorize(ctx, Permission.MODEL_READ)
    chosen = [find_benchmark(ctx, ref) for ref in wanted.benchmarks or ()]
    ranking = find_benchmark(ctx, wanted.by_benchmark) if wanted.by_benchmark else None
    if ranking is not None and chosen and ranking.id not in {b.id for b in chosen}:
        raise Invalid("the benchmark to rank by is not one of those chosen", field="by_benchmark")
    found = store.scored_evaluations(
        ctx.tx,
        ctx.actor.space_id,
        EvaluationFilter(
            benchmark_ids=tuple(b.id for b in chosen) if wanted.benchmarks is not None else None,
            model_ids=wanted.model_ids, checkpoint_ids=wanted.checkpoint_ids, since=wanted.since, until=wanted.until,
        ),
        NEWEST,
    )  # fmt: skip
    rows = _rows(ctx, found)
    if wanted.training_ids is not None:
        rows = [r for r in rows if r.training_id in wanted.training_ids]
    if wanted.name:
        rows = [r for r in rows if wanted.name.lower() in r.name.lower()]
    scored = [replace(r, score=_score(r, ranking, wanted.metric)) for r in rows]
    return _ranked(scored, wanted.direction)


def _rows(ctx: Ctx[ReadTx], found: Sequence[Evaluation]) -> list[Row]:
    space = ctx.actor.space_id
    models = model_store.get_many(ctx.tx, space, _ids(e.model_id for e in found))
    checkpoints = store.get_checkpoints(ctx.tx, space, _ids(e.checkpoint_id for e in found))
    benchmarks = store.get_benchmarks(ctx.tx, space, _ids(e.benchmark_id for e in found))
    versions: dict[tuple[Id, int], ModelVersion | None] = {}
    rows: dict[tuple[object, ...], Row] = {}
    for evaluation in found:  # the newest first, so the first one met on a benchmark is the one that counts
        key = _key(evaluation)
        row = rows.get(key)
        if row is None:
            row = _row(ctx, evaluation, models, checkpoints, versions)
        if all(r.benchmark.id != evaluation.benchmark_id for r in row.results):
            benchmark = benchmarks[evaluation.benchmark_id]
            at = evaluation.finished_at or evaluation.created_at
            row = replace(row, results=(*row.results, Result(benchmark, evaluation.metrics, at, evaluation.id)))
        rows[key] = row
    return list(rows.values())


def _ids(values: Iterable[Id | None]) -> list[Id]:
    return sorted({v for v in values if v is not None})


def _key(evaluation: Evaluation) -> tuple[object, ...]:
    if evaluation.checkpoint_id is not None:
        return ("checkpoint", evaluation.checkpoint_id)
    if evaluation.model_id is not None:
        return ("model", evaluation.model_id, evaluation.model_version)
    return ("called", evaluation.config.get("model"))


def _row(
    ctx: Ctx[ReadTx],
    evaluation: Evaluation,
    models: Mapping[Id, Model],
    checkpoints: Mapping[Id, Checkpoint],
    versions: dict[tuple[Id, int], ModelVersion | None],
) -> Row:
    model = models.get(evaluation.model_id) if evaluation.model_id else None
    checkpoint = checkpoints.get(evaluation.checkpoint_id) if evaluation.checkpoint_id else None
    number = evaluation.model_version
    name = checkpoint.name if checkpoint else model.name if model else str(evaluation.config.get("model", ""))
    if checkpoint is not None:
        return Row(name, model, number, checkpoint, checkpoint.run_id, checkpoint.created_at)
    if model is None or number is None:
        return Row(name, model, number, None, None, evaluation.created_at)
    if (model.id, number) not in versions:
        versions[model.id, number] = model_store.get_version(ctx.tx, model.id, number)
    version = versions[model.id, number]
    return Row(
        name, model, number, None, version.run_id if version else None,
        version.created_at if version else evaluation.created_at,
    )  # fmt: skip


def _score(row: Row, ranking: Benchmark | None, metric: str | None) -> float | None:
    counted = [r for r in row.results if ranking is None or r.benchmark.id == ranking.id]
    values = [v for r in counted if (v := _value(r, metric)) is not None]
    return fmean(values) if values else None


def _value(result: Result, metric: str | None) -> float | None:
    """The metric asked for, or the one that the benchmark names first; else accuracy, else the first by name."""
    if metric is not None:
        return result.metrics.get(metric)
    declared = result.benchmark.detail.get("metrics")
    first = [str(m) for m in declared] if isinstance(declared, list) else []
    for name in (*first, *result.benchmark.scoring, "accuracy", *sorted(result.metrics)):
        if name in result.metrics:
            return result.metrics[name]
    return None


def _ranked(rows: list[Row], direction: Direction) -> list[Row]:
    sign = -1.0 if direction is Direction.DESC else 1.0
    ordered = sorted(rows, key=lambda r: (r.score is None, sign * (r.score or 0.0), r.name, r.created_at))
    ranked: list[Row] = []
    for place, row in enumerate(ordered, start=1):
        tied = ranked and ranked[-1].score == row.score
        ranked.append(replace(row, rank=ranked[-1].rank if tied else place))
    return ranked
