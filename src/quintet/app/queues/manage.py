"""Make, find, change and delete queues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from quintet.app.authz import authorize
from quintet.app.context import Ctx, Effect
from quintet.app.runs.edit import CHECKS
from quintet.app.runs.state import move
from quintet.domain.errors import Conflict, Invalid, NotFound, Precondition
from quintet.domain.identity import Permission
from quintet.domain.ids import Id, Kind, from_hex32, from_uuid, new_id, parse_id
from quintet.domain.projects import check_name
from quintet.domain.runs import JsonObject, Queue, RunState
from quintet.storage import queues as store
from quintet.storage import runs as run_store
from quintet.storage.queues import QueueFilter
from quintet.storage.tx import ReadTx, WriteTx

__all__ = ["CreateQueue", "QueueFilter", "create_queue", "default_queue", "delete_queue", "find_queue", "list_queues"]

DEFAULT_QUEUE = "default"
"""The name and the system tag of the queue that each space has."""

_OBJECTS = ("metadata",)
EDITABLE = frozenset({"name", "tags", "system_tags", "metadata"})


@dataclass(frozen=True, slots=True)
class CreateQueue:
    name: str
    tags: tuple[str, ...] = ()
    system_tags: tuple[str, ...] = ()
    metadata: JsonObject = field(default_factory=dict)


def create_queue(ctx: Ctx[WriteTx], cmd: CreateQueue) -> Queue:
    """A new, empty queue; Conflict where the name is taken in the space."""
    authorize(ctx, Permission.QUEUE_WRITE)
    if DEFAULT_QUEUE in cmd.system_tags:
        raise Conflict("a space has one default queue", field="system_tags")
    return _insert(ctx, cmd)


def _insert(ctx: Ctx[WriteTx], cmd: CreateQueue) -> Queue:
    name = check_name(cmd.name)
    if store.queue_by_name(ctx.tx, ctx.actor.space_id, name) is not None:
        raise Conflict(f"a queue named '{name}' is there already", field="name")
    queue = Queue(new_id(), ctx.actor.space_id, name, ctx.now, cmd.tags, cmd.system_tags, cmd.metadata)
    store.insert_queue(ctx.tx, queue)
    return queue


def default_queue(ctx: Ctx[WriteTx]) -> Queue:
    """The queue of the space that runs go to when nothing else is said; made where it is missing."""
    authorize(ctx, Permission.RUN_READ)
    found = store.default_queue(ctx.tx, ctx.actor.space_id)
    if found is not None:
        return found
    named = store.queue_by_name(ctx.tx, ctx.actor.space_id, DEFAULT_QUEUE)
    if named is not None:
        tagged = replace(named, system_tags=(*named.system_tags, DEFAULT_QUEUE))
        store.save_queue(ctx.tx, tagged)
        return tagged
    return _insert(ctx, CreateQueue(DEFAULT_QUEUE, system_tags=(DEFAULT_QUEUE,)))


def find_queue(ctx: Ctx[ReadTx], ref: str) -> Queue:
    """A queue by its id in any dialect's spelling, or by name; NotFound otherwise."""
    authorize(ctx, Permission.RUN_READ)
    space = ctx.actor.space_id
    for ident in (parse_id(ref), from_hex32(ref, Kind.QUEUE), from_uuid(ref, Kind.QUEUE)):
        if ident is not None and (found := store.find_queue(ctx.tx, space, ident)) is not None:
            return found
    found = store.queue_by_name(ctx.tx, space, ref)
    if found is None:
        raise NotFound.of("queue", ref)
    return found


def get_queues(ctx: Ctx[ReadTx], ids: Sequence[Id]) -> dict[Id, Queue]:
    """Queues of the space by id; those that are not there are missing from the answer."""
    authorize(ctx, Permission.RUN_READ)
    return store.get_queues(ctx.tx, ctx.actor.space_id, ids)


def list_queues(ctx: Ctx[ReadTx], wanted: QueueFilter | None = None) -> list[Queue]:
    """Matching queues in the order of their making."""
    authorize(ctx, Permission.RUN_READ)
    return store.list_queues(ctx.tx, ctx.actor.space_id, wanted or QueueFilter())


