"""Benchmarks, graders (scoring functions) and the results of evaluations."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from quintet.domain.ids import Id


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A dataset and what is measured on it. `key` is what clients call it, unique in the space."""

    id: Id
    space_id: Id
    key: str
    name: str
    dataset_id: Id | None
    scoring: tuple[str, ...]
    created_at: int
    updated_at: int
    created_by: Id
    description: str = ""
    task: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One benchmark on one model, carried out by the run `run_id`; `number` counts per benchmark from 0.

    `metrics` is `{metric name: value}`, what leaderboards rank by; `result` the dialects' full result
    (`{"generations": [...], "scores": {...}}`) or a blob key for a large one.
    """

    id: Id
    space_id: Id
    benchmark_id: Id
    number: int
    created_at: int
    created_by: Id
    run_id: Id | None = None
    model_id: Id | None = None
    model_version: int | None = None
    checkpoint_id: Id | None = None
    status: str = "pending"
    error: str = ""
    finished_at: int | None = None
    rows: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    result_blob: str | None = None


class EvaluationStatus(StrEnum):
    """Where an evaluation is. Without scores it is where its run is; with them it is completed."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Grader:
    """What gives a score: a judge, a prebuilt criterion, a remote service, or a function with parameters.

    `type` and `config` are the dialect's that made it; with `project_id` None it serves the whole space. A
    locked grader is not changed any more, because results rest on it.
    """

    id: Id
    space_id: Id
    project_id: Id | None
    key: str
    name: str
    type: str
    created_at: int
    updated_at: int
    created_by: Id
    metric_id: Id | None = None
    config: dict[str, Any] = field(default_factory=dict)
    locked: bool = False
