"""Metrics, and the feedback given in them; feedback that belongs to an experiment moves its statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx, WriteTx
from quintet.app.experiments.evidence import count_comparison, count_direct
from quintet.domain.errors import Conflict, Invalid, NotFound
from quintet.domain.identity import Permission
from quintet.domain.ids import Id, Kind, from_uuid, new_id
from quintet.domain.interactions import Direction, Feedback, FeedbackKind, Interaction, Metric, MetricKind
from quintet.domain.page import PageRequest
from quintet.domain.projects import check_name, slug
from quintet.storage import feedback as store
from quintet.storage import interactions as interaction_store


@dataclass(frozen=True, slots=True)
class CreateMetric:
    name: str
    key: str | None = None
    kind: MetricKind = MetricKind.SCALAR
    direction: Direction = Direction.HIGHER_IS_BETTER
    description: str = ""
    lower: float | None = None
    upper: float | None = None


def create_metric(ctx: Ctx[WriteTx], cmd: CreateMetric) -> Metric:
    """Registers a metric for the whole space; Conflict where its key is taken."""
    authorize(ctx, Permission.METRIC_WRITE)
    name = check_name(cmd.name)
    key = check_name(cmd.key, field="key") if cmd.key else slug(name, "metric")
    if len(key) > 200:
        raise Invalid("'key' is longer than 200 characters", field="key")
    if store.find_metric(ctx.tx, ctx.actor.space_id, key) is not None:
        raise Conflict(f"a metric with the key '{key}' is there already", field="key")
    if cmd.lower is not None and cmd.upper is not None and cmd.lower >= cmd.upper:
        raise Invalid("'lower' must be below 'upper'", field="lower")
    item = Metric(
        new_id(),
        ctx.actor.space_id,
        key,
        name,
        cmd.kind,
        cmd.direction,
        ctx.now,
        cmd.description,
        cmd.lower,
        cmd.upper,
    )
    store.insert_metric(ctx.tx, item)
    return item


def find_metric(ctx: Ctx[ReadTx], ref: str) -> Metric:
    """A metric by key or id, in any spelling."""
    authorize(ctx, Permission.PROJECT_READ)
    ident = from_uuid(ref, Kind.METRIC)
    item = store.find_metric(ctx.tx, ctx.actor.space_id, ident or ref)
    if item is None:
        raise NotFound.of("metric", ref)
    return item


def ensure_metric(ctx: Ctx[WriteTx], key: str, kind: MetricKind) -> Metric:
    """The metric of that key, registered where it is missing (data that is uploaded may bring its own)."""
    authorize(ctx, Permission.PROJECT_READ)
    return store.find_metric(ctx.tx, ctx.actor.space_id, key) or create_metric(ctx, CreateMetric(key, key, kind))


def list_metrics(ctx: Ctx[ReadTx], project_id: Id | None = None) -> list[Metric]:
    """Every metric of the space, or those linked to a project."""
    authorize(ctx, Permission.PROJECT_READ)
    return store.list_metrics(ctx.tx, ctx.actor.space_id, project_id)


def get_metrics(ctx: Ctx[ReadTx], ids: Sequence[Id]) -> dict[Id, Metric]:
    """Metrics of the actor's space by id; those that are not there are missing from the answer."""
    authorize(ctx, Permission.PROJECT_READ)
    return store.get_metrics(ctx.tx, ctx.actor.space_id, ids)


def metric_links(ctx: Ctx[ReadTx], ids: Sequence[Id]) -> list[tuple[Id, Id, int]]:
    """(metric, project, linked at) for these metrics."""
    return store.links(ctx.tx, list(get_metrics(ctx, ids)))


def feedback_kinds(ctx: Ctx[ReadTx], ids: Sequence[Id]) -> dict[Id, set[str]]:
    """Which kinds of feedback ("direct", "comparison", "outcome") were given in each metric."""
    return store.kinds_of(ctx.tx, list(get_metrics(ctx, ids)))


def link_metric(ctx: Ctx[WriteTx], metric: str, project_id: Id) -> Metric:
    authorize(ctx, Permission.METRIC_WRITE)
    item = find_metric(ctx, metric)
    store.link(ctx.tx, item.id, project_id, ctx.now)
    return item


def unlink_metric(ctx: Ctx[WriteTx], metric: str, project_id: Id) -> Metric:
    authorize(ctx, Permission.METRIC_WRITE)
    item = find_metric(ctx, metric)
    store.unlink(ctx.tx, item.id, project_id)
    return item


def check_value(metric: Metric, value: float | bool) -> float:
    """The value as it is stored; Invalid where the metric cannot have it."""
    if not isinstance(value, int | float):
        raise Invalid("'value' must be a number or true/false", field="value")
    number = float(value)
    if not math.isfinite(number):
        raise Invalid("'value' must be a finite number", field="value")
    if metric.kind is MetricKind.BOOL and number not in (0.0, 1.0):
        raise Invalid(f"'{metric.key}' takes 0, 1, true or false", field="value")
    if (metric.lower is not None and number < metric.lower) or (metric.upper is not None and number > metric.upper):
        raise Invalid(f"'{metric.key}' takes values from {metric.lower} to {metric.upper}", field="value")
    return number


@dataclass(frozen=True, slots=True)
class GiveFeedback:
    """A value on one interaction."""

    metric: str
    interaction_id: Id
    value: float | bool
    reason: str | None = None
    details: str | None = None
    end_user: str | None = None
    created_at: int | None = None


