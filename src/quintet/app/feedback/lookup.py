"""Metrics and feedback of many projects or interactions at once, for pages that show them nested."""

from __future__ import annotations

from collections.abc import Sequence

from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx
from quintet.domain.identity import Permission
from quintet.domain.ids import Id
from quintet.domain.interactions import Feedback, Metric
from quintet.storage import feedback as store


def metrics_of_projects(ctx: Ctx[ReadTx], project_ids: Sequence[Id]) -> dict[Id, list[Metric]]:
    """The metrics linked to each project that has any."""
    authorize(ctx, Permission.PROJECT_READ)
    return store.metrics_of_projects(ctx.tx, ctx.actor.space_id, project_ids)


def metrics_by_key(ctx: Ctx[ReadTx], keys: Sequence[str]) -> dict[str, Metric]:
    """Metrics of the space by key; those that are not there are missing from the answer."""
    authorize(ctx, Permission.PROJECT_READ)
    return store.metrics_by_key(ctx.tx, ctx.actor.space_id, keys)


def projects_of_metrics(ctx: Ctx[ReadTx], metric_ids: Sequence[Id]) -> dict[Id, list[Id]]:
    """The projects that each metric is linked to."""
    authorize(ctx, Permission.PROJECT_READ)
    found: dict[Id, list[Id]] = {}
    ours = store.get_metrics(ctx.tx, ctx.actor.space_id, metric_ids)
    for metric, project, _ in store.links(ctx.tx, list(ours)):
        found.setdefault(metric, []).append(project)
    return found


def feedback_by_interaction(ctx: Ctx[ReadTx], ids: Sequence[Id]) -> dict[Id, list[Feedback]]:
    """All feedback on each interaction, oldest first; a comparison is listed at both of its sides."""
    authorize(ctx, Permission.INTERACTION_READ)
    found: dict[Id, list[Feedback]] = {i: [] for i in ids}
    for item in store.of_interactions(ctx.tx, ctx.actor.space_id, ids):
        for side in (item.interaction_id, item.other_id):
            if side in found:
                found[side].append(item)
    return found


FeedbackWindow = tuple[Id, Id, int | None, int | None]
"""A project, a metric, and from when to when (µs, None for open)."""


def feedback_counts(ctx: Ctx[ReadTx], windows: Sequence[FeedbackWindow]) -> dict[FeedbackWindow, dict[str, int]]:
    """How many feedbacks of each kind ("direct", "comparison", "outcome") every window holds."""
    authorize(ctx, Permission.INTERACTION_READ)
    found: dict[FeedbackWindow, dict[str, int]] = {w: {} for w in windows}
    for since, until in {(w[2], w[3]) for w in windows}:
        same = [w for w in windows if w[2:] == (since, until)]
        projects, metrics = sorted({w[0] for w in same}), sorted({w[1] for w in same})
        counted = store.counts_in_projects(ctx.tx, projects, metrics, since, until)
        for (project, metric, kind), number in counted.items():
            if (window := (project, metric, since, until)) in found:
                found[window][kind] = number
    return found
