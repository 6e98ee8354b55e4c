"""Workers: agents register, report what they do, and are listed."""

from __future__ import annotations

import fnmatch
from typing import Any

import msgspec

from quintet.app.work import views, workers
from quintet.app.work.views import WorkerView
from quintet.app.work.workers import DEFAULT_SECONDS, WorkerReport
from quintet.dialects.clearml import ids
from quintet.dialects.clearml.binder import endpoint
from quintet.dialects.clearml.envelope import stamp
from quintet.dialects.clearml.rules import list_rule
from quintet.dialects.kit.call import Call
from quintet.domain.errors import Invalid
from quintet.domain.ids import Id, Kind
from quintet.domain.runs import JsonObject

LAST_SEEN = 3_600
"""Seconds within which a listed worker was heard of, where nothing else is asked for."""


class Register(msgspec.Struct):
    worker: str
    timeout: int | None = None
    queues: list[str] | None = None
    tags: list[str] | None = None


def _queues(texts: list[str] | None) -> tuple[Id, ...] | None:
    return None if texts is None else tuple(ids.parse(text, Kind.QUEUE, "queues") for text in texts)


def _ip(call: Call) -> str:
    return call.request.client.host if call.request.client is not None else ""


@endpoint("workers.register", body=Register)
async def register(call: Call) -> dict[str, Any]:
    body: Register = call.body
    report = WorkerReport(
        body.worker, queues=_queues(body.queues), tags=None if body.tags is None else tuple(body.tags), ip=_ip(call)
    )
    await call.write(workers.register_worker, report, body.timeout or DEFAULT_SECONDS)
    return {}


class WorkerName(msgspec.Struct):
    worker: str


@endpoint("workers.unregister", body=WorkerName)
async def unregister(call: Call) -> dict[str, Any]:
    await call.write(workers.unregister_worker, call.body.worker)
    return {}


class StatusReport(msgspec.Struct):
    worker: str
    timestamp: int | float
    task: str | None = None
    queue: str | None = None
    queues: list[str] | None = None
    machine_stats: dict[str, Any] | None = None
    tags: list[str] | None = None


@endpoint("workers.status_report", body=StatusReport)
async def status_report(call: Call) -> dict[str, Any]:
    body: StatusReport = call.body
    report = WorkerReport(
        name=body.worker,
        run_id=ids.parse_optional(body.task, Kind.RUN),
        queues=_queues(body.queues),
        tags=None if body.tags is None else tuple(body.tags),
        stats=body.machine_stats,
        ip=_ip(call),
    )
    await call.write(workers.report_worker, report)
    return {}


@endpoint("workers.get_all")
async def get_all(call: Call) -> dict[str, Any]:
    return {"workers": [_document(view) for view in await _listed(call)]}


@endpoint("workers.get_count")
async def get_count(call: Call) -> dict[str, int]:
    return {"count": len(await _listed(call))}


async def _listed(call: Call) -> list[WorkerView]:
    body = call.body
    seconds = body.get("last_seen", LAST_SEEN)
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float)):
        raise Invalid("expected a number of seconds", field="last_seen")
    seen = None if not seconds else int(seconds)
    found = await call.read(views.worker_views, seen_seconds=seen)
    if body.get("tags"):
        rule = list_rule(body["tags"], "tags")
        found = [v for v in found if rule.matches(list(v.worker.tags))]
    pattern = body.get("worker_pattern")
    if pattern:
        found = [v for v in found if fnmatch.fnmatchcase(v.worker.name, str(pattern))]
    return found


def _document(view: WorkerView) -> JsonObject:
    worker = view.worker
    out: JsonObject = {
        "id": worker.name,
        "key": f"worker_{ids.company_id(worker.space_id)}_{ids.user_id(worker.user_id)}_{worker.name}",
        "user": {"id": ids.user_id(worker.user_id), "name": view.user_name},
        "company": {"id": ids.company_id(worker.space_id), "name": "quintet"},
        "ip": worker.ip,
        "tags": list(worker.tags),
        "system_tags": [],
        "register_time": stamp(worker.registered_at),
        "last_activity_time": stamp(worker.last_seen_at),
        "last_report_time": stamp(worker.last_seen_at),
        "queues": [
            {"id": ids.queue_id(queue.id), "name": queue.name, "num_tasks": waiting}
            for queue, waiting in view.queues
        ],
    }
    run = view.run
    if run is not None:
        out["task"] = {"id": ids.task_id(run.id), "name": run.name, "last_iteration": run.last_iteration}
        if run.started_at is not None:
            out["task"]["running_time"] = max(0, (worker.last_seen_at - run.started_at) // 1_000)
        if view.project is not None:
            out["project"] = {"id": ids.project_id(view.project.id), "name": view.project.name}
        queue = next((q for q, _ in view.queues if q.id == run.queue_id), None)
        if queue is not None:
            out["queue"] = {"id": ids.queue_id(queue.id), "name": queue.name}
    return out
