"""Into a queue, out of it, and up and down in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple, assert_never

from quintet.app.authz import authorize
from quintet.app.context import Ctx, Effect
from quintet.app.queues.manage import CreateQueue, QueueFilter, create_queue, default_queue, find_queue, list_queues
from quintet.app.runs.create import CreateRun, create_run
from quintet.app.runs.read import get_run, locked_run
from quintet.app.runs.state import move
from quintet.domain.errors import Conflict, NotFound, Precondition
from quintet.domain.identity import Permission
from quintet.domain.ids import Id
from quintet.domain.runs import Queue, QueueEntry, Run, RunState
from quintet.storage import queues as store
from quintet.storage import runs as run_store
from quintet.storage.tx import ReadTx, WriteTx

UNFORCED = frozenset({RunState.CREATED, RunState.STOPPED, RunState.FAILED, RunState.QUEUED})
"""States from which a run is enqueued without force: nobody works on it and it is not finished."""


@dataclass(frozen=True, slots=True)
class Enqueue:
    """Which run into which queue: an id or a name, None the default one. `create` makes a missing name."""

    run_id: Id
    queue: str | None = None
    create: bool = False
    front: bool = False
    force: bool = False
    reason: str = ""
    message: str = ""


class Enqueued(NamedTuple):
    run: Run
    queue: Queue
    entry: QueueEntry


def enqueue_run(ctx: Ctx[WriteTx], cmd: Enqueue) -> Enqueued:
    """Puts a run at the end of a queue (with `front` first) and out of any other.

    Conflict where it waits in that queue already; Precondition where its state needs `force`; NotFound for an
    unknown queue. Its attempts count anew.
    """
    run = locked_run(ctx, cmd.run_id)
    if run.state not in UNFORCED and not cmd.force:
        raise Precondition(
            f"a run that is {run.state} is enqueued only by force", field="status", current_status=str(run.state),
            new_status=str(RunState.QUEUED),
        )  # fmt: skip
    queue = _target(ctx, cmd)
    entry = store.entry_of(ctx.tx, run.id)
    if entry is not None and entry.queue_id == queue.id:
        raise Conflict("the run waits in this queue already", field="queue", queued=True)
    previous = entry.previous_state if entry is not None else run.state
    queued = move(
        ctx, run, RunState.QUEUED, reason=cmd.reason, message=cmd.message, force=cmd.force, queue_id=queue.id,
        attempt=0, stop_requested=False,
    )  # fmt: skip
    return Enqueued(queued, queue, put_entry(ctx, queued, queue.id, previous, front=cmd.front))


def put_entry(ctx: Ctx[WriteTx], run: Run, queue_id: Id, previous: RunState, *, front: bool) -> QueueEntry:
    """Adds the entry of a run that is held, and wakes whoever waits for work."""
    if not store.lock_queue(ctx.tx, queue_id):
        raise NotFound.of("queue", queue_id)
    entry = store.add_entry(ctx.tx, queue_id, run.id, previous, ctx.now, front=front)
    ctx.after_commit(Effect("queue", queue_id, {"space_id": run.space_id}))
    return entry


def _target(ctx: Ctx[WriteTx], cmd: Enqueue) -> Queue:
    if cmd.queue is None:
        return default_queue(ctx)
    try:
        return find_queue(ctx, cmd.queue)
    except NotFound:
        if cmd.queue == "default":
            return default_queue(ctx)
        if not cmd.create:
            raise
        return create_queue(ctx, CreateQueue(cmd.queue))


def submit_run(ctx: Ctx[WriteTx], cmd: CreateRun, queue: str | None = None) -> Run:
    """Makes a run and puts it into a queue (the default one), in one transaction."""
    run = create_run(ctx, cmd)
    return enqueue_run(ctx, Enqueue(run.id, queue)).run


class Dequeued(NamedTuple):
    """The run, and whether it had been waiting."""

    run: Run
    was_queued: bool


def dequeue_run(
    ctx: Ctx[WriteTx], run_id: Id, *, to: RunState | None = None, reason: str = "", message: str = ""
) -> Dequeued:
    """Takes a run out of its queue, into the state `to` or the one it was in before it waited.

    A run that is not QUEUED stays as it is.
    """
    run = locked_run(ctx, run_id)
    entry = store.entry_of(ctx.tx, run.id)
    if run.state is not RunState.QUEUED:
        store.remove_entry(ctx.tx, run.id)
        return Dequeued(run, False)
    back = to or (entry.previous_state if entry is not None else RunState.CREATED)
    moved = move(ctx, run, back, reason=reason, message=message, force=to is None, queue_id=None)
    if entry is not None:
        ctx.after_commit(Effect("queue", entry.queue_id))
    return Dequeued(moved, True)


def remove_entry(ctx: Ctx[WriteTx], queue_ref: str, run_id: Id, *, restore: bool = False) -> QueueEntry:
    """Takes a run out of a queue and leaves its state alone, unless `restore`; NotFound where it is not in it."""
    authorize(ctx, Permission.RUN_WRITE)
    queue = find_queue(ctx, queue_ref)
    run = run_store.lock_run(ctx.tx, run_id)
    entry = _entry(ctx, queue, run_id)
    if restore and run is not None and run.state is RunState.QUEUED:
        move(ctx, run, entry.previous_state, force=True, queue_id=None)
    store.remove_entry(ctx.tx, run_id)
    ctx.after_commit(Effect("queue", queue.id))
    return entry


def add_entry(ctx: Ctx[WriteTx], queue_ref: str, run_id: Id) -> QueueEntry:
    """Puts a run at the end of a queue without touching its state; Conflict where it is in it already."""
    run = locked_run(ctx, run_id)
    queue = find_queue(ctx, queue_ref)
    entry = store.entry_of(ctx.tx, run.id)
    if entry is not None and entry.queue_id == queue.id:
        raise Conflict("the run waits in this queue already", field="queue", queued=True)
    return put_entry(ctx, run, queue.id, run.state, front=False)


# -- order ------------------------------------------------------------------------------------------------------


class Direction(StrEnum):
    FRONT = "front"
    BACK = "back"
    FORWARD = "forward"
    BACKWARD = "backward"


def move_entry(ctx: Ctx[WriteTx], queue_ref: str, run_id: Id, direction: Direction, count: int = 1) -> int:
    """Moves a run in its queue, `count` places for FORWARD (sooner) and BACKWARD; its new place from 0.

    Moves past an end stop there. NotFound where the run is not in the queue.
    """
    authorize(ctx, Permission.QUEUE_WRITE)
    queue = find_queue(ctx, queue_ref)
    store.lock_queue(ctx.tx, queue.id)
    entry = _entry(ctx, queue, run_id)
    match direction:
        case Direction.FRONT:
            place = store.move_to_end(ctx.tx, entry, front=True)
        case Direction.BACK:
            place = store.move_to_end(ctx.tx, entry, front=False)
        case Direction.FORWARD:
            place = store.move_entry(ctx.tx, entry, store.place_of(ctx.tx, entry) - max(count, 0))
        case Direction.BACKWARD:
            place = store.move_entry(ctx.tx, entry, store.place_of(ctx.tx, entry) + max(count, 0))
        case unreachable:
            assert_never(unreachable)
    if place is None:
        raise _not_waiting(run_id)
    return place


def _not_waiting(run_id: Id) -> NotFound:
    return NotFound(f"run '{run_id}' is not in this queue", field="run", kind="queue entry", id=run_id)


def _entry(ctx: Ctx[ReadTx], queue: Queue, run_id: Id) -> QueueEntry:
    entry = store.entry_of(ctx.tx, run_id)
    if entry is None or entry.queue_id != queue.id:
        raise _not_waiting(run_id)
    return entry


# -- looking and taking -----------------------------------------------------------------------------------------


def entries_of(ctx: Ctx[ReadTx], queue_ref: str, limit: int | None = None, offset: int = 0) -> list[QueueEntry]:
    """What waits in a queue, the next one first."""
    return store.entries_of(ctx.tx, find_queue(ctx, queue_ref).id, limit, offset)


def entry_of(ctx: Ctx[ReadTx], run_id: Id) -> QueueEntry | None:
    """Where a run waits, if it does."""
    return store.entry_of(ctx.tx, get_run(ctx, run_id).id)


def count_entries(ctx: Ctx[ReadTx], queue_ids: list[Id]) -> dict[Id, int]:
    """How many runs wait in each of the space's queues among these."""
    authorize(ctx, Permission.RUN_READ)
    return store.count_entries(ctx.tx, list(store.get_queues(ctx.tx, ctx.actor.space_id, queue_ids)))


