"""Interactions (one call of a model), feedback on them, and the metrics that feedback is given in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from quintet.domain.ids import Id


class InteractionSource(StrEnum):
    LIVE = "live"
    OFFLINE = "offline"
    AUTOMATION = "automation"
    DATASET = "dataset"
    EVALUATION = "evaluation"


@dataclass(frozen=True, slots=True)
class Interaction:
    """One call, immutable but for its labels and metadata.

    `messages` is `[{"role": str, "content": str | [parts]}]`, what was sent; `completion` what came back.
    Times in microseconds; `prompt_hash` groups calls with the same messages. `dialect` is where it came in,
    `type` what it was for (chat, completion, embedding, argument, insight, persona, evaluation).
    """

    id: Id
    space_id: Id
    project_id: Id | None
    created_at: int
    messages: list[dict[str, Any]]
    completion: str
    source: InteractionSource = InteractionSource.LIVE
    type: str = "chat"
    dialect: str = ""
    user_id: Id | None = None
    end_user: str | None = None
    model_id: Id | None = None
    deployment_id: Id | None = None
    model_name: str = ""
    experiment_id: Id | None = None
    session_id: Id | None = None
    prompt_hash: str = ""
    status: str = "success"
    error: str = ""
    finish_reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_us: int = 0
    ttft_us: int | None = None
    billing_tag: str | None = None
    correlation_id: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)


class MetricKind(StrEnum):
    BOOL = "bool"
    SCALAR = "scalar"


class Direction(StrEnum):
    HIGHER_IS_BETTER = "higher_is_better"
    LOWER_IS_BETTER = "lower_is_better"


@dataclass(frozen=True, slots=True)
class Metric:
    """A feedback key, global to the space; `lower`/`upper` bound a SCALAR where the space knows them."""

    id: Id
    space_id: Id
    key: str
    name: str
    kind: MetricKind
    direction: Direction
    created_at: int
    description: str = ""
    lower: float | None = None
    upper: float | None = None


class FeedbackKind(StrEnum):
    DIRECT = "direct"
    COMPARISON = "comparison"
    OUTCOME = "outcome"


@dataclass(frozen=True, slots=True)
class Feedback:
    """One judgement, append-only.

    DIRECT: `value` on `interaction_id`. COMPARISON: `interaction_id` preferred over `other_id`
    (`tied` "good" or "bad" where neither was). OUTCOME: `value` on `session_id`.
    """

    id: Id
    space_id: Id
    project_id: Id | None
    metric_id: Id
    kind: FeedbackKind
    created_at: int
    value: float | None = None
    interaction_id: Id | None = None
    other_id: Id | None = None
    session_id: Id | None = None
    tied: str | None = None
    user_id: Id | None = None
    end_user: str | None = None
    reason: str | None = None
    details: str | None = None
    experiment_id: Id | None = None
    model_id: Id | None = None
    other_model_id: Id | None = None


class ExperimentState(StrEnum):
    WARMUP = "warmup"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Experiment:
    """An A/B test over deployments of one project; `statistics` is the state of the running tests (JSON)."""

    id: Id
    space_id: Id
    project_id: Id
    key: str
    metric_id: Id
    feedback: FeedbackKind
    state: ExperimentState
    deployments: tuple[Id, ...]
    traffic: float
    auto_deploy: bool
    created_at: int
    created_by: Id
    name: str = ""
    ended_at: int | None = None
    winner_id: Id | None = None
    p_value: float | None = None
    feedbacks: int = 0
    statistics: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
