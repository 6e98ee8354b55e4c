"""Queues: documents and endpoints."""

from __future__ import annotations

from typing import Any

import msgspec

from quintet.app.queues import entries, manage
from quintet.app.queues.entries import Direction
from quintet.app.queues.manage import CreateQueue, QueueFilter
from quintet.dialects.clearml import ids
from quintet.dialects.clearml.binder import endpoint
from quintet.dialects.clearml.envelope import stamp
from quintet.dialects.clearml.models_convert import MetadataItem, metadata_in
from quintet.dialects.clearml.queries import Noun, decode_query, finish
from quintet.dialects.clearml.tasks_write import name_of
from quintet.dialects.kit.call import Call
from quintet.domain.errors import Invalid, NotFound
from quintet.domain.ids import Id, Kind
from quintet.domain.runs import JsonObject, Queue, QueueEntry

FIELDS = frozenset(
    {"id", "name", "display_name", "company", "user", "created", "tags", "system_tags", "entries", "metadata",
     "workers", "last_update", "company_origin"}
)  # fmt: skip
QUEUES = Noun(
    fields=FIELDS,
    patterns=frozenset({"name"}),
    lists=frozenset({"id", "tags", "system_tags", "metadata.*"}),
)


def queue_document(queue: Queue, waiting: list[QueueEntry]) -> JsonObject:
    return {
        "id": ids.queue_id(queue.id),
        "name": queue.name,
        "company": ids.company_id(queue.space_id),
        "created": stamp(queue.created_at),
        "tags": list(queue.tags),
        "system_tags": list(queue.system_tags),
        "entries": [_entry(e) for e in waiting],
        "metadata": {k: {"key": k, **v} if isinstance(v, dict) else v for k, v in queue.metadata.items()},
    }


def _entry(entry: QueueEntry) -> JsonObject:
    return {"task": ids.task_id(entry.run_id), "added": stamp(entry.added_at)}


class QueueId(msgspec.Struct):
    queue: str
    max_task_entries: int | None = None


def _queue(text: str) -> Id:
    return ids.parse(text, Kind.QUEUE)


@endpoint("queues.get_by_id", body=QueueId)
async def get_by_id(call: Call) -> dict[str, Any]:
    found = await call.read(entries.queue_with_entries, _queue(call.body.queue), call.body.max_task_entries)
    return {"queue": queue_document(found.queue, found.entries)}


@endpoint("queues.get_all")
async def get_all(call: Call) -> dict[str, Any]:
    query = decode_query(call.body, QUEUES)
    texts = query.one_of("id")
    narrow = QueueFilter() if texts is None else QueueFilter(ids=ids.known(texts, Kind.QUEUE))
    most = call.body.get("max_task_entries")
    limit = most if isinstance(most, int) else None
    wants = query.projection.wants("entries")
    found = await call.read(entries.queues_with_entries, narrow, limit, entries=wants)
    if texts is None and not any(manage.DEFAULT_QUEUE in q.queue.system_tags for q in found):
        # Clients look for the default queue by its name and never ask for it to be made.
        await call.write(manage.default_queue)
        found = await call.read(entries.queues_with_entries, narrow, limit, entries=wants)
    return {"queues": finish(query, [queue_document(q.queue, q.entries) for q in found])}


@endpoint("queues.get_default")
async def get_default(call: Call) -> dict[str, str]:
    queue = await call.write(manage.default_queue)
    return {"id": ids.queue_id(queue.id), "name": queue.name}


class QueueFields(msgspec.Struct):
    queue: str | None = None
    name: str | None = None
    tags: list[str] | None = None
    system_tags: list[str] | None = None
    metadata: dict[str, Any] | None = None


@endpoint("queues.create", body=QueueFields)
async def create(call: Call) -> dict[str, str]:
    body: QueueFields = call.body
    if body.name is None:
        raise Invalid("this field is required", field="name")
    queue = await call.write(
        manage.create_queue,
        CreateQueue(name_of(body.name), tuple(body.tags or ()), tuple(body.system_tags or ()), body.metadata or {}),
    )
    return {"id": ids.queue_id(queue.id)}


@endpoint("queues.update", body=QueueFields)
async def update(call: Call) -> dict[str, Any]:
    body: QueueFields = call.body
    given = {n: v for n, v in msgspec.structs.asdict(body).items() if v is not None and n != "queue"}
    changes = dict(given)
    if body.name is not None:
        changes["name"] = name_of(body.name)
    await call.write(manage.edit_queue, _queue(body.queue or ""), changes)
    return {"updated": 1, "fields": given}


