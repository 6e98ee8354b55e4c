"""What models were used for over time, and how busy projects and models are: from the hourly roll-ups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx
from quintet.domain.billing import UsageRow
from quintet.domain.calendar import HOUR_US, Bucket, bucket_start
from quintet.domain.errors import Invalid
from quintet.domain.identity import Permission
from quintet.domain.ids import Id
from quintet.storage import feedback as feedback_store
from quintet.storage import interactions as store

DAYS_30_US = 30 * 24 * HOUR_US


@dataclass(frozen=True, slots=True)
class Used:
    """Sums of calls and tokens."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def plus(self, row: UsageRow) -> Used:
        return Used(
            self.calls + row.calls,
            self.prompt_tokens + row.prompt_tokens,
            self.completion_tokens + row.completion_tokens,
        )


@dataclass(frozen=True, slots=True)
class UsedIn:
    """What one deployment was used for in one project, in the bucket that begins at `start`."""

    deployment_id: Id
    project_id: Id | None
    start: int
    used: Used


def usage_by_deployment(
    ctx: Ctx[ReadTx], since: int | None, until: int | None, bucket: Bucket, where: ZoneInfo
) -> list[UsedIn]:
    """Every deployment's usage with `since` ≤ time < `until` (whole hours), by buckets of the time zone."""
    authorize(ctx, Permission.INTERACTION_READ)
    sums: dict[tuple[Id, Id | None, int], Used] = {}
    for row in store.usage_rows(ctx.tx, ctx.actor.space_id, since or 0, ctx.now + 1 if until is None else until):
        if row.deployment_id is not None:
            key = (row.deployment_id, row.project_id, bucket_start(row.hour, bucket, where))
            sums[key] = sums.get(key, Used()).plus(row)
    return [UsedIn(*key, used) for key, used in sorted(sums.items(), key=lambda kv: (kv[0][2], kv[0][0]))]


@dataclass(frozen=True, slots=True)
class ActivityAsk:
    """How busy something was: a project, some deployments, or a model in a project; None narrows nothing."""

    project_id: Id | None = None
    deployments: tuple[Id, ...] | None = None
    model_id: Id | None = None
    metric_id: Id | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Busy:
    """Counts in a time and in the equally long time before it; `seconds` is how long that is."""

    calls: int
    calls_before: int
    feedbacks: int
    feedbacks_before: int
    seconds: float


def activity(ctx: Ctx[ReadTx], asks: Sequence[ActivityAsk]) -> dict[ActivityAsk, Busy]:
    """The last 30 days where no time is given. Two statements for each time that is asked for."""
    authorize(ctx, Permission.INTERACTION_READ)
    found: dict[ActivityAsk, Busy] = {}
    for since, until in {(a.since, a.until) for a in asks}:
        end = ctx.now if until is None else until
        begin = end - DAYS_30_US if since is None else since
        if end <= begin:
            raise Invalid("the time range is empty", field="timerange")
        before = begin - (end - begin)
        rows = store.usage_rows(ctx.tx, ctx.actor.space_id, before, end)
        given = feedback_store.counts_between(ctx.tx, ctx.actor.space_id, before, begin, end)
        for ask in [a for a in asks if (a.since, a.until) == (since, until)]:
            mine = [r for r in rows if _fits(ask, r)]
            judged = [g for g in given if _judges(ask, g)]
            found[ask] = Busy(
                sum(r.calls for r in mine if r.hour >= begin // HOUR_US * HOUR_US),
                sum(r.calls for r in mine if r.hour < begin // HOUR_US * HOUR_US),
                sum(g.count for g in judged if g.recent), sum(g.count for g in judged if not g.recent),
                (end - begin) / 1e6,
            )  # fmt: skip
    return found


def _fits(ask: ActivityAsk, row: UsageRow) -> bool:
    return (ask.project_id is None or row.project_id == ask.project_id) and (
        ask.deployments is None or row.deployment_id in ask.deployments
    )


def _judges(ask: ActivityAsk, row: feedback_store.FeedbackCount) -> bool:
    wanted = ((ask.project_id, row.project_id), (ask.model_id, row.model_id), (ask.metric_id, row.metric_id))
    return all(one is None or one == other for one, other in wanted)
