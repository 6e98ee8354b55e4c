"""Jobs: the runs of a project, whoever started them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from quintet.app.compute.catalog import hardware_of
from quintet.app.events.read import read_log
from quintet.app.projects.collaboration import view_project
from quintet.app.runs.numbered import find_numbered, list_numbered, submit_numbered, tag_run, untag_run
from quintet.app.runs.read import RunFilter, RunOrder, find_run
from quintet.app.runs.views import Order, RunView
from quintet.dialects.domino.binder import binder
from quintet.dialects.domino.envelope import Body, chosen, enveloped, metadata, own_id, paged, wanted_page
from quintet.dialects.domino.jobs_convert import (
    STATUS,
    command_of,
    job_details,
    job_shown,
    log_shown,
    log_type,
    new_run,
    tag_id,
    tag_shown,
)
from quintet.dialects.domino.projects import done
from quintet.dialects.kit.call import Call
from quintet.domain.errors import Invalid, NotFound
from quintet.domain.runs import ENDED, Run, RunState

_ENDED = tuple(ENDED)
_ACTIVE = (RunState.CREATED, RunState.QUEUED, RunState.RUNNING)
STATES: dict[str, tuple[RunState, ...] | None] = {
    "all": None,
    "queued": (RunState.CREATED, RunState.QUEUED),
    "running": (RunState.RUNNING,),
    "completed": _ENDED,
    "archived": None,
    "active": _ACTIVE,
}


def _duration(view: RunView) -> int | None:
    run = view.run
    return None if run.started_at is None else (run.ended_at or run.updated_at) - run.started_at


SORTS: dict[str, RunOrder | Order] = {
    "number": RunOrder.CREATED,
    "title": RunOrder.NAME,
    "command": Order(lambda view: command_of(view.run)),
    "startedTime": RunOrder.STARTED,
    "duration": Order(_duration),
    "status": Order(lambda view: STATUS[view.run.state]),
    "user": Order(lambda view: view.run.created_by),
    "commentCount": Order(lambda view: bool(view.run.comment)),
}
LOG_TYPES: dict[str, str] = {name: name for name in ("stdOut", "stdErr", "prepareOutput", "complete")}
MAX_LINES = 10_000


@binder.op("GET /api/jobs/beta/jobs")
async def list_all(call: Call) -> object:
    query, page = call.query, wanted_page(call)
    project = own_id(query["projectId"], "project")
    status = chosen(query.get("statusFilter") or "all", {n: n for n in STATES}, "statusFilter")
    order = chosen(query.get("sortBy") or "number", SORTS, "sortBy")
    descending = not query.get("ascending")
    if isinstance(order, Order):
        order = replace(order, descending=descending)
    archived = status == "archived"
    hidden = () if archived or query.get("showArchived") else ("archived",)
    tag = query.get("tagFilter")
    wanted = RunFilter(
        states=STATES[status], tags_all=(tag,) if tag else (), system_tags_none=hidden,
        system_tags_all=("archived",) if archived else (),
    )  # fmt: skip
    found, total = await call.read(list_numbered, project, wanted, page, order, descending=descending)
    return paged(call, "jobs", [job_shown(item) for item in found], total, page)


@binder.op("GET /api/jobs/beta/jobs/{jobId}")
async def get(call: Call) -> object:
    return enveloped(call, job=job_details(await call.read(find_numbered, call.path["jobId"])))


class NewJob(Body):
    """What this server has no use for (cluster, volumes, revision) is taken and left aside."""

    project_id: str
    run_command: str
    title: str | None = None
    hardware_tier: str | None = None
    environment_id: str | None = None
    commit_id: str | None = None
    main_repo_git_ref: dict[str, Any] | None = None


@binder.op("POST /api/jobs/v1/jobs", body=NewJob)
async def start(call: Call) -> object:
    body: NewJob = call.body
    project = (await call.read(view_project, own_id(body.project_id, "project"))).project
    kept = {
        "commitId": body.commit_id, "environmentId": body.environment_id, "mainRepoGitRef": body.main_repo_git_ref,
        "hardwareTier": body.hardware_tier,
    }  # fmt: skip
    cmd = new_run(body.run_command, body.title, {name: value for name, value in kept.items() if value is not None})
    runtime = {}
    if body.hardware_tier:
        runtime = {"hardware": await call.read(hardware_of, body.hardware_tier)}
    made = await call.write(submit_numbered, replace(cmd, project_id=project.id, runtime=runtime))
    return enveloped(call, job=job_details(made))


@binder.op("GET /api/jobs/beta/jobs/{jobId}/logs")
async def logs(call: Call) -> object:
    """Lines after `latestTimeNano`, the oldest first; the answer says which time to go on after."""
    run = await call.read(find_run, call.path["jobId"])
    wanted = chosen(call.query.get("logType") or "complete", LOG_TYPES, "logType")
    limit = call.query.get("limit")
    limit = MAX_LINES if limit is None else limit
    if not 1 <= limit <= MAX_LINES:
        raise Invalid(f"expected 1 to {MAX_LINES}", field="limit")
    since = _nanoseconds(call.query.get("latestTimeNano"))
    page = await call.read(read_log, run.id, limit=limit, beyond=since, earlier=False)
    lines = [x for x in page.lines if wanted in ("complete", log_type(x))]
    latest = page.lines[-1].ts if page.lines else since or 0
    pagination = {"latestTimeNano": str(latest * 1_000), "limit": limit}
    content = {
        "logContent": log_shown(lines),
        "isComplete": run.state in ENDED and not page.more,
        "problem": run.error,
        "helpLink": None,
    }
    return {"logs": content, "metadata": metadata(call, pagination)}


def _nanoseconds(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise Invalid("expected nanoseconds since the epoch", field="latestTimeNano")
    return int(text) // 1_000


class NewTag(Body):
    tag_name: str
    project_id: str | None = None


@binder.op("POST /api/jobs/v1/jobs/{jobId}/tags", body=NewTag)
async def add_tag(call: Call) -> object:
    body: NewTag = call.body
    run = await _of_project(call, body.project_id)
    changed = await call.write(tag_run, run.id, body.tag_name)
    return enveloped(call, tag=tag_shown(changed, changed.tags[-1]))


@binder.op("DELETE /api/jobs/v1/jobs/{jobId}/tags/{tagId}")
async def drop_tag(call: Call) -> object:
    run = await _of_project(call, call.query.get("projectId"))
    name = next((tag for tag in run.tags if tag_id(tag) == call.path["tagId"]), None)
    if name is None:
        raise NotFound.of("tag", call.path["tagId"])
    await call.write(untag_run, run.id, name)
    return done(call)


async def _of_project(call: Call, project: str | None) -> Run:
    """The job of the path, which must be of the project where one is named."""
    run = await call.read(find_run, call.path["jobId"])
    if project and run.project_id != own_id(project, "project"):
        raise NotFound.of("job", call.path["jobId"])
    return run