def peek(ctx: Ctx[ReadTx], queue_ref: str) -> QueueEntry | None:
    """The entry that would be taken next; None for an empty queue."""
    found = entries_of(ctx, queue_ref, 1)
    return found[0] if found else None


def next_run(ctx: Ctx[WriteTx], queue_ref: str, only: Id | None = None) -> QueueEntry | None:
    """Takes the first run that a `clearml-agent` can execute (one without a recipe) out of the queue.

    With `only`, takes nothing unless that run is first. The run stays QUEUED until the agent starts it; one
    that was stopped while it waited is QUEUED again, because now it will run. Each run is given out once.
    """
    authorize(ctx, Permission.RUN_WRITE)
    queue = find_queue(ctx, queue_ref)
    states = (RunState.QUEUED, RunState.STOPPED, RunState.CREATED)
    entry = store.hold_first(ctx.tx, queue.id, with_recipe=False, states=states, only=only)
    if entry is None:
        return None
    run = run_store.lock_run(ctx.tx, entry.run_id)
    if run is not None and run.state is RunState.STOPPED:
        move(ctx, run, RunState.QUEUED, queue_id=queue.id)
    elif run is not None:
        run_store.save_run(ctx.tx, run, replace(run, updated_at=ctx.now))
    store.remove_entry(ctx.tx, entry.run_id)
    return entry


class QueueView(NamedTuple):
    """A queue with what waits in it, the next one first."""

    queue: Queue
    entries: list[QueueEntry]


def queue_with_entries(ctx: Ctx[ReadTx], queue_ref: str, limit: int | None = None) -> QueueView:
    """A queue and its first `limit` entries; NotFound where there is none."""
    queue = find_queue(ctx, queue_ref)
    return QueueView(queue, store.entries_of(ctx.tx, queue.id, limit))


def queues_with_entries(
    ctx: Ctx[ReadTx], wanted: QueueFilter | None = None, limit: int | None = None, *, entries: bool = True
) -> list[QueueView]:
    """Matching queues, with `entries` also the first `limit` of what waits in each."""
    found = list_queues(ctx, wanted)
    return [QueueView(q, store.entries_of(ctx.tx, q.id, limit) if entries else []) for q in found]
