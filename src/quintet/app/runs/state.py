"""Move runs through their states. The table of what may follow what is in `domain/runs.py`.

`move` is the one way that a state changes: it also takes a run that stops waiting out of its queue, and takes
the lease from a worker whose run is not running any more, so that this worker's next word is refused.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from quintet.app.context import Ctx, Effect
from quintet.app.leftovers import leave
from quintet.app.runs.edit import CHECKS
from quintet.app.runs.read import locked_run
from quintet.domain.errors import Precondition
from quintet.domain.ids import Id
from quintet.domain.runs import Run, RunState
from quintet.storage import queues as queue_store
from quintet.storage import runs as store
from quintet.storage.tx import WriteTx

ALIVE_US = 600 * 1_000_000
"""How recently a run's own worker must have reported to be asked to stop rather than passed over: the time
after which `clearml-agent` counts as gone."""

STOPPING = "stopping"
"""The status message that a worker without a lease (a `clearml-agent`) reads as "please stop"."""


def move(
    ctx: Ctx[WriteTx],
    run: Run,
    state: RunState,
    *,
    reason: str = "",
    message: str = "",
    force: bool = False,
    **changes: Any,
) -> Run:
    """Puts a run that is held into `state`, with further `changes`; Precondition where the table forbids it."""
    CHECKS["status_reason"]("status_reason", reason)
    CHECKS["status_message"]("status_message", message)
    moved = run.move_to(state, at=ctx.now, reason=reason, message=message, force=force)
    if run.state is RunState.RUNNING and state is RunState.RUNNING:
        moved = replace(moved, stop_requested=run.stop_requested)
    if state is RunState.FAILED:
        moved = replace(moved, error=message or reason or "failed")
    elif state in (RunState.CREATED, RunState.QUEUED, RunState.RUNNING):
        moved = replace(moved, error=None)
    moved = replace(moved, **changes)
    # In this order everywhere: run, project, queue, entry; then nobody waits for each other in a ring.
    store.save_run(ctx.tx, run, moved)
    if run.project_id is not None:
        store.touch_project(ctx.tx, run.project_id, ctx.now)
    if run.state is RunState.QUEUED and state is not RunState.QUEUED:
        queue_store.remove_entry(ctx.tx, run.id)
    if state is not RunState.RUNNING:
        queue_store.delete_lease(ctx.tx, run.id)
    data = {"state": str(state), "previous": str(run.state), "space_id": run.space_id}
    ctx.after_commit(Effect("run", run.id, data))
    return moved


def start_run(ctx: Ctx[WriteTx], run_id: Id, *, reason: str = "", message: str = "", force: bool = False) -> Run:
    """The run is being worked on, says who works on it; the first start sets `started_at`."""
    return move(ctx, locked_run(ctx, run_id), RunState.RUNNING, reason=reason, message=message, force=force)


def stop_run(ctx: Ctx[WriteTx], run_id: Id, *, reason: str = "", message: str = "", force: bool = False) -> Run:
    """The run has stopped before its end, says who worked on it; see `request_stop` for asking."""
    return move(ctx, locked_run(ctx, run_id), RunState.STOPPED, reason=reason, message=message, force=force)


def fail_run(ctx: Ctx[WriteTx], run_id: Id, *, reason: str = "", message: str = "", force: bool = False) -> Run:
    """The run failed; the message (or the reason) becomes its `error`."""
    return move(ctx, locked_run(ctx, run_id), RunState.FAILED, reason=reason, message=message, force=force)


def complete_run(
    ctx: Ctx[WriteTx], run_id: Id, *, reason: str = "", message: str = "", force: bool = False, publish: bool = False
) -> Run:
    """The run reached its end; with `publish` it is published at once."""
    run = move(ctx, locked_run(ctx, run_id), RunState.COMPLETED, reason=reason, message=message, force=force)
    return _publish(ctx, run, publish_model=True, reason=reason, message=message, force=force).run if publish else run


def close_run(ctx: Ctx[WriteTx], run_id: Id, *, reason: str = "", message: str = "", force: bool = False) -> Run:
    """A stopped run that nobody will take up again."""
    return move(ctx, locked_run(ctx, run_id), RunState.CLOSED, reason=reason, message=message, force=force)


class Published(NamedTuple):
    """A published run, and the model that was made ready with it."""

    run: Run
    model_id: Id | None


def publish_run(
    ctx: Ctx[WriteTx],
    run_id: Id,
    *,
    publish_model: bool = True,
    reason: str = "",
    message: str = "",
    force: bool = False,
) -> Published:
    """Makes the run final; with `publish_model` its newest model becomes ready."""
    run = locked_run(ctx, run_id)
    return _publish(ctx, run, publish_model=publish_model, reason=reason, message=message, force=force)


def _publish(ctx: Ctx[WriteTx], run: Run, *, publish_model: bool, reason: str, message: str, force: bool) -> Published:
    moved = move(ctx, run, RunState.PUBLISHED, reason=reason, message=message, force=force)
    model_id = store.publish_last_model(ctx.tx, run.id, ctx.now) if publish_model else None
    return Published(moved, model_id)


def request_stop(ctx: Ctx[WriteTx], run_id: Id, *, reason: str = "", message: str = "", force: bool = False) -> Run:
    """Asks a run to stop, however it is being worked on.

    Queued: leaves its queue and is STOPPED. Leased: `stop_requested`, which the worker hears at its next
    heartbeat. Executed by a live `clearml-agent`: the status message asks it to. Otherwise STOPPED at once.
    """
    run = locked_run(ctx, run_id)
    reason = reason or f"Stopped by {ctx.actor.user_name or ctx.actor.user_id}"
    if run.state is not RunState.RUNNING:
        return move(ctx, run, RunState.STOPPED, reason=reason, message=message, force=force)
    leased = queue_store.lease_of(ctx.tx, run.id) is not None
    remote = "development" not in run.system_tags and run.last_worker is not None
    if leased or (remote and not force and run.updated_at >= ctx.now - ALIVE_US):
        # `updated_at` stays: asking is not a sign of life, and must not keep a dead worker's run alive.
        asked = replace(
            run, stop_requested=True, status_reason=reason, status_message=message or STOPPING, changed_at=ctx.now
        )
        store.save_run(ctx.tx, run, asked)
        data = {"state": str(run.state), "previous": str(run.state), "space_id": run.space_id, "stop": True}
        ctx.after_commit(Effect("run", run.id, data))
        return asked
    return move(ctx, run, RunState.STOPPED, reason=reason, message=message, force=force)


def archive_run(ctx: Ctx[WriteTx], run_id: Id, *, reason: str = "", message: str = "") -> Run:
    """Puts a run away: it leaves its queue or stops, and carries the system tag "archived"."""
    run = locked_run(ctx, run_id)
    if run.state is RunState.QUEUED:
        entry = queue_store.entry_of(ctx.tx, run.id)
        back = entry.previous_state if entry is not None else RunState.CREATED
        run = move(ctx, run, back, reason=reason, message=message, force=True, queue_id=None)
    elif run.state is RunState.RUNNING:
        run = move(ctx, run, RunState.STOPPED, reason=reason, message=message)
    return _tag(ctx, run, (*(t for t in run.system_tags if t != "archived"), "archived"), reason, message)


def unarchive_run(ctx: Ctx[WriteTx], run_id: Id, *, reason: str = "", message: str = "") -> Run:
    run = locked_run(ctx, run_id)
    return _tag(ctx, run, tuple(t for t in run.system_tags if t != "archived"), reason, message)


def _tag(ctx: Ctx[WriteTx], run: Run, system_tags: tuple[str, ...], reason: str, message: str) -> Run:
    tagged = replace(
        run, system_tags=system_tags, status_reason=reason, status_message=message, updated_at=ctx.now,
        changed_at=ctx.now,
    )  # fmt: skip
    store.save_run(ctx.tx, run, tagged)
    return tagged


class Reset(NamedTuple):
    """A run that is as new, whether it was waiting in a queue, and the draft models that went."""

    run: Run
    dequeued: bool
    deleted_models: list[Id]


def reset_run(ctx: Ctx[WriteTx], run_id: Id, *, clear_all: bool = False, force: bool = False) -> Reset:
    """Forgets everything a run did and makes it CREATED again; with `clear_all` its script and container too.

    Series, logs, events, stages, checkpoints, draft models and all artifacts but inputs go. Precondition for a
    published run, unless forced.
    """
    run = locked_run(ctx, run_id)
    if run.state in (RunState.PUBLISHED, RunState.PUBLISHING) and not force:
        raise Precondition("a published run cannot be reset", field="status", current_status=str(run.state))
    dequeued = queue_store.remove_entry(ctx.tx, run.id)
    store.delete_reports(ctx.tx, run.id)
    models = store.delete_draft_models(ctx.tx, run.id)
    store.delete_stages(ctx.tx, run.id)
    store.delete_checkpoints(ctx.tx, run.id)
    store.delete_artifacts(ctx.tx, run.id, keep_mode="input")
    cleared: dict[str, Any] = {
        "started_at": None, "ended_at": None, "published_at": None, "queue_id": None, "runtime": {}, "result": {},
        "last_iteration": 0, "progress": None, "attempt": 0, "stop_requested": False, "last_worker": None,
        "last_worker_at": None,
    }  # fmt: skip
    if clear_all:
        cleared.update(script={}, container={})
    fresh = move(ctx, run, RunState.CREATED, reason="reset", force=force, **cleared)
    drop_blobs(ctx, run.id)
    return Reset(fresh, dequeued, models)


def drop_blobs(ctx: Ctx[WriteTx], run_id: Id) -> None:
    """Has the run's blobs deleted after the commit, unless a model version still has its files there."""
    prefix = f"runs/{run_id}/"
    if not store.keeps_blobs(ctx.tx, prefix):
        leave(ctx, prefixes=[prefix])
