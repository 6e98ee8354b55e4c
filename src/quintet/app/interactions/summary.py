"""Sums over calls: from the hourly roll-up where it can answer, else over the calls themselves."""

from __future__ import annotations

from dataclasses import dataclass, field

from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx
from quintet.domain.identity import Permission
from quintet.storage import interactions as store
from quintet.storage.interactions import HOUR, InteractionFilter


@dataclass(frozen=True, slots=True)
class CallSummary:
    """Sums; `by_model` counts calls. `since` and `until` are the period that was asked for (µs)."""

    calls: int = 0
    errors: int = 0
    latency_us: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    by_model: dict[str, int] = field(default_factory=dict)
    since: int | None = None
    until: int | None = None


def summarise_calls(ctx: Ctx[ReadTx], wanted: InteractionFilter) -> CallSummary:
    """What the calls that match come to."""
    authorize(ctx, Permission.INTERACTION_READ)
    if _rolled_up(wanted):
        rows = _from_rollup(ctx, wanted)
    else:
        rows = store.sums(ctx.tx, ctx.actor.space_id, wanted)
    by_model: dict[str, int] = {}
    for row in rows:
        by_model[row[0]] = by_model.get(row[0], 0) + row[1]
    return CallSummary(
        calls=sum(r[1] for r in rows), errors=sum(r[2] for r in rows), latency_us=sum(r[3] for r in rows),
        prompt_tokens=sum(r[4] for r in rows), completion_tokens=sum(r[5] for r in rows), by_model=by_model,
        since=wanted.since, until=wanted.until,
    )  # fmt: skip


def _rolled_up(wanted: InteractionFilter) -> bool:
    """The roll-up knows whole hours, models, types and our users; everything else needs the calls."""
    whole = all(t is None or t % HOUR == 0 for t in (wanted.since, wanted.until))
    narrow = (wanted.end_user, wanted.correlation_id, wanted.status, wanted.tag)
    return whole and all(n is None for n in narrow)


def _from_rollup(ctx: Ctx[ReadTx], wanted: InteractionFilter) -> list[tuple[str, int, int, int, int, int]]:
    equal = {"model_name": wanted.model_name, "user_id": wanted.user_id}
    if wanted.types:
        equal["type"] = wanted.types[0]
    given = {k: str(v) for k, v in equal.items() if v is not None}
    rows = store.usage_rows(ctx.tx, ctx.actor.space_id, wanted.since or 0, wanted.until or 2**62, **given)
    return [(r.model_name, r.calls, r.errors, r.latency_us, r.prompt_tokens, r.completion_tokens) for r in rows]
