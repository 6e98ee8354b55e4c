"""Feedback over time: how many, their sum and mean, by buckets of a time zone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx
from quintet.domain.calendar import Bucket, bucket_start, zone
from quintet.domain.identity import Permission
from quintet.domain.ids import Id
from quintet.storage import feedback as store

DAYS_30_US = 30 * 24 * 3_600_000_000


@dataclass(frozen=True, slots=True)
class SeriesAsk:
    """Direct feedback of one metric in one project; open ends mean everything there is."""

    project_id: Id
    metric_id: Id
    bucket: Bucket
    timezone: str | None = None
    by_model: bool = False
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """One bucket of one line: of a model, or of all (None)."""

    model_id: Id | None
    start: int
    count: int
    total: float


def feedback_series(ctx: Ctx[ReadTx], asks: Sequence[SeriesAsk]) -> dict[SeriesAsk, list[Point]]:
    """Buckets that hold feedback, in order; one statement for each time that is asked for."""
    authorize(ctx, Permission.INTERACTION_READ)
    found: dict[SeriesAsk, list[Point]] = {}
    for since, until in {(a.since, a.until) for a in asks}:
        alike = [a for a in asks if (a.since, a.until) == (since, until)]
        projects, metrics = sorted({a.project_id for a in alike}), sorted({a.metric_id for a in alike})
        rows = store.hourly(ctx.tx, projects, metrics, since, until)
        for ask in alike:
            mine = [r for r in rows if (r.project_id, r.metric_id) == (ask.project_id, ask.metric_id)]
            found[ask] = _points(ask, mine)
    return found


def _points(ask: SeriesAsk, rows: Sequence[store.FeedbackHour]) -> list[Point]:
    where = zone(ask.timezone)
    sums: dict[tuple[Id | None, int], tuple[int, float]] = {}
    for row in rows:
        key = (row.model_id if ask.by_model else None, bucket_start(row.hour, ask.bucket, where))
        count, total = sums.get(key, (0, 0.0))
        sums[key] = (count + row.count, total + row.total)
    ordered = sorted(sums.items(), key=lambda kv: (kv[0][0] or "", kv[0][1]))
    return [Point(model, start, count, total) for (model, start), (count, total) in ordered]


@dataclass(frozen=True, slots=True)
class TrendAsk:
    """A metric in a project now against the equally long time before (30 days where nothing is said)."""

    project_id: Id
    metric_id: Id
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Trend:
    """(count, sum) before and now."""

    before: tuple[int, float]
    now: tuple[int, float]


def feedback_trends(ctx: Ctx[ReadTx], asks: Sequence[TrendAsk]) -> dict[TrendAsk, Trend]:
    """To the hour; one statement for each time that is asked for."""
    authorize(ctx, Permission.INTERACTION_READ)
    found: dict[TrendAsk, Trend] = {}
    for since, until in {(a.since, a.until) for a in asks}:
        end = ctx.now if until is None else until
        begin = end - DAYS_30_US if since is None else since
        alike = [a for a in asks if (a.since, a.until) == (since, until)]
        projects, metrics = sorted({a.project_id for a in alike}), sorted({a.metric_id for a in alike})
        rows = store.hourly(ctx.tx, projects, metrics, begin - (end - begin), end)
        for ask in alike:
            mine = [r for r in rows if (r.project_id, r.metric_id) == (ask.project_id, ask.metric_id)]
            old, new = [r for r in mine if r.hour < begin], [r for r in mine if r.hour >= begin]
            found[ask] = Trend(
                (sum(r.count for r in old), sum(r.total for r in old)),
                (sum(r.count for r in new), sum(r.total for r in new)),
            )
    return found
