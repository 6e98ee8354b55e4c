"""Stages of versions, and the reviews that guard them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from quintet.app.audit import note
from quintet.app.authz import authorize
from quintet.app.context import Ctx, Effect
from quintet.app.models.versions import get_version
from quintet.app.references import check_member, check_project
from quintet.domain.errors import Conflict, Forbidden, Invalid, NotFound, Precondition
from quintet.domain.identity import Permission
from quintet.domain.ids import Id, Kind, from_uuid, new_id, parse_id
from quintet.domain.models import DEFAULT_STAGES, Model, ModelVersion, Review, ReviewState
from quintet.domain.page import PageRequest
from quintet.domain.projects import check_name
from quintet.storage import models as store
from quintet.storage.tx import ReadTx, WriteTx

UNDECIDED = (ReviewState.OPEN, ReviewState.CHANGES_REQUESTED)
"""A review in these states still waits for something, so it holds its stage closed and is the only one."""


class Decision(StrEnum):
    APPROVED = "approved"
    CHANGES_REQUESTED = "changes_requested"


@dataclass(frozen=True, slots=True)
class UpdateReview:
    """New reviewers or a cancellation, never both; notes with either or alone. None leaves a thing as it is."""

    reviewers: tuple[Id, ...] | None = None
    cancel: bool = False
    notes: str | None = None


# -- stages -----------------------------------------------------------------------------------------------------


def project_stages(ctx: Ctx[ReadTx], project_id: Id | None, *, include_defaults: bool = True) -> tuple[str, ...]:
    """The stages of a project's versions; without its own the default ones, or none if those are not wanted."""
    authorize(ctx, Permission.MODEL_READ)
    check_project(ctx, project_id)
    own = store.stages_of(ctx.tx, project_id) if project_id is not None else None
    return own or (DEFAULT_STAGES if include_defaults else ())


def set_project_stages(ctx: Ctx[WriteTx], project_id: Id, labels: Sequence[str]) -> tuple[str, ...]:
    """Gives a project stages of its own; an empty list returns it to the default ones."""
    authorize(ctx, Permission.PROJECT_WRITE)
    check_project(ctx, project_id)
    checked = tuple(check_name(label, field="stages") for label in labels)
    if len(set(checked)) != len(checked):
        raise Invalid("a stage is named twice", field="stages")
    store.set_stages(ctx.tx, project_id, checked or None)
    note(ctx, "model.stages", "project", project_id, stages=list(checked))
    return checked or DEFAULT_STAGES


def review_stages(ctx: Ctx[ReadTx], ref: str, number: int) -> tuple[str, ...]:
    """The stages a review of this version may aim at: any but the current one, and none while one is open."""
    model, version = get_version(ctx, ref, number)
    if store.reviews_of(ctx.tx, version.id, states=UNDECIDED):
        return ()
    return tuple(s for s in project_stages(ctx, model.project_id) if s != version.stage)


def validate_stage(ctx: Ctx[ReadTx], ref: str, number: int, stage: str) -> tuple[Model, ModelVersion]:
    """Whether the version may go to `stage` now: Invalid for no such stage, Precondition while a review says no."""
    model, version = get_version(ctx, ref, number)
    _check_stage(ctx, model, stage, "stage")
    if stage != version.stage:
        aimed = store.reviews_of(ctx.tx, version.id, target_stage=stage)
        latest = next((r for r in aimed if r.state is not ReviewState.CANCELLED), None)
        if latest is not None and latest.state is not ReviewState.APPROVED:
            raise Precondition(
                f"a review of version {number} for the stage '{stage}' is not approved",
                field="stage", review=latest.id, state=str(latest.state),
            )  # fmt: skip
    return model, version


def transition_stage(
    ctx: Ctx[WriteTx], ref: str, number: int, stage: str, *, archive_others: bool = False
) -> ModelVersion:
    """Moves a version to a stage; with `archive_others` those that were there go to "Archived"."""
    authorize(ctx, Permission.MODEL_WRITE)
    store.lock_version(ctx.tx, get_version(ctx, ref, number)[1].id)
    model, version = validate_stage(ctx, ref, number, stage)
    if archive_others:
        _archive_others(ctx, model, version, stage)
    moved = replace(version, stage=stage, updated_at=ctx.now)
    store.save_version(ctx.tx, moved)
    ctx.after_commit(Effect("model", model.id, {"version": number, "stage": stage}))
    note(ctx, "model.stage", "model", model.id, name=model.name, version=number, stage=stage, was=version.stage)
    return moved


def _archive_others(ctx: Ctx[WriteTx], model: Model, version: ModelVersion, stage: str) -> None:
    _check_stage(ctx, model, "Archived", "archive_others")
    there = store.search_versions(
        ctx.tx, model.space_id, PageRequest(limit=1_000), model_ids=[model.id], stages=[stage]
    )
    for other in there.items:
        if other.id != version.id:
            store.save_version(ctx.tx, replace(other, stage="Archived", updated_at=ctx.now))


def _check_stage(ctx: Ctx[ReadTx], model: Model, stage: str, field: str) -> None:
    # Every version starts at "None", so it can go back there whatever a project calls its stages.
    stages = project_stages(ctx, model.project_id)
    if stage not in stages and stage != DEFAULT_STAGES[0]:
        raise Invalid(f"'{stage}' is not one of the stages {', '.join(stages)}", field=field)


# -- reviews ----------------------------------------------------------------------------------------------------


def list_reviews(ctx: Ctx[ReadTx], ref: str, number: int) -> list[Review]:
    """The reviews of a version, newest first."""
    _, version = get_version(ctx, ref, number)
    return store.reviews_of(ctx.tx, version.id)