def edit_queue(ctx: Ctx[WriteTx], ref: str, changes: Mapping[str, Any]) -> Queue:
    """Replaces the given fields; Conflict where a new name is taken."""
    authorize(ctx, Permission.QUEUE_WRITE)
    queue = find_queue(ctx, ref)
    for name, value in changes.items():
        if name not in EDITABLE:
            raise Invalid(f"a queue has no field '{name}' to change", field=name)
        CHECKS["args" if name in _OBJECTS else name](name, value)
    fresh = dict(changes)
    if "name" in fresh:
        fresh["name"] = check_name(fresh["name"])
        other = store.queue_by_name(ctx.tx, queue.space_id, fresh["name"])
        if other is not None and other.id != queue.id:
            raise Conflict(f"a queue named '{fresh['name']}' is there already", field="name")
    for name in ("tags", "system_tags"):
        if name in fresh:
            fresh[name] = tuple(dict.fromkeys(fresh[name]))
    changed = replace(queue, **fresh)
    store.save_queue(ctx.tx, changed)
    return changed


def edit_queue_metadata(
    ctx: Ctx[WriteTx],
    ref: str,
    changes: Mapping[str, Any],
    *,
    remove: Sequence[str] = (),
    replace_all: bool = False,
) -> Queue:
    """Sets and removes single metadata entries, or with `replace_all` all of them at once."""
    queue = find_queue(ctx, ref)
    kept = {} if replace_all else {k: v for k, v in queue.metadata.items() if k not in remove}
    return edit_queue(ctx, queue.id, {"metadata": {**kept, **changes}})


class DeletedQueue(NamedTuple):
    """A queue that is gone, and how many runs waited in it."""

    queue: Queue
    restored: int


def delete_queue(ctx: Ctx[WriteTx], ref: str, *, force: bool = False) -> DeletedQueue:
    """Deletes a queue; Precondition for the default one, and for one that is not empty unless forced.

    Runs that waited in it go back to the state they were in before.
    """
    authorize(ctx, Permission.QUEUE_WRITE)
    queue = find_queue(ctx, ref)
    if DEFAULT_QUEUE in queue.system_tags:
        raise Precondition("the default queue cannot be deleted", field="queue", default=True)
    waiting = store.count_entries(ctx.tx, [queue.id])[queue.id]
    if waiting and not force:
        raise Precondition("the queue is not empty", field="queue", waiting=waiting)
    restored = empty_queue(ctx, queue)
    store.delete_queue(ctx.tx, queue.id)
    return DeletedQueue(queue, restored)


def clear_queue(ctx: Ctx[WriteTx], ref: str) -> int:
    """Takes everything out of a queue; runs go back to the state they were in before. How many there were."""
    authorize(ctx, Permission.QUEUE_WRITE)
    return empty_queue(ctx, find_queue(ctx, ref))


def empty_queue(ctx: Ctx[WriteTx], queue: Queue) -> int:
    """Gives all runs of the queue back to the state they were in before; how many there were."""
    entries = sorted(store.entries_of(ctx.tx, queue.id), key=lambda e: e.run_id)
    # Many rows are held here, so each kind at once and in the order in which single runs hold them: runs,
    # projects, the queue. Otherwise two transactions would wait for each other in a ring.
    held = [(entry, run_store.lock_run(ctx.tx, entry.run_id)) for entry in entries]
    for project_id in sorted({run.project_id for _, run in held if run is not None and run.project_id is not None}):
        run_store.touch_project(ctx.tx, project_id, ctx.now)
    store.lock_queue(ctx.tx, queue.id)
    for entry, run in held:
        if run is not None and run.state is RunState.QUEUED:
            move(ctx, run, entry.previous_state, reason="queue cleared", force=True, queue_id=None)
        store.remove_entry(ctx.tx, entry.run_id)
    ctx.after_commit(Effect("queue", queue.id))
    return len(entries)
