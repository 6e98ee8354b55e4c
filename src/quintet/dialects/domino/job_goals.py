"""Which goals of its project a job works towards."""

from __future__ import annotations

from typing import Any

from quintet.app.projects.collaboration import view_project
from quintet.app.runs.compose import edit_detail
from quintet.app.runs.read import find_run
from quintet.dialects.domino.binder import DIALECT, binder
from quintet.dialects.domino.envelope import Body, enveloped
from quintet.dialects.domino.projects import done
from quintet.dialects.kit.call import Call
from quintet.domain.errors import NotFound
from quintet.domain.runs import Run

JsonObject = dict[str, Any]


class GoalToLink(Body):
    goal_id: str
    project_id: str | None = None


async def _goals(call: Call) -> tuple[Run, dict[str, JsonObject]]:
    """The job of the query, and the goals of its project by id."""
    run = await call.read(find_run, call.query["jobId"])
    if run.project_id is None:
        return run, {}
    project = (await call.read(view_project, run.project_id)).project
    return run, {g["id"]: g for g in project.detail.get(DIALECT, {}).get("goals", [])}


def _linked(run: Run, goal: JsonObject) -> JsonObject:
    return {
        "goalId": goal["id"],
        "jobId": run.id,
        "projectId": run.project_id,
        "title": goal["title"],
        "description": goal["description"],
        "currentStage": goal.get("stageId"),
    }


@binder.op("GET /api/jobs/v1/goals")
async def goals(call: Call) -> object:
    run, known = await _goals(call)
    linked = run.detail.get(DIALECT, {}).get("goalIds", [])
    return enveloped(call, goals=[_linked(run, known[g]) for g in linked if g in known])


@binder.op("POST /api/jobs/v1/goals", body=GoalToLink)
async def link(call: Call) -> object:
    body: GoalToLink = call.body
    run, known = await _goals(call)
    if body.goal_id not in known:
        raise NotFound.of("goal", body.goal_id)

    def change(own: JsonObject) -> JsonObject:
        return {**own, "goalIds": [*(g for g in own.get("goalIds", []) if g != body.goal_id), body.goal_id]}

    await call.write(edit_detail, run.id, DIALECT, change)
    return enveloped(call, goal=_linked(run, known[body.goal_id]))


@binder.op("DELETE /api/jobs/v1/goals/{goalId}")
async def unlink(call: Call) -> object:
    run, _ = await _goals(call)
    ident = call.path["goalId"]

    def change(own: JsonObject) -> JsonObject:
        if ident not in own.get("goalIds", []):
            raise NotFound.of("goal", ident)
        return {**own, "goalIds": [g for g in own["goalIds"] if g != ident]}

    await call.write(edit_detail, run.id, DIALECT, change)
    return done(call)
