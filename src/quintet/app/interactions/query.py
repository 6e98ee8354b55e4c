"""What interactions somebody means, in names: resolved to ids in the transaction that reads them.

Queries are values (hashable), so that a page which asks the same of many nodes asks the database once.
"""

from __future__ import annotations

from dataclasses import dataclass

from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx
from quintet.app.feedback.manage import find_metric
from quintet.app.projects.manage import find_project
from quintet.app.serving.services import find_service
from quintet.domain.identity import Permission
from quintet.domain.ids import Id
from quintet.domain.interactions import InteractionSource
from quintet.storage.interactions import FeedbackCondition, InteractionFilter

LabelQuery = tuple[str, tuple[str, ...] | None]
"""A label key, and the values of which one must be there (None: any)."""

EMBEDDING = "embedding"


@dataclass(frozen=True, slots=True)
class FeedbackQuery:
    """A direct feedback in `metric` (id or key) that meets every bound that is given."""

    metric: str
    above: float | None = None
    least: float | None = None
    equal: float | None = None
    unequal: float | None = None
    below: float | None = None
    most: float | None = None
    reasons: tuple[str, ...] | None = None
    user: tuple[Id | None, str] | None = None


@dataclass(frozen=True, slots=True)
class InteractionQuery:
    """Interactions of a project that meet everything given. `models` are services by id or key, any of them;
    `comparisons` are metrics in which each was compared. Times in microseconds, `since` inclusive, `until` not.
    Embeddings are left out: nothing was said in them.
    """

    project: str
    models: tuple[str, ...] | None = None
    since: int | None = None
    until: int | None = None
    session_id: Id | None = None
    caller: tuple[Id | None, str] | None = None
    feedbacks: tuple[FeedbackQuery, ...] = ()
    comparisons: tuple[str, ...] = ()
    labels: tuple[LabelQuery, ...] = ()
    prompt_hash: str | None = None
    ids: tuple[Id, ...] | None = None
    excluded: tuple[Id, ...] = ()
    sources: tuple[InteractionSource, ...] | None = None


def resolve(ctx: Ctx[ReadTx], query: InteractionQuery) -> InteractionFilter:
    """The filter in ids; NotFound for a project, model or metric that is not there."""
    authorize(ctx, Permission.INTERACTION_READ)
    project = find_project(ctx, query.project)
    services = [find_service(ctx, project.id, m) for m in query.models or ()]
    by_model = query.models is not None and all(s.model_id is not None for s in services)
    return InteractionFilter(
        project_id=project.id,
        ids=query.ids,
        models=tuple(s.model_id for s in services if s.model_id is not None) if by_model else None,
        deployments=tuple(s.id for s in services) if query.models is not None and not by_model else None,
        sources=None if query.sources is None else tuple(s.value for s in query.sources),
        since=query.since,
        until=query.until,
        session_id=query.session_id,
        caller=query.caller,
        prompt_hash=query.prompt_hash,
        labels=query.labels,
        conditions=tuple(_condition(ctx, f) for f in query.feedbacks),
        comparison_metrics=tuple(find_metric(ctx, m).id for m in query.comparisons),
        excluded=query.excluded,
        excluded_types=(EMBEDDING,),
    )


def _condition(ctx: Ctx[ReadTx], wanted: FeedbackQuery) -> FeedbackCondition:
    return FeedbackCondition(
        find_metric(ctx, wanted.metric).id, wanted.above, wanted.least, wanted.equal, wanted.unequal, wanted.below,
        wanted.most, wanted.reasons, wanted.user,
    )  # fmt: skip
