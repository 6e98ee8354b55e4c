"""Give runs to workers, hear from them, and take runs back from workers that are gone.

A lease is a token with an expiry. Whatever a worker says is applied only while its token is the one on the
run; otherwise somebody else has the run by now, and nothing of what it said is kept.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple, assert_never

from quintet.app.authz import authorize
from quintet.app.context import Ctx
from quintet.app.events.report import report_logs
from quintet.app.identity.accounts import SYSTEM
from quintet.app.queues.entries import put_entry
from quintet.app.runs.state import move
from quintet.app.work.workers import saw_worker
from quintet.domain.errors import Forbidden, Invalid, NotFound, Precondition, Unauthenticated
from quintet.domain.events import LogLine
from quintet.domain.identity import Actor, Permission
from quintet.domain.ids import Id
from quintet.domain.runs import Lease, Run, RunState
from quintet.storage import queues as store
from quintet.storage import runs as run_store
from quintet.storage.tx import ReadTx, WriteTx

LEASE_SECONDS = (5, 3600)
"""The shortest and the longest lease: shorter ones expire in a pause of the network, longer ones leave a dead
worker's run lying for too long."""

SILENT_US = 2 * 3600 * 1_000_000
"""After how long without news a run that nobody holds a lease on counts as dead (ClearML's two hours)."""

BATCH = 100
"""How many dead or silent runs are looked for at once: the janitor comes again soon."""


@dataclass(frozen=True, slots=True)
class LeasedRun:
    """A run that a worker now has, and its right to it."""

    run: Run
    lease: Lease


def is_system(actor: Actor) -> bool:
    """Whether this is the server itself (its own worker and janitor), who serves every space."""
    return actor.user_id == SYSTEM.user_id


def has_work(ctx: Ctx[ReadTx], queues: Sequence[str]) -> bool:
    """Whether a worker would find a run: the cheap question to ask before `lease_next`."""
    authorize(ctx, Permission.WORK)
    return bool(store.waiting_queues(ctx.tx, _space(ctx), queues))


def _space(ctx: Ctx[Any]) -> Id | None:
    return None if is_system(ctx.actor) else ctx.actor.space_id


def lease_next(ctx: Ctx[WriteTx], worker: str, queues: Sequence[str], seconds: int) -> LeasedRun | None:
    """The first run with a recipe that waits in one of the named queues, earlier names first; None without any.

    The run is RUNNING and the worker's for `seconds`. Runs without a recipe are passed over: their own client
    or a `clearml-agent` executes them. No two workers ever get the same run.
    """
    authorize(ctx, Permission.WORK)
    _check_seconds(seconds)
    if not worker:
        raise Invalid("'worker' is the name of the worker", field="worker")
    taken = _take(ctx, queues)
    if taken is None:
        if not is_system(ctx.actor):
            saw_worker(ctx, ctx.actor.space_id, worker, seconds=seconds, run_id=None, queues=queues)
        return None
    saw_worker(ctx, taken.space_id, worker, seconds=seconds, run_id=taken.id, queues=queues)
    lease = Lease(taken.id, secrets.token_hex(16), worker, taken.attempt + 1, ctx.now, ctx.now + seconds * 1_000_000)
    running = move(
        ctx, taken, RunState.RUNNING, reason="", message="", attempt=lease.attempt, stop_requested=False,
        last_worker=worker, last_worker_at=ctx.now,
    )  # fmt: skip
    store.insert_lease(ctx.tx, lease)
    return LeasedRun(running, lease)


def _take(ctx: Ctx[WriteTx], queues: Sequence[str]) -> Run | None:
    for queue_id in store.waiting_queues(ctx.tx, _space(ctx), queues):
        entry = store.hold_first(ctx.tx, queue_id, with_recipe=True, states=(RunState.QUEUED,))
        run = run_store.lock_run(ctx.tx, entry.run_id) if entry is not None else None
        if run is not None:
            return run
    return None


def _check_seconds(seconds: int) -> None:
    least, most = LEASE_SECONDS
    if not least <= seconds <= most:
        raise Invalid(f"'seconds' is {least} to {most}", field="seconds")


def held_run(ctx: Ctx[WriteTx], run_id: Id, token: str) -> tuple[Run, Lease]:
    """The run that this token holds; Precondition where it does not (any longer), or the run is gone."""
    authorize(ctx, Permission.WORK)
    run = run_store.lock_run(ctx.tx, run_id)
    lease = store.lease_of(ctx.tx, run_id)
    if run is None or lease is None or not secrets.compare_digest(lease.token.encode(), token.encode()):
        raise Precondition("this worker does not hold the run any more", field="token", stale=True)
    if not is_system(ctx.actor) and run.space_id != ctx.actor.space_id:
        raise NotFound.of("run", run_id)
    return run, lease


def check_attempt(ctx: Ctx[ReadTx], run_id: Id, digest: str) -> None:
    """Unauthenticated where the lease that a run's token was made for has ended: a run whose worker was taken
    for dead may still be going, beside the attempt that took its place, and must not write into it."""
    lease = store.lease_of(ctx.tx, run_id)
    if lease is None or lease.digest != digest:
        raise Unauthenticated("this attempt of the run is over")


class Beat(NamedTuple):
    """What a worker hears back: whether to stop, and until when (microseconds) the run is still its own."""

    stop: bool
    expires_at: int


def heartbeat(ctx: Ctx[WriteTx], run_id: Id, token: str, seconds: int) -> Beat:
    """Keeps the lease for another `seconds`; Precondition for a stale token, which changes nothing."""
    _check_seconds(seconds)
    run, lease = held_run(ctx, run_id, token)
    expires = ctx.now + seconds * 1_000_000
    store.extend_lease(ctx.tx, run_id, token, expires)
    saw_worker(ctx, run.space_id, lease.worker, seconds=seconds, run_id=run_id)
    run_store.save_run(ctx.tx, run, replace(run, updated_at=ctx.now, last_worker_at=ctx.now))
    return Beat(run.stop_requested, expires)


