"""Moving tasks through their states, into queues and out of them, one at a time and many at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from quintet.app.queues import entries
from quintet.app.queues.entries import Enqueue
from quintet.app.runs import state
from quintet.app.work.workers import list_workers
from quintet.dialects.clearml import ids
from quintet.dialects.clearml.binder import endpoint
from quintet.dialects.clearml.enums import state_of, status_of
from quintet.dialects.clearml.envelope import stamp
from quintet.dialects.clearml.errors import row_of
from quintet.dialects.kit.call import Call
from quintet.domain.errors import Internal, NotFound, QuintetError
from quintet.domain.ids import Id, Kind
from quintet.domain.runs import Run


class Change(msgspec.Struct):
    task: str
    status_reason: str | None = None
    status_message: str | None = None
    force: bool | None = None
    publish: bool | None = None
    publish_model: bool | None = None

    def words(self) -> dict[str, Any]:
        """What comes with a change of state."""
        return {
            "reason": self.status_reason or "",
            "message": self.status_message or "",
            "force": bool(self.force),
        }


def changed(run: Run) -> dict[str, Any]:
    """How a change of state is answered."""
    fields: dict[str, Any] = {
        "status": status_of(run.state),
        "status_reason": run.status_reason,
        "status_message": run.status_message,
        "status_changed": stamp(run.status_changed_at),
        "last_update": stamp(run.updated_at),
        "last_change": stamp(run.changed_at),
    }
    for name, at in (("started", run.started_at), ("completed", run.ended_at), ("published", run.published_at)):
        fields[name] = stamp(at)
    return {"updated": 1, "fields": fields}


def _id(body: Change) -> Id:
    return ids.parse(body.task, Kind.RUN)


@endpoint("tasks.started", body=Change)
async def started(call: Call) -> dict[str, Any]:
    run = await call.write(state.start_run, _id(call.body), **call.body.words())
    return {**changed(run), "started": int(run.started_at == run.status_changed_at)}


@endpoint("tasks.stopped", body=Change)
async def stopped(call: Call) -> dict[str, Any]:
    return changed(await call.write(state.stop_run, _id(call.body), **call.body.words()))


@endpoint("tasks.failed", body=Change)
async def failed(call: Call) -> dict[str, Any]:
    return changed(await call.write(state.fail_run, _id(call.body), **call.body.words()))


@endpoint("tasks.completed", body=Change)
async def completed(call: Call) -> dict[str, Any]:
    publish = bool(call.body.publish)
    run = await call.write(state.complete_run, _id(call.body), **call.body.words(), publish=publish)
    return {**changed(run), "published": 1} if publish else changed(run)


@endpoint("tasks.close", body=Change)
async def close(call: Call) -> dict[str, Any]:
    return changed(await call.write(state.close_run, _id(call.body), **call.body.words()))


@endpoint("tasks.stop", body=Change)
async def stop(call: Call) -> dict[str, Any]:
    return changed(await call.write(state.request_stop, _id(call.body), **call.body.words()))


@endpoint("tasks.publish", body=Change)
async def publish(call: Call) -> dict[str, Any]:
    publish_model = call.body.publish_model is not False
    done = await call.write(state.publish_run, _id(call.body), **call.body.words(), publish_model=publish_model)
    return changed(done.run)


# -- queues -------------------------------------------------------------------------------------------------------


class EnqueueTask(msgspec.Struct):
    task: str
    queue: str | None = None
    queue_name: str | None = None
    status_reason: str | None = None
    status_message: str | None = None
    verify_watched_queue: bool | None = None
    force: bool | None = None


@endpoint("tasks.enqueue", body=EnqueueTask)
async def enqueue(call: Call) -> dict[str, Any]:
    """Into a queue by id, or by name (made if missing), or the default one."""
    body: EnqueueTask = call.body
    command = Enqueue(
        run_id=ids.parse(body.task, Kind.RUN),
        queue=body.queue or body.queue_name,
        create=not body.queue and bool(body.queue_name),
        force=bool(body.force),
        reason=body.status_reason or "",
        message=body.status_message or "",
    )
    done = await call.write(entries.enqueue_run, command)
    out = changed(done.run)
    out["fields"]["execution.queue"] = ids.queue_id(done.queue.id)
    out["queued"] = 1
    if body.verify_watched_queue:
        out["queue_watched"] = any(done.queue.id in w.queues for w in await call.read(list_workers))
    return out


class DequeueTask(msgspec.Struct):
    task: str
    new_status: str | None = None
    status_reason: str | None = None
    status_message: str | None = None


@endpoint("tasks.dequeue", body=DequeueTask)
async def dequeue(call: Call) -> dict[str, Any]:
    body: DequeueTask = call.body
    to = None if body.new_status is None else state_of(body.new_status, "new_status")
    try:
        done = await call.write(
            entries.dequeue_run, ids.parse(body.task, Kind.RUN), to=to, reason=body.status_reason or "",
            message=body.status_message or "",
        )  # fmt: skip
    except NotFound:
        # A task that was deleted while it waited is out of its queue already, which is all that was asked for.
        return {"dequeued": 0, "updated": 0}
    return {"dequeued": 1, **(changed(done.run) if done.was_queued else {"updated": 0})}


# -- many at once -------------------------------------------------------------------------------------------------


class Many(msgspec.Struct):
    ids: list[str]
    status_reason: str | None = None
    status_message: str | None = None
    force: bool | None = None
    publish_model: bool | None = None


async def each(
    call: Call, texts: list[str], kind: Kind, act: Callable[[Id], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    """Does one thing to many, each in its own transaction; what fails is told beside what worked."""
    succeeded: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    for text in dict.fromkeys(texts):
        try:
            succeeded.append({"id": text, **await act(ids.parse(text, kind))})
        except QuintetError as error:
            if isinstance(error, Internal):
                raise
            row = row_of(error, call.request.state.rpc.name)
            told = {"codes": [row.code, row.subcode], "msg": f"{row.text} ({error.message})", "data": error.data}
            refused.append({"id": text, "error": told})
    return {"succeeded": succeeded, "failed": refused}


@endpoint("tasks.archive_many", body=Many)
async def archive_many(call: Call) -> dict[str, Any]:
    body: Many = call.body

    async def act(run_id: Id) -> dict[str, Any]:
        await call.write(
            state.archive_run, run_id, reason=body.status_reason or "", message=body.status_message or ""
        )
        return {"archived": True}

    return await each(call, body.ids, Kind.RUN, act)


@endpoint("tasks.unarchive_many", body=Many)
async def unarchive_many(call: Call) -> dict[str, Any]:
    body: Many = call.body

    async def act(run_id: Id) -> dict[str, Any]:
        await call.write(
            state.unarchive_run, run_id, reason=body.status_reason or "", message=body.status_message or ""
        )
        return {"unarchived": True}

    return await each(call, body.ids, Kind.RUN, act)


class Archive(msgspec.Struct):
    tasks: list[str]
    status_reason: str | None = None
    status_message: str | None = None


@endpoint("tasks.archive", body=Archive)
async def archive(call: Call) -> dict[str, Any]:
    """Archives all of the tasks, in turn; the first that cannot be is the answer."""
    wanted = [ids.parse(text, Kind.RUN) for text in call.body.tasks]
    for run_id in wanted:
        await call.write(
            state.archive_run, run_id, reason=call.body.status_reason or "", message=call.body.status_message or ""
        )
    return {"archived": len(wanted)}


@endpoint("tasks.stop_many", body=Many)
async def stop_many(call: Call) -> dict[str, Any]:
    body: Many = call.body

    async def act(run_id: Id) -> dict[str, Any]:
        run = await call.write(
            state.request_stop, run_id, reason=body.status_reason or "", message=body.status_message or "",
            force=bool(body.force),
        )  # fmt: skip
        return changed(run)

    return await each(call, body.ids, Kind.RUN, act)