def give_feedback(ctx: Ctx[WriteTx], cmd: GiveFeedback) -> Feedback:
    """Stores a direct feedback; its metric is linked to the project, its experiment (if any) moves on."""
    authorize(ctx, Permission.FEEDBACK_WRITE)
    metric = find_metric(ctx, cmd.metric)
    about = _interaction(ctx, cmd.interaction_id, "completion_id")
    item = Feedback(
        id=new_id(), space_id=ctx.actor.space_id, project_id=about.project_id, metric_id=metric.id,
        kind=FeedbackKind.DIRECT, created_at=cmd.created_at or ctx.now, value=check_value(metric, cmd.value),
        interaction_id=about.id, user_id=ctx.actor.user_id, end_user=cmd.end_user, reason=cmd.reason,
        details=cmd.details, experiment_id=about.experiment_id, model_id=about.model_id,
    )  # fmt: skip
    store.insert_feedback(ctx.tx, item)
    if about.project_id is not None:
        store.link(ctx.tx, metric.id, about.project_id, ctx.now)
    count_direct(ctx, item, about, metric)
    return item


@dataclass(frozen=True, slots=True)
class GiveComparison:
    """One interaction preferred over another; `tied` "good" or "bad" where neither was better."""

    metric: str
    preferred_id: Id
    other_id: Id
    tied: str | None = None
    end_user: str | None = None
    details: str | None = None


def give_comparison(ctx: Ctx[WriteTx], cmd: GiveComparison) -> Feedback:
    """Stores a preference between two interactions with the same prompt."""
    authorize(ctx, Permission.FEEDBACK_WRITE)
    metric = find_metric(ctx, cmd.metric)
    if cmd.tied not in (None, "good", "bad"):
        raise Invalid("'tied' must be 'good' or 'bad'", field="tied")
    preferred = _interaction(ctx, cmd.preferred_id, "preferred_completion")
    other = _interaction(ctx, cmd.other_id, "other_completion")
    if preferred.id == other.id:
        raise Invalid("an interaction cannot be compared with itself", field="other_completion")
    item = Feedback(
        id=new_id(), space_id=ctx.actor.space_id, project_id=preferred.project_id, metric_id=metric.id,
        kind=FeedbackKind.COMPARISON, created_at=ctx.now, interaction_id=preferred.id, other_id=other.id,
        tied=cmd.tied, user_id=ctx.actor.user_id, end_user=cmd.end_user, details=cmd.details,
        experiment_id=preferred.experiment_id or other.experiment_id, model_id=preferred.model_id,
        other_model_id=other.model_id,
    )  # fmt: skip
    store.insert_feedback(ctx.tx, item)
    if preferred.project_id is not None:
        store.link(ctx.tx, metric.id, preferred.project_id, ctx.now)
    count_comparison(ctx, item, preferred, other, metric)
    return item


def give_outcome(
    ctx: Ctx[WriteTx], metric: str, session_id: Id, value: float | bool, end_user: str | None = None
) -> Feedback:
    """Stores a value on a whole session."""
    authorize(ctx, Permission.FEEDBACK_WRITE)
    found = find_metric(ctx, metric)
    wanted = interaction_store.InteractionFilter(session_id=session_id)
    about = interaction_store.page(ctx.tx, ctx.actor.space_id, wanted, PageRequest(limit=1)).items
    if not about:
        raise NotFound.of("session", session_id)
    item = Feedback(
        id=new_id(), space_id=ctx.actor.space_id, project_id=about[0].project_id, metric_id=found.id,
        kind=FeedbackKind.OUTCOME, created_at=ctx.now, value=check_value(found, value), session_id=session_id,
        user_id=ctx.actor.user_id, end_user=end_user,
    )  # fmt: skip
    store.insert_feedback(ctx.tx, item)
    return item


def update_feedback(ctx: Ctx[WriteTx], feedback_id: Id, *, value: float | None, details: str | None) -> Feedback:
    """Corrects the value or details of a direct feedback. What an experiment has counted stays counted."""
    authorize(ctx, Permission.FEEDBACK_WRITE)
    item = store.find_feedback(ctx.tx, ctx.actor.space_id, feedback_id)
    if item is None:
        raise NotFound.of("feedback", feedback_id)
    metric = find_metric(ctx, item.metric_id)
    changed = replace(
        item,
        value=item.value if value is None else check_value(metric, value),
        details=item.details if details is None else details,
    )
    store.save_feedback(ctx.tx, changed)
    return changed


def _interaction(ctx: Ctx[ReadTx], ident: Id, field: str) -> Interaction:
    found = interaction_store.get(ctx.tx, ctx.actor.space_id, ident)
    if found is None:
        error = NotFound.of("completion", ident)
        error.field = field
        raise error
    return found


def feedback_on(ctx: Ctx[ReadTx], ids: Sequence[Id]) -> list[Feedback]:
    """Every feedback that names one of these interactions."""
    authorize(ctx, Permission.INTERACTION_READ)
    return store.of_interactions(ctx.tx, ctx.actor.space_id, ids)


def list_feedback(
    ctx: Ctx[ReadTx], *, project_id: Id | None = None, metric_id: Id | None = None, kind: FeedbackKind | None = None
) -> list[Feedback]:
    authorize(ctx, Permission.INTERACTION_READ)
    return store.list_feedback(
        ctx.tx, ctx.actor.space_id, project_id=project_id, metric_id=metric_id, kind=kind.value if kind else None
    )


def metric_summary(
    ctx: Ctx[ReadTx], project_id: Id, metric_id: Id, model_id: Id | None = None
) -> tuple[int, float | None]:
    """(how many direct feedbacks, their mean) of a metric in a project."""
    authorize(ctx, Permission.INTERACTION_READ)
    if store.find_metric(ctx.tx, ctx.actor.space_id, metric_id) is None:
        return 0, None
    return store.summary(ctx.tx, project_id, metric_id, model_id)
