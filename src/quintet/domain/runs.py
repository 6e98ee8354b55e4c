"""Runs: one piece of work, its state machine, and what it says of itself.

Every dialect's task, job, training and evaluation is a run. States hold the richest meaning any of them
needs; a dialect that has fewer maps several to one at its edge.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from quintet.domain.errors import Precondition
from quintet.domain.ids import Id

JsonObject = dict[str, Any]
"""A free JSON object that the core keeps and does not read."""


class RunState(StrEnum):
    CREATED = "created"
    QUEUED = "queued"
    RUNNING = "running"
    STOPPED = "stopped"
    CLOSED = "closed"
    FAILED = "failed"
    COMPLETED = "completed"
    PUBLISHING = "publishing"
    PUBLISHED = "published"


_S = RunState
TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    _S.CREATED: frozenset({_S.QUEUED, _S.RUNNING}),
    _S.QUEUED: frozenset({_S.CREATED, _S.RUNNING, _S.STOPPED}),
    _S.RUNNING: frozenset({_S.STOPPED, _S.FAILED, _S.CREATED, _S.COMPLETED, _S.QUEUED}),
    _S.STOPPED: frozenset(
        {_S.CLOSED, _S.CREATED, _S.FAILED, _S.QUEUED, _S.RUNNING, _S.PUBLISHED, _S.PUBLISHING, _S.COMPLETED}
    ),
    _S.CLOSED: frozenset({_S.CREATED, _S.FAILED, _S.PUBLISHED, _S.PUBLISHING, _S.STOPPED}),
    _S.FAILED: frozenset({_S.CREATED, _S.STOPPED, _S.PUBLISHED, _S.QUEUED}),
    _S.COMPLETED: frozenset({_S.PUBLISHED, _S.RUNNING, _S.CREATED}),
    _S.PUBLISHING: frozenset({_S.PUBLISHED}),
    _S.PUBLISHED: frozenset(),
}
"""Which state may follow which. RUNNING → QUEUED is a lease that ended: the run waits for another worker."""

ENDED: frozenset[RunState] = frozenset({_S.STOPPED, _S.CLOSED, _S.FAILED, _S.COMPLETED, _S.PUBLISHED})


class RunKind(StrEnum):
    """What sort of work a run is; free-form kinds of clients are kept in `Run.type`."""

    TASK = "task"
    PRETRAIN = "pretrain"
    SFT = "sft"
    DPO = "dpo"
    EVALUATE = "evaluate"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class Run:
    """One run. Times are microseconds since the epoch, UTC.

    `type` is the client's own word (e.g. "training"). `recipe` names what a worker executes, with `args`;
    a run without one is executed by its own client (or by `clearml-agent` from `script`). `params` is
    `{section: {name: {"value": str, "type": str, "description": str}}}`. `detail` holds what only one
    dialect speaks of, under that dialect's name; no rule of the core reads it.
    """

    id: Id
    space_id: Id
    project_id: Id | None
    name: str
    kind: RunKind
    type: str
    state: RunState
    created_by: Id
    created_at: int
    updated_at: int
    changed_at: int
    status_reason: str = ""
    status_message: str = ""
    status_changed_at: int = 0
    started_at: int | None = None
    ended_at: int | None = None
    published_at: int | None = None
    comment: str = ""
    parent_id: Id | None = None
    queue_id: Id | None = None
    recipe: str | None = None
    args: JsonObject = field(default_factory=dict)
    params: dict[str, dict[str, JsonObject]] = field(default_factory=dict)
    configuration: dict[str, JsonObject] = field(default_factory=dict)
    script: JsonObject = field(default_factory=dict)
    container: JsonObject = field(default_factory=dict)
    runtime: JsonObject = field(default_factory=dict)
    detail: JsonObject = field(default_factory=dict)
    result: JsonObject = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    system_tags: tuple[str, ...] = ()
    last_iteration: int = 0
    progress: float | None = None
    error: str | None = None
    attempt: int = 0
    max_attempts: int = 3
    stop_requested: bool = False
    last_worker: str | None = None
    last_worker_at: int | None = None

    def move_to(
        self, state: RunState, *, at: int, reason: str = "", message: str = "", force: bool = False
    ) -> Run:
        """The run in `state`; Precondition where the table forbids it and `force` is not given.

        Going to the state it is already in is allowed and renews the times.
        """
        if not force and state != self.state and state not in TRANSITIONS[self.state]:
            raise Precondition(
                f"a run that is {self.state} cannot become {state}",
                field="status",
                current_status=str(self.state),
                new_status=str(state),
            )
        changed = replace(
            self,
            state=state,
            status_reason=reason,
            status_message=message,
            status_changed_at=at,
            updated_at=at,
            changed_at=at,
        )
        if state is RunState.RUNNING:
            changed = replace(changed, started_at=self.started_at or at, ended_at=None, stop_requested=False)
        if state in ENDED and self.ended_at is None:
            changed = replace(changed, ended_at=at)
        if state is RunState.PUBLISHED:
            changed = replace(changed, published_at=at)
        if state is RunState.QUEUED:
            changed = replace(changed, system_tags=tuple(t for t in self.system_tags if t != "development"))
        return changed


class StageState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Stage:
    """A named part of a run, with its progress: `done` of `total` (None = not known), and free `info`."""

    run_id: Id
    position: int
    name: str
    state: StageState
    done: int = 0
    total: int | None = None
    info: JsonObject = field(default_factory=dict)
    updated_at: int = 0


@dataclass(frozen=True, slots=True)
class Artifact:
    """A named output (or input) of a run. `uri` is where the client put it; `blob` our own key, if we hold it."""

    id: Id
    run_id: Id
    key: str
    mode: str
    type: str
    uri: str
    created_at: int
    size: int | None = None
    hash: str = ""
    blob: str | None = None
    detail: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A saved state of a training run. `path` is a blob prefix; `metrics` e.g. train_loss, epoch."""

    id: Id
    run_id: Id
    name: str
    step: int
    epoch: float
    path: str
    created_at: int
    metrics: dict[str, float] = field(default_factory=dict)
    model_id: Id | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """An ordered list of runs that wait for a worker."""

    id: Id
    space_id: Id
    name: str
    created_at: int
    tags: tuple[str, ...] = ()
    system_tags: tuple[str, ...] = ()
    metadata: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QueueEntry:
    queue_id: Id
    run_id: Id
    position: int
    added_at: int
    previous_state: RunState = RunState.CREATED


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's right to a run until `expires_at`; whoever holds another `token` may write nothing.

    `lines` is how many lines of what the attempt printed have been taken.
    """

    run_id: Id
    token: str
    worker: str
    attempt: int
    leased_at: int
    expires_at: int
    lines: int = 0

    @property
    def digest(self) -> str:
        """What the run's own token says of this lease; the worker's token cannot be told from it."""
        return hashlib.sha256(self.token.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that takes runs: ours, or a `clearml-agent`."""

    id: Id
    space_id: Id
    name: str
    user_id: Id
    registered_at: int
    last_seen_at: int
    expires_at: int
    queues: tuple[Id, ...] = ()
    run_id: Id | None = None
    ip: str = ""
    tags: tuple[str, ...] = ()
    stats: JsonObject = field(default_factory=dict)
