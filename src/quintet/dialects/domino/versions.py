"""Versions of registered models, their stages, and the reviews that lead to a stage."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from quintet.app.models.described import describe_version, describe_versions, find_named
from quintet.app.models.reviews import (
    Decision,
    UpdateReview,
    project_stages,
    request_review,
    respond_review,
    review_stages,
    set_project_stages,
    transition_stage,
    update_review,
    validate_stage,
)
from quintet.app.models.versions import RegisterVersion, register_version
from quintet.dialects.domino.binder import binder
from quintet.dialects.domino.envelope import Body, choices, chosen, enveloped, own_id, paged, path_id, wanted_page
from quintet.dialects.domino.ids import parse_run
from quintet.dialects.domino.registered_convert import overview, review_shown, version_shown
from quintet.dialects.domino.registered_models import ROOT, version_number
from quintet.dialects.kit.call import Call
from quintet.domain.ids import Id
from quintet.domain.models import DEFAULT_STAGES, Model, ModelFormat

VERSIONS = f"{ROOT}/{{modelName}}/versions"
ONE = f"{VERSIONS}/{{version}}"
STAGES = f"{ROOT}/versions/stages/projects/{{projectId}}"
DECISIONS = {
    "Approved": Decision.APPROVED,
    "ChangesRequested": Decision.CHANGES_REQUESTED,
    "Rejected": Decision.CHANGES_REQUESTED,
}


async def _model(call: Call) -> Model:
    return await call.read(find_named, call.path["modelName"])


async def _shown(call: Call, model_id: Id, number: int) -> dict[str, Any]:
    return version_shown(await call.read(describe_version, model_id, number))


async def _stage(call: Call, model: Model, text: str, field: str) -> str:
    """The stage as its project writes it."""
    stages = await call.read(project_stages, model.project_id)
    return chosen(text, choices(dict.fromkeys((*stages, DEFAULT_STAGES[0]))), field)


# -- versions ---------------------------------------------------------------------------------------------------


@binder.op(f"GET {VERSIONS}")
async def list_all(call: Call) -> object:
    page = wanted_page(call, 20)
    found, total = await call.read(describe_versions, call.path["modelName"], page)
    return paged(call, "items", [overview(v) for v in found], total, page)


class NewVersion(Body):
    """`artifact` is a path among the artifacts of the run, or a URI."""

    artifact: str
    experiment_run_id: str | None = None
    description: str = ""


@binder.op(f"POST {VERSIONS}", body=NewVersion)
async def create(call: Call) -> object:
    body: NewVersion = call.body
    run = parse_run(body.experiment_run_id) if body.experiment_run_id else None
    model = await _model(call)
    elsewhere = "://" in body.artifact or run is None
    where = body.artifact if elsewhere else f"runs:/{body.experiment_run_id}/{body.artifact}"
    cmd = RegisterVersion(
        model.id, ModelFormat.NONE, create=False, run_id=run, description=body.description, source=where
    )
    _, version = await call.write(register_version, cmd)
    return await _shown(call, model.id, version.number)


@binder.op(f"GET {ONE}")
async def get(call: Call) -> object:
    return version_shown(await call.read(describe_version, call.path["modelName"], version_number(call)))


class VersionChanges(Body):
    current_stage: str


@binder.op(f"PATCH {ONE}", body=VersionChanges)
async def change(call: Call) -> object:
    body: VersionChanges = call.body
    model, number = await _model(call), version_number(call)
    stage = await _stage(call, model, body.current_stage, "currentStage")
    await call.write(transition_stage, model.id, number, stage)
    return await _shown(call, model.id, number)


# -- stages -----------------------------------------------------------------------------------------------------


def _labels(call: Call, stages: tuple[str, ...]) -> object:
    return enveloped(call, items=[{"label": label} for label in stages])


@binder.op("GET /api/registeredmodelstages/v1")
async def default_stages(call: Call) -> object:
    return _labels(call, await call.read(project_stages, None))


@binder.op(f"GET {STAGES}")
async def stages_of_project(call: Call) -> object:
    wanted = call.query.get("includeDefaults")
    project = path_id(call, "projectId", "project")
    return _labels(call, await call.read(project_stages, project, include_defaults=bool(wanted)))


class Label(Body):
    label: str


class Stages(Body):
    stages: list[Label]


@binder.op(f"PUT {STAGES}", body=Stages)
async def set_stages(call: Call) -> object:
    body: Stages = call.body
    project = path_id(call, "projectId", "project")
    return _labels(call, await call.write(set_project_stages, project, [s.label for s in body.stages]))


@binder.op(f"GET {ONE}/reviewstages")
async def stages_for_review(call: Call) -> object:
    model = await _model(call)
    return _labels(call, await call.read(review_stages, model.id, version_number(call)))


class WantedStage(Body):
    stage: str


@binder.op(f"PUT {ONE}/stages/validation", body=WantedStage)
async def validate(call: Call) -> Response:
    """Nothing where the version may go to the stage now; an error that says why it may not."""
    body: WantedStage = call.body
    model = await _model(call)
    stage = await _stage(call, model, body.stage, "stage")
    await call.read(validate_stage, model.id, version_number(call), stage)
    return Response(status_code=200)


# -- reviews ----------------------------------------------------------------------------------------------------


class Reviewer(Body):
    user_id: str


class NewReview(Body):
    target_stage: str
    reviewers: list[Reviewer]
    notes: str = ""


@binder.op(f"POST {ONE}/reviews", body=NewReview, status=201)
async def ask(call: Call) -> object:
    body: NewReview = call.body
    model, number = await _model(call), version_number(call)
    stage = await _stage(call, model, body.target_stage, "targetStage")
    reviewers = [own_id(r.user_id, "user") for r in body.reviewers]
    review = await call.write(request_review, model.id, number, stage, reviewers, body.notes)
    view = await call.read(describe_version, model.id, number)
    return review_shown(review, view.people)


class ReviewChanges(Body):
    reviewers: list[Reviewer] | None = None
    status: str | None = None
    notes: str | None = None


@binder.op(f"PATCH {ONE}/reviews/{{modelReviewId}}", body=ReviewChanges, status=204)
async def change_review(call: Call) -> None:
    body: ReviewChanges = call.body
    if body.status is not None:
        chosen(body.status, {"Cancelled": True, "Canceled": True}, "status")
    reviewers = None if body.reviewers is None else tuple(own_id(r.user_id, "user") for r in body.reviewers)
    cmd = UpdateReview(reviewers, cancel=body.status is not None, notes=body.notes)
    model = await _model(call)
    await call.write(update_review, model.id, version_number(call), call.path["modelReviewId"], cmd)


class Answer(Body):
    decision: str
    notes: str = ""


@binder.op(f"POST {ONE}/reviews/{{modelReviewId}}/responses", body=Answer, status=201)
async def respond(call: Call) -> None:
    body: Answer = call.body
    decision = chosen(body.decision, DECISIONS, "decision")
    model = await _model(call)
    review = call.path["modelReviewId"]
    await call.write(respond_review, model.id, version_number(call), review, decision, body.notes)