def report_lines(
    ctx: Ctx[WriteTx], run_id: Id, token: str, lines: Sequence[LogLine], start: int | None = None
) -> int:
    """Adds what a run printed to its log; how many lines. Precondition for a stale token.

    `start` is how many lines the attempt had printed before these. With it lines count once however often they
    come: a worker that got no answer sends them again, and cannot know whether they had arrived.
    """
    run, lease = held_run(ctx, run_id, token)
    if start is not None:
        if start < 0:
            raise Invalid("lines are counted from 0", field="start")
        end = start + len(lines)
        lines = lines[max(0, lease.lines - start) :]
        store.note_lines(ctx.tx, run_id, max(lease.lines, end))
    # The server's own worker serves every space, and here speaks for the one that the run is in.
    there = replace(ctx, actor=replace(ctx.actor, space_id=run.space_id))
    return report_logs(there, run_id, [line._replace(worker=line.worker or lease.worker) for line in lines])


class Outcome(StrEnum):
    """How a worker's work on a run ended. REQUEUE: the worker itself must go; the run waits for another."""

    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"
    REQUEUE = "requeue"


def finish(ctx: Ctx[WriteTx], run_id: Id, token: str, outcome: Outcome, reason: str = "") -> Run:
    """Ends the lease and puts the run into the state that `outcome` says.

    Precondition for a stale token, which changes nothing.
    """
    run, lease = held_run(ctx, run_id, token)
    if not store.end_lease(ctx.tx, run_id, token):
        raise Precondition("this worker does not hold the run any more", field="token", stale=True)
    saw_worker(ctx, run.space_id, lease.worker, run_id=None)
    match outcome:
        case Outcome.COMPLETED:
            return move(ctx, run, RunState.COMPLETED, reason=reason, progress=1.0)
        case Outcome.FAILED:
            return move(ctx, run, RunState.FAILED, reason="failed", message=reason)
        case Outcome.STOPPED:
            return move(ctx, run, RunState.STOPPED, reason=reason or run.status_reason or "stopped")
        case Outcome.REQUEUE:
            # Not the run's fault: this attempt does not count.
            return _again(ctx, run, reason or "worker shut down", attempt=max(run.attempt - 1, 0))
        case unreachable:
            assert_never(unreachable)


def _again(ctx: Ctx[WriteTx], run: Run, reason: str, *, attempt: int) -> Run:
    """Back to the front of the run's queue; a run that was asked to stop, or has no queue any more, ends here."""
    if run.stop_requested:
        return move(ctx, run, RunState.STOPPED, reason=run.status_reason or "stopped")
    if run.queue_id is None or store.find_queue(ctx.tx, run.space_id, run.queue_id) is None:
        return move(ctx, run, RunState.FAILED, reason=reason, message=f"{reason}, and the run's queue is gone")
    queued = move(ctx, run, RunState.QUEUED, reason=reason, attempt=attempt)
    put_entry(ctx, queued, run.queue_id, RunState.CREATED, front=True)
    return queued


# -- what the server does on its own ------------------------------------------------------------------------------


def _authorize_system(ctx: Ctx[Any]) -> None:
    if not is_system(ctx.actor):
        raise Forbidden("only the server itself does this")


def dead_runs(ctx: Ctx[ReadTx]) -> list[Id]:
    """Runs whose worker gave no sign of life in time, in every space, longest silent first; at most `BATCH`."""
    _authorize_system(ctx)
    return [lease.run_id for lease in store.expired_leases(ctx.tx, ctx.now, BATCH)]


def expire_lease(ctx: Ctx[WriteTx], run_id: Id) -> Run | None:
    """Takes a run back from a worker that is gone: tried again from the front of its queue, or failed.

    None, and nothing changed, where the worker is there after all. One run in a transaction: with several, two
    such transactions could wait for each other's projects and queues in a ring.
    """
    _authorize_system(ctx)
    run = run_store.lock_run(ctx.tx, run_id)
    lease = store.lease_of(ctx.tx, run_id)
    # Held now: whoever gave a sign of life, or ended the run, between the look and the lock keeps it.
    if run is None or lease is None or lease.expires_at >= ctx.now:
        return None
    if run.state is not RunState.RUNNING:
        store.delete_lease(ctx.tx, run.id)
        return None
    if run.attempt < run.max_attempts or run.stop_requested:
        return _again(ctx, run, "worker lost", attempt=run.attempt)
    message = f"the worker '{lease.worker}' was lost in attempt {run.attempt} of {run.max_attempts}"
    return move(ctx, run, RunState.FAILED, reason="worker lost", message=message)


def silent_runs(ctx: Ctx[ReadTx]) -> list[Id]:
    """Running runs without a lease that nobody has reported on for two hours, in every space; at most `BATCH`."""
    _authorize_system(ctx)
    return run_store.silent_runs(ctx.tx, ctx.now - SILENT_US, BATCH)


def stop_silent_run(ctx: Ctx[WriteTx], run_id: Id) -> Run | None:
    """Stops such a run; None, and nothing changed, where somebody was heard of after all."""
    _authorize_system(ctx)
    run = run_store.lock_run(ctx.tx, run_id)
    if run is None or run.state is not RunState.RUNNING or run.updated_at >= ctx.now - SILENT_US:
        return None
    if store.lease_of(ctx.tx, run_id) is not None:
        return None
    return move(ctx, run, RunState.STOPPED, reason="Forced stop (non-responsive)")
