"""Lists of interactions by time, and of groups of them with the first few of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx
from quintet.app.interactions.manage import list_interactions
from quintet.domain.errors import Invalid
from quintet.domain.identity import Permission
from quintet.domain.interactions import Interaction
from quintet.domain.page import Page, PageRequest
from quintet.storage import interaction_groups as store
from quintet.storage import interactions as base
from quintet.storage.interaction_groups import GroupStats
from quintet.storage.interactions import FeedbackCondition, InteractionFilter

__all__ = ["FeedbackCondition", "GroupAsk", "GroupStats"]
ORDERS = ("id", "created_at")


def list_sorted(
    ctx: Ctx[ReadTx], wanted: InteractionFilter, page: PageRequest, order: str, *, descending: bool
) -> Page[Interaction]:
    """A page sorted by "id" or by "created_at", which differ for calls that were logged afterwards."""
    if order == "id":
        return list_interactions(ctx, wanted, page, descending=descending)
    authorize(ctx, Permission.INTERACTION_READ)
    if order != "created_at":
        raise Invalid(f"interactions are not sorted by '{order}'", field="order")
    return store.page_by_time(ctx.tx, ctx.actor.space_id, wanted, page, descending=descending)


def count_interactions(ctx: Ctx[ReadTx], wanted: InteractionFilter) -> int:
    """How many interactions the filter leaves."""
    authorize(ctx, Permission.INTERACTION_READ)
    return base.count(ctx.tx, ctx.actor.space_id, wanted)


@dataclass(frozen=True, eq=False)
class GroupList:
    """The list that groups belong to: its filter, and by "model_id" or "prompt_hash". Equal only to itself."""

    wanted: InteractionFilter
    by: str


@dataclass(frozen=True, slots=True)
class GroupAsk:
    """The first `limit` interactions of one group of a list."""

    groups: GroupList
    value: str
    limit: int
    order: str
    descending: bool


def first_of_groups(ctx: Ctx[ReadTx], asks: Sequence[GroupAsk]) -> dict[GroupAsk, list[Interaction]]:
    """One statement for all groups that are asked for alike."""
    authorize(ctx, Permission.INTERACTION_READ)
    found: dict[GroupAsk, list[Interaction]] = {}
    for lead in {(a.groups, a.limit, a.order, a.descending) for a in asks}:
        groups, limit, order, descending = lead
        alike = [a for a in asks if (a.groups, a.limit, a.order, a.descending) == lead]
        rows = store.first_of_groups(
            ctx.tx, ctx.actor.space_id, groups.wanted, groups.by, [a.value for a in alike], limit, order,
            descending=descending,
        )  # fmt: skip
        found.update({a: rows[a.value] for a in alike})
    return found


def feedback_of_groups(
    ctx: Ctx[ReadTx], asks: Sequence[tuple[GroupList, str]]
) -> dict[tuple[GroupList, str], list[GroupStats]]:
    """What the direct feedback of each group amounts to, by metric; one statement for each list."""
    authorize(ctx, Permission.INTERACTION_READ)
    found: dict[tuple[GroupList, str], list[GroupStats]] = {ask: [] for ask in asks}
    for groups in {g for g, _ in asks}:
        values = [v for g, v in asks if g is groups]
        for stats in store.feedback_of_groups(ctx.tx, ctx.actor.space_id, groups.wanted, groups.by, values):
            found[groups, stats.group].append(stats)
    return found