def find_review(ctx: Ctx[ReadTx], ref: str, number: int, review: str) -> Review:
    """A review of this version by its id in any spelling."""
    _, version = get_version(ctx, ref, number)
    for ident in (parse_id(review), from_uuid(review, Kind.REVIEW)):
        found = store.get_review(ctx.tx, ident) if ident is not None else None
        if found is not None and found.version_id == version.id:
            return found
    raise NotFound.of("review", review)


def request_review(
    ctx: Ctx[WriteTx], ref: str, number: int, target_stage: str, reviewers: Sequence[Id], notes: str = ""
) -> Review:
    """Asks members of the space to review a version for a stage; Conflict where one is under way."""
    authorize(ctx, Permission.MODEL_WRITE)
    model, version = get_version(ctx, ref, number)
    _check_stage(ctx, model, target_stage, "target_stage")
    if target_stage == version.stage:
        raise Invalid(f"version {number} is at the stage '{target_stage}' already", field="target_stage")
    chosen = _checked_reviewers(ctx, reviewers)
    store.lock_version(ctx.tx, version.id)
    if others := store.reviews_of(ctx.tx, version.id, states=UNDECIDED):
        raise Conflict(f"version {number} is under review already", review=others[0].id)
    review = Review(
        id=new_id(), version_id=version.id, target_stage=target_stage, state=ReviewState.OPEN,
        requested_by=ctx.actor.user_id, created_at=ctx.now, updated_at=ctx.now, notes=notes, reviewers=chosen,
    )  # fmt: skip
    store.insert_review(ctx.tx, review)
    _tell(ctx, model, version, review, "review.request")
    return review


def update_review(ctx: Ctx[WriteTx], ref: str, number: int, review: str, cmd: UpdateReview) -> Review:
    """Changes reviewers, notes, or cancels; only whoever asked for the review, or an administrator, may."""
    authorize(ctx, Permission.MODEL_WRITE)
    model, version = get_version(ctx, ref, number)
    store.lock_version(ctx.tx, version.id)
    found = find_review(ctx, ref, number, review)
    if cmd.cancel and cmd.reviewers is not None:
        raise Invalid("a review is either cancelled or given other reviewers", field="reviewers")
    if not cmd.cancel and cmd.reviewers is None and cmd.notes is None:
        raise Invalid("there is nothing to change: give reviewers, notes, or a cancellation", field="status")
    if found.requested_by != ctx.actor.user_id and not ctx.actor.may(Permission.ADMIN):
        raise Forbidden("only whoever asked for a review may change it")
    _check_undecided(found)
    changed = replace(found, updated_at=ctx.now, notes=found.notes if cmd.notes is None else cmd.notes)
    if cmd.cancel:
        changed = replace(changed, state=ReviewState.CANCELLED)
    if cmd.reviewers is not None:
        chosen = _checked_reviewers(ctx, cmd.reviewers)
        kept = tuple(r for r in found.responses if r["user_id"] in chosen)
        changed = _decided(replace(changed, reviewers=chosen, responses=kept))
    store.save_review(ctx.tx, changed)
    _tell(ctx, model, version, changed, "review.update")
    return changed


def respond_review(
    ctx: Ctx[WriteTx], ref: str, number: int, review: str, decision: Decision, notes: str = ""
) -> Review:
    """A reviewer's answer, or an administrator's, which decides alone. Approved when all reviewers approve."""
    authorize(ctx, Permission.MODEL_REVIEW)
    model, version = get_version(ctx, ref, number)
    store.lock_version(ctx.tx, version.id)
    found = find_review(ctx, ref, number, review)
    user = ctx.actor.user_id
    if user not in found.reviewers and not ctx.actor.may(Permission.ADMIN):
        raise Forbidden("only a reviewer may answer a review")
    _check_undecided(found)
    answer = {"user_id": user, "decision": str(decision), "notes": notes, "at": ctx.now}
    others = tuple(r for r in found.responses if r["user_id"] != user)
    changed = replace(found, responses=(*others, answer), updated_at=ctx.now)
    changed = _decided(changed) if user in found.reviewers else replace(changed, state=ReviewState(str(decision)))
    store.save_review(ctx.tx, changed)
    _tell(ctx, model, version, changed, "review.respond")
    return changed


def _checked_reviewers(ctx: Ctx[ReadTx], reviewers: Sequence[Id]) -> tuple[Id, ...]:
    chosen = tuple(dict.fromkeys(reviewers))
    if not chosen:
        raise Invalid("a review needs at least one reviewer", field="reviewers")
    for user in chosen:
        check_member(ctx, user, "reviewers")
    return chosen


def _check_undecided(review: Review) -> None:
    if review.state not in UNDECIDED:
        raise Precondition(f"the review is {review.state}", review=review.id, state=str(review.state))


def _decided(review: Review) -> Review:
    """The review in the state that its reviewers' answers give."""
    given = {r["user_id"]: r["decision"] for r in review.responses}
    answers = [given.get(user) for user in review.reviewers]
    if Decision.CHANGES_REQUESTED in answers:
        return replace(review, state=ReviewState.CHANGES_REQUESTED)
    done = all(a == Decision.APPROVED for a in answers)
    return replace(review, state=ReviewState.APPROVED if done else ReviewState.OPEN)


def _tell(ctx: Ctx[WriteTx], model: Model, version: ModelVersion, review: Review, action: str) -> None:
    ctx.after_commit(Effect("review", review.id, {"model": model.id, "version": version.number}))
    note(
        ctx, action, "review", review.id,
        model=model.name, version=version.number, stage=review.target_stage, state=str(review.state),
    )  # fmt: skip
