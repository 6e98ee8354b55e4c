"""Projects, their collaborators, goals and status."""

from __future__ import annotations

from typing import Any

from quintet.app.projects.collaboration import (
    ProjectView,
    archive_project,
    change_collaboration,
    create_owned,
    view_project,
    view_projects,
)
from quintet.app.projects.manage import CreateProject
from quintet.dialects.domino.binder import DIALECT, binder
from quintet.dialects.domino.envelope import (
    Body,
    choices,
    chosen,
    enveloped,
    metadata,
    own_id,
    paged,
    path_id,
    wanted_page,
    when,
)
from quintet.dialects.domino.people import user_name
from quintet.dialects.kit.call import Call
from quintet.domain.errors import Invalid, NotFound
from quintet.domain.ids import new_id
from quintet.domain.projects import Project, check_name

VISIBILITIES = choices(("public", "searchable", "private"))
ROLES = choices(("contributor", "launcherUser", "resultsConsumer", "projectImporter"))
STATUSES = choices(("active", "complete"))
BRANCHES = choices(("isolated", "main"))
JsonObject = dict[str, Any]


def project_shown(view: ProjectView) -> JsonObject:
    project = view.project
    own = project.detail.get(DIALECT, {})
    tags = [*project.tags]
    return {
        "id": project.id,
        "name": project.name,
        "description": project.description,
        "ownerId": view.owner_id,
        "ownerUsername": user_name(view.owner),
        "visibility": VISIBILITIES.get(project.visibility, "private"),
        "collaborators": own.get("collaborators", []),
        "mainRepository": own.get("mainRepository"),
        "internalTags": tags,
        "internal tags": tags,  # the document spells it with a blank
    }


class NewProject(Body):
    """A repository is kept and shown; the server itself holds no code of projects."""

    name: str
    description: str = ""
    visibility: str = "private"
    owner_id: str | None = None
    is_restricted: bool = False
    main_repository: JsonObject | None = None
    template_details: JsonObject | None = None


@binder.op("GET /api/projects/beta/projects")
async def list_all(call: Call) -> object:
    page = wanted_page(call)
    found, total = await call.read(view_projects, page)
    return paged(call, "projects", [project_shown(v) for v in found], total, page)


@binder.op("POST /api/projects/beta/projects", body=NewProject)
async def create(call: Call) -> object:
    body: NewProject = call.body
    visibility = chosen(body.visibility, VISIBILITIES, "visibility")
    own: JsonObject = {"isRestricted": body.is_restricted} if body.is_restricted else {}
    if body.main_repository is not None:
        own["mainRepository"] = {"id": new_id(), **body.main_repository}
    cmd = CreateProject(
        body.name, description=body.description, visibility=visibility, detail={DIALECT: own} if own else {}
    )
    owner = own_id(body.owner_id, "user") if body.owner_id else None
    return enveloped(call, project=project_shown(await call.write(create_owned, cmd, DIALECT, owner)))


@binder.op("GET /api/projects/v1/projects/{projectId}")
async def get(call: Call) -> object:
    return enveloped(call, project=project_shown(await call.read(view_project, _ref(call))))


@binder.op("DELETE /api/projects/beta/projects/{projectId}")
async def archive(call: Call) -> object:
    await call.write(archive_project, _ref(call))
    return done(call)


def done(call: Call) -> JsonObject:
    """DeleteEnvelopeV1."""
    return {"metadata": metadata(call), "success": True}


def _ref(call: Call) -> str:
    return path_id(call, "projectId", "project")


async def _own(call: Call) -> tuple[Project, JsonObject]:
    project = (await call.read(view_project, _ref(call))).project
    return project, project.detail.get(DIALECT, {})


# -- collaborators ----------------------------------------------------------------------------------------------


class Collaborator(Body):
    id: str
    role: str = "contributor"


@binder.op("POST /api/projects/v1/projects/{projectId}/collaborators", body=Collaborator)
async def add_collaborator(call: Call) -> object:
    body: Collaborator = call.body
    item = {"id": body.id, "role": chosen(body.role, ROLES, "role")}

    def change(own: JsonObject) -> JsonObject:
        others = [c for c in own.get("collaborators", []) if c["id"] != body.id]
        return {**own, "collaborators": [*others, item]}

    await call.write(change_collaboration, _ref(call), DIALECT, change, members=[body.id])
    return enveloped(call, collaborator=item)


@binder.op("DELETE /api/projects/v1/projects/{projectId}/collaborators/{collaboratorId}")
async def drop_collaborator(call: Call) -> object:
    await call.write(change_collaboration, _ref(call), DIALECT, _without(call, "collaborators", "collaboratorId"))
    return done(call)


