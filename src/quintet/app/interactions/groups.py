"""Lists of interactions by time, and of groups of them with the first few of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx
from quintet.app.interactions.manage import InteractionGroup, group_interactions, list_interactions
from quintet.app.interactions.query import InteractionQuery, resolve
from quintet.domain.errors import Invalid
from quintet.domain.identity import Permission
from quintet.domain.ids import Id
from quintet.domain.interactions import Interaction
from quintet.domain.page import Page, PageRequest
from quintet.storage import interaction_groups as store
from quintet.storage import interactions as base
from quintet.storage.interaction_groups import GroupStats, LabelUse

__all__ = ["GroupAsk", "GroupStats", "LabelUse"]
ORDERS = ("id", "created_at")
TURNS = 200
"""The most turns of a session that are shown; arbitrary, conversations are shorter."""


def list_sorted(
    ctx: Ctx[ReadTx], query: InteractionQuery, page: PageRequest, order: str, *, descending: bool
) -> Page[Interaction]:
    """A page sorted by "id" or by "created_at", which differ for calls that were logged afterwards."""
    wanted = resolve(ctx, query)
    if order == "id":
        return list_interactions(ctx, wanted, page, descending=descending)
    if order != "created_at":
        raise Invalid(f"interactions are not sorted by '{order}'", field="order")
    return store.page_by_time(ctx.tx, ctx.actor.space_id, wanted, page, descending=descending)


def count_interactions(ctx: Ctx[ReadTx], query: InteractionQuery) -> int:
    """How many interactions the query means."""
    return base.count(ctx.tx, ctx.actor.space_id, resolve(ctx, query))


def list_groups(
    ctx: Ctx[ReadTx], query: InteractionQuery, by: str, page: PageRequest, *, descending: bool
) -> tuple[list[InteractionGroup], int]:
    """Groups by "model_id" or "prompt_hash", after the group value `page.after`, and how many there are in all."""
    return group_interactions(ctx, resolve(ctx, query), by, page, descending=descending)


@dataclass(frozen=True, slots=True)
class GroupAsk:
    """The first `limit` interactions of the group `value` of what `query` means."""

    query: InteractionQuery
    by: str
    value: str
    limit: int = 1
    order: str = "id"
    descending: bool = True


def first_of_groups(ctx: Ctx[ReadTx], asks: Sequence[GroupAsk]) -> dict[GroupAsk, list[Interaction]]:
    """One statement for all groups that are asked for alike."""
    authorize(ctx, Permission.INTERACTION_READ)
    found: dict[GroupAsk, list[Interaction]] = {}
    for lead in {replace(a, value="") for a in asks}:
        alike = [a for a in asks if replace(a, value="") == lead]
        rows = store.first_of_groups(
            ctx.tx, ctx.actor.space_id, resolve(ctx, lead.query), lead.by, [a.value for a in alike], lead.limit,
            lead.order, descending=lead.descending,
        )  # fmt: skip
        found.update({a: rows[a.value] for a in alike})
    return found


def feedback_of_groups(ctx: Ctx[ReadTx], asks: Sequence[GroupAsk]) -> dict[GroupAsk, list[GroupStats]]:
    """What the direct feedback of each group amounts to, by metric; one statement for each list of groups."""
    authorize(ctx, Permission.INTERACTION_READ)
    found: dict[GroupAsk, list[GroupStats]] = {a: [] for a in asks}
    for lead in {replace(a, value="") for a in asks}:
        values = [a.value for a in asks if replace(a, value="") == lead]
        wanted = resolve(ctx, lead.query)
        for stats in store.feedback_of_groups(ctx.tx, ctx.actor.space_id, wanted, lead.by, values):
            found[replace(lead, value=stats.group)].append(stats)
    return found


def sizes_of_groups(ctx: Ctx[ReadTx], asks: Sequence[GroupAsk]) -> dict[GroupAsk, int]:
    """How many interactions each group has."""
    authorize(ctx, Permission.INTERACTION_READ)
    found: dict[GroupAsk, int] = dict.fromkeys(asks, 0)
    for lead in {replace(a, value="") for a in asks}:
        values = [a.value for a in asks if replace(a, value="") == lead]
        sizes = store.sizes(ctx.tx, ctx.actor.space_id, resolve(ctx, lead.query), lead.by, values)
        found.update({replace(lead, value=value): size for value, size in sizes.items()})
    return found


def turns_of_sessions(ctx: Ctx[ReadTx], session_ids: Sequence[Id]) -> dict[Id, list[Interaction]]:
    """The interactions of each session, oldest first, up to `TURNS`."""
    authorize(ctx, Permission.INTERACTION_READ)
    return store.of_sessions(ctx.tx, ctx.actor.space_id, session_ids, TURNS)


def labels_of_projects(ctx: Ctx[ReadTx], project_ids: Sequence[Id]) -> dict[Id, list[LabelUse]]:
    """Every value of every label of each project, with its count, sorted by key and value."""
    authorize(ctx, Permission.INTERACTION_READ)
    found: dict[Id, list[LabelUse]] = {}
    for use in store.labels_of_projects(ctx.tx, project_ids):
        found.setdefault(use.project_id, []).append(use)
    return found
