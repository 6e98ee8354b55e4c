"""The bodies of the runner wire."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field


class LeaseBody(Struct):
    """`wait_seconds`: how long to wait for a run where none is there yet."""

    worker: str
    queues: list[str] = field(default_factory=lambda: ["default"])
    seconds: int = 60
    wait_seconds: float = 0.0


class HeartbeatBody(Struct):
    run_id: str
    token: str
    seconds: int = 60


class FinishBody(Struct):
    run_id: str
    token: str
    outcome: Literal["completed", "failed", "stopped", "requeue"]
    reason: str = ""


class LogLine(Struct):
    """`ts` in milliseconds since the epoch."""

    ts: int
    msg: str
    level: str = "info"


class LogsBody(Struct):
    """`start`: how many lines this attempt had printed before these; with it the same lines may come twice."""

    run_id: str
    token: str
    lines: list[LogLine]
    worker: str = ""
    start: int | None = None


class StageBody(Struct):
    name: str
    state: Literal["pending", "running", "done", "cancelled", "error"] | None = None
    done: int | None = None
    total: int | None = None
    info: dict[str, Any] | None = None


class ProgressBody(Struct):
    stages: list[StageBody] = []
    progress: float | None = None


class PointBody(Struct):
    """`value` None is a number that JSON cannot write (NaN); `ts` in milliseconds since the epoch."""

    metric: str
    iter: int
    value: float | None
    ts: int
    variant: str = ""


class MetricsBody(Struct):
    points: list[PointBody]


class ArtifactBody(Struct):
    """`path` is where the run put the file with `PUT /blobs/<path>`."""

    key: str
    type: str = ""
    path: str | None = None
    size: int | None = None
    hash: str = ""
    metadata: dict[str, Any] = {}


class CheckpointBody(Struct):
    """`path` is the folder of its files among the run's blobs."""

    name: str
    step: int
    epoch: float = 0.0
    path: str = ""
    metrics: dict[str, float] = {}


class FileBody(Struct):
    path: str
    size: int
    sha256: str = ""


class ModelBody(Struct):
    """A model made by the run: `files` lie, with these relative paths, in the folder `path` of its blobs."""

    name: str
    path: str
    files: list[FileBody]
    key: str | None = None
    format: Literal["transformers", "adapter", "none"] = "transformers"
    backbone: str | None = None
    metrics: dict[str, float] = {}
    description: str = ""
    kind: Literal["generation", "embedding", "reward", "tabular", "other"] = "generation"
    framework: str = ""


class CompleteBody(Struct):
    model: str
    messages: list[dict[str, Any]]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: list[str] = []
    seed: int | None = None


class ScoresBody(Struct):
    evaluation: str
    generations: list[dict[str, Any]] = []
    scores: dict[str, Any] = {}
    metrics: dict[str, float] = {}
    rows: int = 0


class ResultBody(Struct):
    result: dict[str, Any]
