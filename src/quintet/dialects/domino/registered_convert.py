"""Registered models and their versions, as this API shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from quintet.app.models.described import ModelView, VersionView
from quintet.dialects.domino.envelope import when
from quintet.dialects.domino.ids import experiment_run, series_name
from quintet.dialects.domino.people import names_of, user_name
from quintet.domain.identity import Actor, Permission, User
from quintet.domain.ids import Id
from quintet.domain.models import Model, ModelVersion, Review, ReviewState
from quintet.domain.runs import Run
from quintet.domain.series import RollUp

JsonObject = dict[str, Any]

REVIEW_STATUS: dict[ReviewState, str] = {
    ReviewState.OPEN: "Open",
    ReviewState.APPROVED: "Approved",
    ReviewState.CHANGES_REQUESTED: "ChangesRequested",
    ReviewState.CANCELLED: "Cancelled",
}
DECISIONS = {"approved": "Approved", "changes_requested": "ChangesRequested"}


def tags_of(model: Model) -> dict[str, str]:
    """One map of what others keep as labels without a value, and as entries of metadata."""
    entries = {k: str(v.get("value", "")) if isinstance(v, Mapping) else str(v) for k, v in model.metadata.items()}
    return {**dict.fromkeys(model.tags, ""), **entries}


def project_summary(view: ModelView) -> JsonObject | None:
    if view.project is None:
        return None
    project = view.project.project
    return {
        "id": project.id,
        "name": project.name,
        "ownerUsername": user_name(view.project.owner),
        "isGitBasedProject": False,
    }


def access_of(actor: Actor) -> JsonObject:
    """What the caller may do with a registered model."""
    return {
        "canEditModel": actor.may(Permission.MODEL_WRITE),
        "canEditProjectAssets": actor.may(Permission.PROJECT_WRITE),
        "canViewExperimentRuns": actor.may(Permission.RUN_READ),
        "canViewModelApis": actor.may(Permission.MODEL_READ),
        "canViewProject": actor.may(Permission.PROJECT_READ),
        "canViewProjectFiles": actor.may(Permission.PROJECT_READ),
    }


def _common(view: ModelView) -> JsonObject:
    model = view.model
    return {
        "name": view.name,
        "description": model.description,
        "discoverable": model.discoverable,
        "latestVersion": model.latest_version,
        "ownerUsername": user_name(view.owner),
        "project": project_summary(view),
        "tags": tags_of(model),
        "createdAt": when(model.created_at),
        "updatedAt": when(model.updated_at),
    }


def model_shown(view: ModelView, actor: Actor) -> JsonObject:
    """RegisteredModelV1."""
    return {**_common(view), "requestingUserAccess": access_of(actor)}


def model_for_ui(view: ModelView, apis: int) -> JsonObject:
    """RegisteredModelForUIV1."""
    latest = view.latest
    return {
        **_common(view),
        "latestVersionStage": latest.stage if latest is not None else None,
        "latestVersionExperimentMetrics": figures(latest, view.rollups) if latest is not None else {},
        "modelApiCount": apis,
        "predictionCount": 0,
    }


def figures(version: ModelVersion, rollups: Sequence[RollUp]) -> dict[str, float]:
    """The last value of every series of the run, and what was measured on the version itself."""
    return {**{series_name(r.metric, r.variant): r.last_value for r in rollups}, **version.metrics}


def overview(view: VersionView) -> JsonObject:
    """RegisteredModelVersionOverviewV1."""
    version = view.version
    return {
        "modelName": view.of.name,
        "modelVersion": version.number,
        "experimentRunId": experiment_run(version.run_id),
        "ownerUsername": user_name(view.owner),
        "project": project_summary(view.of),
        "createdAt": when(version.created_at),
        "updatedAt": when(version.updated_at),
    }


def version_shown(view: VersionView) -> JsonObject:
    """RegisteredModelVersionDetailsV1."""
    version = view.version
    return {
        **overview(view),
        "currentStage": version.stage,
        "modelVersionDescription": version.description,
        "tags": version.tags,
        "reviewSummary": review_shown(view.reviews[0], view.people) if view.reviews else None,
        "versionUiDetails": {
            "experimentRunInfo": {
                "runUrl": f"/experiments/{experiment_run(version.run_id)}" if version.run_id else None,
                "metrics": _metrics(view),
                "params": [{"key": k, "value": v} for k, v in params_of(view.run).items()],
            },
            "modelVersionDataSources": [],
            "modelVersionDatasets": [],
        },
    }


def _metrics(view: VersionView) -> list[JsonObject]:
    shown = {
        series_name(r.metric, r.variant): {"value": r.last_value, "timestamp": when(r.last_ts)} for r in view.rollups
    }
    for key, value in view.version.metrics.items():
        shown[key] = {"value": value, "timestamp": when(view.version.created_at)}
    return [{"key": key, **rest} for key, rest in shown.items()]


def params_of(run: Run | None) -> dict[str, str]:
    """Hyperparameters as one flat map; the section counts where a name is in more than one."""
    if run is None:
        return {}
    flat = {key: str(value) for key, value in run.args.items()}
    for section, items in run.params.items():
        for name, item in items.items():
            plain = section in ("Args", "General", "mlflow") and name not in flat
            flat[name if plain else f"{section}/{name}"] = str(item.get("value", ""))
    return flat


def review_shown(review: Review, people: Mapping[Id, User]) -> JsonObject:
    """RegisteredModelReviewSummaryV1; every reviewer is listed, whether there is an answer or not."""
    given = {r["user_id"]: r for r in review.responses}
    everybody = [*review.reviewers, *(u for u in given if u not in review.reviewers)]
    answers = []
    for user in everybody:
        response = given.get(user)
        answers.append(
            {
                "reviewer": _reviewer(Id(user), people.get(Id(user))),
                "decision": DECISIONS[response["decision"]] if response else None,
                "notes": response["notes"] if response else None,
                "respondedAt": when(response["at"]) if response else None,
            }
        )
    return {
        "modelReviewId": review.id,
        "targetStage": review.target_stage,
        "status": REVIEW_STATUS[review.state],
        "notes": review.notes,
        "reviewerResponses": answers,
    }


def _reviewer(ident: Id, user: User | None) -> JsonObject:
    first, last = names_of(user) if user is not None else ("", "")
    return {"id": ident, "username": user_name(user), "firstName": first, "lastName": last}
