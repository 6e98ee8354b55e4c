"""Workers: ours and every `clearml-agent`, as long as they say that they are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from quintet.app.authz import authorize
from quintet.app.context import Ctx
from quintet.app.identity.accounts import SYSTEM
from quintet.app.runs.read import locked_run
from quintet.domain.errors import Forbidden, Invalid
from quintet.domain.identity import Permission
from quintet.domain.ids import Id, new_id
from quintet.domain.projects import check_name
from quintet.domain.runs import JsonObject, Worker
from quintet.storage import queues as queue_store
from quintet.storage import runs as run_store
from quintet.storage import workers as store
from quintet.storage.tx import ReadTx, WriteTx

DEFAULT_SECONDS = 600
"""How long a worker counts as there after its last word, unless it registers with another time."""

MAX_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a worker says of itself. None leaves what was known; `run_id` None says that it is idle."""

    name: str
    run_id: Id | None = None
    queues: tuple[Id, ...] | None = None
    tags: tuple[str, ...] | None = None
    stats: JsonObject | None = None
    ip: str = ""


def register_worker(ctx: Ctx[WriteTx], report: WorkerReport, seconds: int = DEFAULT_SECONDS) -> Worker:
    """Makes a worker known, or known anew, for `seconds` after each of its reports."""
    authorize(ctx, Permission.RUN_WRITE)
    if not 1 <= seconds <= MAX_SECONDS:
        raise Invalid(f"'timeout' is 1 to {MAX_SECONDS} seconds", field="timeout")
    known = store.find_worker(ctx.tx, ctx.actor.space_id, report.name)
    return _save(ctx, known, replace(_fresh(ctx, known, report), registered_at=ctx.now), seconds)


def report_worker(ctx: Ctx[WriteTx], report: WorkerReport) -> Worker:
    """A sign of life; an unknown worker is registered by it. NotFound for a run that is not there.

    The run it names counts as alive too.
    """
    authorize(ctx, Permission.RUN_WRITE)
    known = store.find_worker(ctx.tx, ctx.actor.space_id, report.name)
    if report.run_id is not None:
        run = locked_run(ctx, report.run_id)
        seen = replace(run, last_worker=report.name, last_worker_at=ctx.now, updated_at=ctx.now)
        run_store.save_run(ctx.tx, run, seen)
    return _save(ctx, known, _fresh(ctx, known, report), _seconds(known))


def _fresh(ctx: Ctx[WriteTx], known: Worker | None, report: WorkerReport) -> Worker:
    worker = known or _new(ctx, report.name)
    return replace(
        worker,
        user_id=ctx.actor.user_id,
        run_id=report.run_id,
        queues=worker.queues if report.queues is None else report.queues,
        tags=worker.tags if report.tags is None else report.tags,
        stats=worker.stats if report.stats is None else report.stats,
        ip=report.ip or worker.ip,
    )


def _new(ctx: Ctx[WriteTx], name: str) -> Worker:
    made = check_name(name, field="worker")
    return Worker(new_id(), ctx.actor.space_id, made, ctx.actor.user_id, ctx.now, ctx.now, ctx.now)


def _seconds(known: Worker | None) -> int:
    """The time that the worker registered with: what lies between its last word and its end."""
    return (known.expires_at - known.last_seen_at) // 1_000_000 if known is not None else DEFAULT_SECONDS


def _save(ctx: Ctx[WriteTx], known: Worker | None, worker: Worker, seconds: int) -> Worker:
    worker = replace(worker, last_seen_at=ctx.now, expires_at=ctx.now + seconds * 1_000_000)
    if known is None:
        store.insert_worker(ctx.tx, worker)
    else:
        store.save_worker(ctx.tx, worker)
    return worker


def saw_worker(
    ctx: Ctx[WriteTx],
    space_id: Id,
    name: str,
    *,
    run_id: Id | None,
    seconds: int | None = None,
    queues: Sequence[str] | None = None,
) -> Worker:
    """Notes a worker of ours that leased, renewed or finished; `queues` are names, unknown ones left out.

    The server's own worker serves every space: it is noted in the space of the run that it has.
    """
    known = store.find_worker(ctx.tx, space_id, name)
    ids: tuple[Id, ...] | None = None
    if queues is not None:
        found = (queue_store.queue_by_name(ctx.tx, space_id, queue) for queue in queues)
        ids = tuple(queue.id for queue in found if queue is not None)
    fresh = replace(_fresh(ctx, known, WorkerReport(name, run_id, ids)), space_id=space_id)
    return _save(ctx, known, fresh, max(seconds or 0, _seconds(known)))


def unregister_worker(ctx: Ctx[WriteTx], name: str) -> bool:
    """Forgets a worker; False where it was not known."""
    authorize(ctx, Permission.RUN_WRITE)
    return store.delete_worker(ctx.tx, ctx.actor.space_id, name)


def list_workers(
    ctx: Ctx[ReadTx], *, seen_seconds: int | None = None, alive: bool = True, names: Sequence[str] | None = None
) -> list[Worker]:
    """Workers by name: those still there, and with `seen_seconds` only those heard of so recently."""
    authorize(ctx, Permission.RUN_READ)
    seen: Any = None if seen_seconds is None else ctx.now - seen_seconds * 1_000_000
    return store.list_workers(
        ctx.tx, ctx.actor.space_id, alive_at=ctx.now if alive else None, seen_since=seen, names=names
    )


FORGET_US = 30 * 24 * 3600 * 1_000_000
"""How long a worker that is gone stays known: reports of a month may name it."""


def forget_workers(ctx: Ctx[WriteTx]) -> int:
    """Drops workers that have been gone for a month, in every space; for the server itself."""
    if ctx.actor.user_id != SYSTEM.user_id:
        raise Forbidden("only the server itself does this")
    return store.forget_workers(ctx.tx, ctx.now - FORGET_US)
