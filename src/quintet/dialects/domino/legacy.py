"""Older routes that the Domino client still calls, over the same use cases as the documented ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from quintet.app.billing.policy import book_projects, tag_policy
from quintet.app.compute.catalog import hardware_of
from quintet.app.identity.accounts import list_members
from quintet.app.projects.collaboration import ProjectView, view_project, view_projects
from quintet.app.runs.numbered import NumberedRun, find_numbered, list_numbered, submit_numbered
from quintet.app.runs.read import RunFilter, find_run
from quintet.app.runs.state import request_stop
from quintet.dialects.domino.binder import binder
from quintet.dialects.domino.envelope import Body, chosen, cut, own_id
from quintet.dialects.domino.jobs import SORTS, STATES
from quintet.dialects.domino.jobs_convert import new_run, status_of
from quintet.dialects.domino.people import user_name, user_shown
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.query import parse_bool, parse_int
from quintet.domain.errors import Invalid, NotFound
from quintet.domain.page import MAX_PAGE, PageRequest
from quintet.domain.runs import RunState

JsonObject = dict[str, Any]


def _query(call: Call) -> Mapping[str, str]:
    return call.request.query_params


def _number(call: Call, name: str, default: int) -> int:
    text = _query(call).get(name)
    return default if not text else parse_int(text, name)


async def _all_projects(call: Call) -> list[ProjectView]:
    found: list[ProjectView] = []
    while True:
        page, total = await call.read(view_projects, PageRequest(limit=MAX_PAGE, offset=len(found)))
        found += page
        if not page or len(found) >= total:
            return found


# -- projects and people ----------------------------------------------------------------------------------------


def _project(view: ProjectView) -> JsonObject:
    project = view.project
    return {
        "id": project.id,
        "name": project.name,
        "description": project.description,
        "ownerName": user_name(view.owner),
        "visibility": project.visibility.capitalize(),
        "billingTag": {"tag": project.billing_tag} if project.billing_tag else None,
    }


@binder.op("GET /v4/gateway/projects")
async def projects(call: Call) -> object:
    """Of the relations that it may ask for, only `Owned` leaves anything out."""
    found = await _all_projects(call)
    owned = _query(call).get("relationship", "").lower() == "owned"
    return [_project(v) for v in found if not owned or v.owner_id == call.actor.user_id]


@binder.op("GET /v4/gateway/projects/findProjectByOwnerAndName")
async def find_by_owner_and_name(call: Call) -> object:
    owner, name = (_query(call).get(n, "") for n in ("ownerName", "projectName"))
    for view in await _all_projects(call):
        if view.project.name == name and user_name(view.owner) == owner:
            return _project(view)
    raise NotFound.of("project", f"{owner}/{name}")


@binder.op("GET /v4/users")
async def users(call: Call) -> object:
    wanted = _query(call).get("userName")
    found = [user_shown(m.user) for m in await call.read(list_members)]
    return [u for u in found if not wanted or u["userName"] == wanted]


# -- billing tags of projects -----------------------------------------------------------------------------------


@binder.op("GET /v4/cost/billingtagSettings/mode")
async def mode(call: Call) -> object:
    return {"mode": str((await call.read(tag_policy)).mode)}


@binder.op("GET /v4/projects/billingtags/projects")
async def projects_by_tag(call: Call) -> object:
    query = _query(call)
    tag, part = query.get("billingTag"), query.get("nameFilter", "").lower()
    missing = parse_bool(query.get("missingBillingTagOnly", "false"), "missingBillingTagOnly")
    found = [
        _project(v)
        for v in await _all_projects(call)
        if (not tag or v.project.billing_tag == tag)
        and not (missing and v.project.billing_tag)
        and part in v.project.name.lower()
    ]
    offset = _number(call, "offset", 0)
    page = PageRequest(limit=_number(call, "pageSize", 10), offset=offset)
    return {"totalMatches": len(found), "page": list(cut(found, page))}


class Tag(Body):
    tag: str


class ProjectTag(Body):
    project_id: str
    billing_tag: Tag | None = None


class ProjectTags(Body):
    projects_billing_tags: list[ProjectTag]


@binder.op("POST /v4/projects/billingtags/projects", body=ProjectTags)
async def book_many(call: Call) -> object:
    body: ProjectTags = call.body
    tags = [
        (own_id(p.project_id, "project"), p.billing_tag.tag if p.billing_tag is not None else None)
        for p in body.projects_billing_tags
    ]
    changed = await call.write(book_projects, tags)
    return [{"id": p.id, "name": p.name, "billingTag": {"tag": p.billing_tag}} for p in changed]


# -- jobs -------------------------------------------------------------------------------------------------------


def _job(item: NumberedRun) -> JsonObject:
    run = item.run
    return {
        "id": run.id,
        "number": item.number,
        "title": run.name,
        "projectId": run.project_id,
        "statuses": status_of(run),
        "tags": [{"name": tag} for tag in run.tags],
    }


@binder.op("GET /v4/jobs")
async def jobs(call: Call) -> object:
    query = _query(call)
    project = own_id(query.get("projectId", ""), "project")
    size, number = _number(call, "page_size", 10), _number(call, "page_no", 1)
    if size < 1 or number < 1:
        raise Invalid("pages begin at 1 and hold at least 1 job", field="page_no")
    page = PageRequest(limit=min(size, MAX_PAGE), offset=(number - 1) * min(size, MAX_PAGE))
    status = chosen(query.get("status") or "all", {n: n for n in STATES}, "status")
    order = chosen(query.get("order_by") or "number", SORTS, "order_by")
    shown = parse_bool(query.get("show_archived") or "false", "show_archived") or status == "archived"
    tag = query.get("tag")
    wanted = RunFilter(
        states=STATES[status], tags_all=(tag,) if tag else (), system_tags_none=() if shown else ("archived",),
        system_tags_all=("archived",) if status == "archived" else (),
    )  # fmt: skip
    descending = query.get("sort_by", "desc").lower() != "asc"
    if not isinstance(order, str):
        order = replace(order, descending=descending)
    found, total = await call.read(list_numbered, project, wanted, page, order, descending=descending)
    return {"jobs": [_job(item) for item in found], "totalCount": total}


@binder.op("GET /v4/jobs/{jobId}")
async def job(call: Call) -> object:
    return _job(await call.read(find_numbered, call.path["jobId"]))


class StartJob(Body):
    project_id: str
    command_to_run: str
    title: str | None = None
    override_hardware_tier_id: str | JsonObject | None = None
    environment_id: str | None = None
    commit_id: str | None = None


@binder.op("POST /v4/jobs/start", body=StartJob)
async def start(call: Call) -> object:
    body: StartJob = call.body
    project = (await call.read(view_project, own_id(body.project_id, "project"))).project
    kept = {"commitId": body.commit_id, "environmentId": body.environment_id}
    cmd = new_run(body.command_to_run, body.title, {name: value for name, value in kept.items() if value is not None})
    tier = body.override_hardware_tier_id
    tier = tier.get("value") if isinstance(tier, dict) else tier
    runtime = {"hardware": await call.read(hardware_of, tier)} if tier else {}
    return _job(await call.write(submit_numbered, replace(cmd, project_id=project.id, runtime=runtime)))


class StopJob(Body):
    job_id: str
    project_id: str | None = None


@binder.op("POST /v4/jobs/stop", body=StopJob)
async def stop(call: Call) -> object:
    body: StopJob = call.body
    run = await call.read(find_run, body.job_id)
    if run.state in (RunState.CREATED, RunState.QUEUED, RunState.RUNNING):
        run = await call.write(request_stop, run.id)
    return {"id": run.id, "statuses": status_of(run)}
