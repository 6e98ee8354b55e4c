"""Interactions that happened elsewhere, with the feedback that was given there: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from quintet.app.context import Ctx, WriteTx
from quintet.app.experiments.manage import find_experiment
from quintet.app.feedback.manage import GiveFeedback, give_feedback
from quintet.app.interactions.manage import AddInteraction, add_interaction
from quintet.app.projects.manage import find_project
from quintet.app.serving.services import find_service
from quintet.domain.errors import Invalid, NotFound
from quintet.domain.ids import Id
from quintet.domain.interactions import Feedback, Interaction


@dataclass(frozen=True, slots=True)
class GivenFeedback:
    """A value in a metric (id or key)."""

    metric: str
    value: float | bool
    reason: str | None = None
    details: str | None = None
    created_at: int | None = None


@dataclass(frozen=True, slots=True)
class LogInteraction:
    """A finished call. `model` is a service of the project, `experiment` an A/B test its feedback counts for."""

    project: str
    messages: Sequence[Mapping[str, Any]]
    completion: str
    model: str | None = None
    experiment: str | None = None
    feedbacks: Sequence[GivenFeedback] = ()
    session_id: Id | None = None
    end_user: str | None = None
    created_at: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    dialect: str = ""


class Logged(NamedTuple):
    interaction: Interaction
    feedbacks: list[Feedback]


def log_interaction(ctx: Ctx[WriteTx], cmd: LogInteraction) -> Logged:
    """Stores the call and its feedback. Invalid where an A/B test is named that the model takes no part in."""
    project = find_project(ctx, cmd.project)
    service = find_service(ctx, project.id, cmd.model) if cmd.model is not None else None
    experiment_id: Id | None = None
    if cmd.experiment is not None:
        experiment = find_experiment(ctx, cmd.experiment)
        if experiment.project_id != project.id:
            raise NotFound.of("experiment", cmd.experiment)
        if service is None or service.id not in experiment.deployments:
            raise Invalid(f"the A/B test '{experiment.key}' does not compare this model", field="ab_campaign")
        experiment_id = experiment.id
    made = add_interaction(
        ctx,
        AddInteraction(
            messages=cmd.messages, completion=cmd.completion, project_id=project.id,
            model_id=service.model_id if service else None, deployment_id=service.id if service else None,
            model_name=service.key if service else "", session_id=cmd.session_id, end_user=cmd.end_user,
            created_at=cmd.created_at, experiment_id=experiment_id, labels=cmd.labels, metadata=cmd.metadata,
            dialect=cmd.dialect,
        ),
    )  # fmt: skip
    given = [
        give_feedback(
            ctx, GiveFeedback(f.metric, made.id, f.value, f.reason, f.details, cmd.end_user, f.created_at)
        )
        for f in cmd.feedbacks
    ]  # fmt: skip
    return Logged(made, given)