class DeleteQueue(msgspec.Struct):
    queue: str
    force: bool | None = None


@endpoint("queues.delete", body=DeleteQueue)
async def delete(call: Call) -> dict[str, int]:
    await call.write(manage.delete_queue, _queue(call.body.queue), force=bool(call.body.force))
    return {"deleted": 1}


@endpoint("queues.get_num_entries", body=QueueId)
async def get_num_entries(call: Call) -> dict[str, int]:
    queue_id = _queue(call.body.queue)
    counts = await call.read(entries.count_entries, [queue_id])
    if queue_id not in counts:
        raise NotFound.of("queue", call.body.queue)
    return {"num": counts[queue_id]}


# -- entries ------------------------------------------------------------------------------------------------------


class QueueTask(msgspec.Struct):
    queue: str
    task: str
    count: int | None = None
    update_task_status: bool | None = None


@endpoint("queues.add_task", body=QueueTask)
async def add_task(call: Call) -> dict[str, int]:
    await call.write(entries.add_entry, _queue(call.body.queue), ids.parse(call.body.task, Kind.RUN))
    return {"added": 1}


@endpoint("queues.remove_task", body=QueueTask)
async def remove_task(call: Call) -> dict[str, int]:
    await call.write(
        entries.remove_entry, _queue(call.body.queue), ids.parse(call.body.task, Kind.RUN),
        restore=bool(call.body.update_task_status),
    )  # fmt: skip
    return {"removed": 1}


class NextTask(msgspec.Struct):
    queue: str
    task: str | None = None
    get_task_info: bool | None = None


@endpoint("queues.get_next_task", body=NextTask)
async def get_next_task(call: Call) -> dict[str, Any]:
    """The task that an agent shall execute now; an empty answer where none waits."""
    body: NextTask = call.body
    only = ids.parse_optional(body.task, Kind.RUN)
    entry = await call.write(entries.next_run, _queue(body.queue), only)
    if entry is None:
        return {}
    return {"entry": _entry(entry)}


@endpoint("queues.peek_task", body=QueueId)
async def peek_task(call: Call) -> dict[str, Any]:
    entry = await call.read(entries.peek, _queue(call.body.queue))
    return {"task": None if entry is None else ids.task_id(entry.run_id)}


async def _move(call: Call, direction: Direction) -> dict[str, int]:
    body: QueueTask = call.body
    count = 1 if body.count is None else body.count
    place = await call.write(
        entries.move_entry, _queue(body.queue), ids.parse(body.task, Kind.RUN), direction, count
    )
    return {"position": place}


@endpoint("queues.move_task_to_front", body=QueueTask)
async def move_task_to_front(call: Call) -> dict[str, int]:
    return await _move(call, Direction.FRONT)


@endpoint("queues.move_task_to_back", body=QueueTask)
async def move_task_to_back(call: Call) -> dict[str, int]:
    return await _move(call, Direction.BACK)


@endpoint("queues.move_task_forward", body=QueueTask)
async def move_task_forward(call: Call) -> dict[str, int]:
    return await _move(call, Direction.FORWARD)


@endpoint("queues.move_task_backward", body=QueueTask)
async def move_task_backward(call: Call) -> dict[str, int]:
    return await _move(call, Direction.BACKWARD)


class Metadata(msgspec.Struct):
    queue: str
    metadata: list[MetadataItem]
    replace_metadata: bool | None = None


@endpoint("queues.add_or_update_metadata", body=Metadata)
async def add_or_update_metadata(call: Call) -> dict[str, int]:
    body: Metadata = call.body
    await call.write(
        manage.edit_queue_metadata, _queue(body.queue), metadata_in(body.metadata),
        replace_all=bool(body.replace_metadata),
    )  # fmt: skip
    return {"updated": 1}


class MetadataKeys(msgspec.Struct):
    queue: str
    keys: list[str]


@endpoint("queues.delete_metadata", body=MetadataKeys)
async def delete_metadata(call: Call) -> dict[str, int]:
    await call.write(manage.edit_queue_metadata, _queue(call.body.queue), {}, remove=call.body.keys)
    return {"updated": 1}