def _without(call: Call, name: str, parameter: str) -> Any:
    """A change that takes out the item whose id is in the path; NotFound where there is none."""
    ident = call.path[parameter]

    def change(own: JsonObject) -> JsonObject:
        kept = [item for item in own.get(name, []) if item["id"] != ident]
        if len(kept) == len(own.get(name, [])):
            raise NotFound.of(parameter.removesuffix("Id"), ident)
        return {**own, name: kept}

    return change


# -- goals ------------------------------------------------------------------------------------------------------


class NewGoal(Body):
    title: str
    description: str = ""
    stage_id: str | None = None
    assignee_id: str | None = None


class GoalChanges(Body):
    is_complete: bool


def _goal(project: Project, goal: JsonObject) -> JsonObject:
    shown = {name: goal[name] for name in ("id", "title", "description", "isComplete", "creatorId")}
    return {**shown, "createdAt": when(goal["createdAt"]), "projectId": project.id}


@binder.op("GET /api/projects/v1/projects/{projectId}/goals")
async def goals(call: Call) -> object:
    project, own = await _own(call)
    return enveloped(call, goals=[_goal(project, g) for g in own.get("goals", [])])


@binder.op("POST /api/projects/v1/projects/{projectId}/goals", body=NewGoal)
async def add_goal(call: Call) -> object:
    body: NewGoal = call.body
    goal = {
        "id": new_id(), "title": check_name(body.title, field="title"), "description": body.description,
        "isComplete": False, "creatorId": call.actor.user_id, "createdAt": call.core.clock(),
        "assigneeId": body.assignee_id, "stageId": body.stage_id,
    }  # fmt: skip

    def change(own: JsonObject) -> JsonObject:
        return {**own, "goals": [*own.get("goals", []), goal]}

    members = [body.assignee_id] if body.assignee_id else []
    project = await call.write(change_collaboration, _ref(call), DIALECT, change, members=members)
    return enveloped(call, goal=_goal(project, goal))


@binder.op("PATCH /api/projects/v1/projects/{projectId}/goals/{goalId}", body=GoalChanges)
async def change_goal(call: Call) -> object:
    body: GoalChanges = call.body
    ident = call.path["goalId"]

    def change(own: JsonObject) -> JsonObject:
        if all(g["id"] != ident for g in own.get("goals", [])):
            raise NotFound.of("goal", ident)
        goals = [{**g, "isComplete": body.is_complete} if g["id"] == ident else g for g in own["goals"]]
        return {**own, "goals": goals}

    project = await call.write(change_collaboration, _ref(call), DIALECT, change)
    changed = next(g for g in project.detail[DIALECT]["goals"] if g["id"] == ident)
    return enveloped(call, goal=_goal(project, changed))


@binder.op("DELETE /api/projects/v1/projects/{projectId}/goals/{goalId}")
async def drop_goal(call: Call) -> object:
    await call.write(change_collaboration, _ref(call), DIALECT, _without(call, "goals", "goalId"))
    return done(call)


# -- status, settings -------------------------------------------------------------------------------------------


class Status(Body):
    """A block counts before the status."""

    status: str = "active"
    is_blocked: bool = False
    blocked_reason: str | None = None
    completed_message: str | None = None


@binder.op("PUT /api/projects/v1/projects/{projectId}/status", body=Status)
async def set_status(call: Call) -> object:
    body: Status = call.body
    if body.is_blocked and not body.blocked_reason:
        raise Invalid("a block needs a reason", field="blockedReason")
    status = {
        "status": chosen(body.status, STATUSES, "status"),
        "isBlocked": body.is_blocked,
        "blockedReason": body.blocked_reason if body.is_blocked else None,
        "completedMessage": body.completed_message,
    }
    await call.write(change_collaboration, _ref(call), DIALECT, lambda own: {**own, "status": status})
    return enveloped(call, status=status)


class ResultsSettings(Body):
    branch: str


@binder.op("GET /api/projects/beta/projects/{projectId}/results-settings")
async def results_settings(call: Call) -> object:
    _, own = await _own(call)
    return enveloped(call, resultsSettings=own.get("resultsSettings", {"branch": "main"}))


@binder.op("PUT /api/projects/beta/projects/{projectId}/results-settings", body=ResultsSettings)
async def set_results_settings(call: Call) -> object:
    body: ResultsSettings = call.body
    settings = {"branch": chosen(body.branch, BRANCHES, "branch")}
    await call.write(change_collaboration, _ref(call), DIALECT, lambda own: {**own, "resultsSettings": settings})
    return enveloped(call, resultsSettings=settings)
