"""Interactions by time and by group: what lists that are sorted or grouped by something else than the id need.

A list of groups with the first few interactions of each is one statement for all of the groups, because one for
each would grow with the page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from quintet.domain.errors import Internal
from quintet.domain.ids import Id
from quintet.domain.interactions import Interaction
from quintet.domain.page import Page, PageRequest
from quintet.storage import interactions as base
from quintet.storage import tables as t
from quintet.storage.interactions import InteractionFilter
from quintet.storage.keyset import fetch_page
from quintet.storage.tx import ReadTx

_c = t.interactions.c
GROUPS = ("model_id", "prompt_hash")


def page_by_time(
    tx: ReadTx, space_id: Id, wanted: InteractionFilter, request: PageRequest, *, descending: bool
) -> Page[Interaction]:
    """A page in the order of `created_at`, which clients may set; a cursor holds that time and the id."""
    query = base.where(tx, space_id, wanted)
    return fetch_page(tx, query, _c.created_at, _c.id, base.load, request, descending=descending)


def first_of_groups(
    tx: ReadTx,
    space_id: Id,
    wanted: InteractionFilter,
    by: str,
    values: Sequence[str],
    limit: int,
    order: str,
    *,
    descending: bool,
) -> dict[str, list[Interaction]]:
    """Up to `limit` interactions of each group, sorted by "id" or "created_at"."""
    column = _column(by)
    keys = [_c.id] if order == "id" else [_c.created_at, _c.id]
    sort = [key.desc() if descending else key.asc() for key in keys]
    place = func.row_number().over(partition_by=column, order_by=sort).label("place")
    inner = base.where(tx, space_id, wanted, [_c.id, place]).where(column.in_(list(values))).subquery()
    query = select(*base.COLUMNS).join(inner, inner.c.id == _c.id).where(inner.c.place <= limit)
    found: dict[str, list[Interaction]] = {value: [] for value in values}
    for row in tx.all(query.order_by(*sort)):
        found[row[by]].append(base.load(row))
    return found


@dataclass(frozen=True, slots=True)
class GroupStats:
    """Direct feedback of one metric in one group; `stddev` is of the population."""

    group: str
    metric_id: Id
    count: int
    total: float
    least: float
    most: float
    squares: float

    @property
    def average(self) -> float:
        return self.total / self.count

    @property
    def stddev(self) -> float:
        return math.sqrt(max(self.squares / self.count - self.average**2, 0.0))


def feedback_of_groups(
    tx: ReadTx, space_id: Id, wanted: InteractionFilter, by: str, values: Sequence[str]
) -> list[GroupStats]:
    """For each group and metric what its direct feedback amounts to."""
    column, f = _column(by), t.feedback.c
    inner = base.where(tx, space_id, wanted, [_c.id, column.label("grp")]).where(column.in_(list(values))).subquery()
    query = (
        select(
            inner.c.grp, f.metric_id, func.count(), func.sum(f.value), func.min(f.value), func.max(f.value),
            func.sum(f.value * f.value),
        )
        .join(inner, inner.c.id == f.interaction_id)
        .where(f.kind == "direct", f.value.is_not(None))
        .group_by(inner.c.grp, f.metric_id)
        .order_by(inner.c.grp, f.metric_id)
    )  # fmt: skip
    return [GroupStats(r[0], r[1], int(r[2]), *(float(v) for v in r[3:7])) for r in tx.execute(query)]


def sizes(tx: ReadTx, space_id: Id, wanted: InteractionFilter, by: str, values: Sequence[str]) -> dict[str, int]:
    """How many interactions each group has; those without any are missing."""
    column = _column(by)
    query = base.where(tx, space_id, wanted, [column, func.count()]).where(column.in_(list(values))).group_by(column)
    return {str(r[0]): int(r[1]) for r in tx.execute(query)}


def of_sessions(tx: ReadTx, space_id: Id, session_ids: Sequence[Id], limit: int) -> dict[Id, list[Interaction]]:
    """The first `limit` interactions of each session, oldest first."""
    place = func.row_number().over(partition_by=_c.session_id, order_by=_c.id.asc()).label("place")
    inner = select(_c.id, place).where(_c.space_id == space_id, _c.session_id.in_(list(session_ids))).subquery()
    query = select(*base.COLUMNS).join(inner, inner.c.id == _c.id).where(inner.c.place <= limit)
    found: dict[Id, list[Interaction]] = {ident: [] for ident in session_ids}
    for row in tx.all(query.order_by(_c.id.asc())):
        found[row["session_id"]].append(base.load(row))
    return found


@dataclass(frozen=True, slots=True)
class LabelUse:
    """One value of a label: on how many interactions of the project, and the newest of them."""

    project_id: Id
    key: str
    value: str
    count: int
    newest: Id


def labels_of_projects(tx: ReadTx, project_ids: Sequence[Id]) -> list[LabelUse]:
    c = t.interaction_labels.c
    query = select(c.project_id, c.key, c.value, func.count(), func.max(c.interaction_id)).where(
        c.project_id.in_(list(project_ids))
    )
    rows = tx.execute(query.group_by(c.project_id, c.key, c.value).order_by(c.project_id, c.key, c.value))
    return [LabelUse(r[0], r[1], r[2], int(r[3]), r[4]) for r in rows]


def ids(tx: ReadTx, space_id: Id, wanted: InteractionFilter, limit: int) -> list[Id]:
    """Up to `limit` ids that the filter leaves, newest first."""
    query = base.where(tx, space_id, wanted, [_c.id]).order_by(_c.id.desc()).limit(limit)
    return [Id(row[0]) for row in tx.execute(query)]


def _column(by: str) -> Any:
    if by not in GROUPS:
        raise Internal(f"interactions are not grouped by {by}")
    return _c[by]
