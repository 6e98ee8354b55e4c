"""Datasets made of interactions that were recorded: chosen by filters, sampled, with the feedback they have.

The ids are chosen in one view of the database; the interactions are then read in batches as their rows are
written, so that neither memory nor the length of a transaction grows with the dataset.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, assert_never

from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx
from quintet.app.core import Core
from quintet.app.datasets.manage import CreateDataset, check_new
from quintet.app.datasets.metrics import CHAT_KINDS, create_with_metrics
from quintet.app.feedback.manage import find_metric
from quintet.app.interactions.query import InteractionQuery, LabelQuery, resolve
from quintet.app.projects.manage import find_project
from quintet.domain.data import Dataset, DatasetKind, DatasetSource
from quintet.domain.errors import Invalid, Quota
from quintet.domain.identity import Actor, Permission
from quintet.domain.ids import Id
from quintet.domain.interactions import Feedback, FeedbackKind, Interaction, Metric, MetricKind
from quintet.storage import feedback as feedback_store
from quintet.storage import interaction_groups as group_store
from quintet.storage import interactions as store

BATCH = 500
"""Interactions read at a time; SQLite takes 32,766 parameters in a statement, this stays far below."""

MOST = 1_000_000
"""The most interactions of one dataset: their ids are held in memory while it is made, about 80 MB."""


class Sample(StrEnum):
    ALL = "all"
    RANDOM = "random"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class FromInteractions:
    """What to make. `chosen` are queries whose results are joined; `metrics` (ids or keys) None means every metric.

    `feedback_labels` narrows whose feedback counts to interactions with these labels. `size` is how many
    interactions are sampled (all without it).
    """

    name: str
    kind: DatasetKind
    project: str
    chosen: Sequence[InteractionQuery]
    key: str | None = None
    sample: Sample = Sample.ALL
    size: int | None = None
    metrics: tuple[str, ...] | None = None
    feedback_labels: tuple[LabelQuery, ...] = ()
    origin: dict[str, Any] = field(default_factory=dict)


def dataset_from_interactions(core: Core, actor: Actor, cmd: FromInteractions) -> Dataset:
    """The dataset, made; blocks, so it is for worker threads. Invalid where no interaction gives a row."""
    chosen = core.read_now(actor, _choose, cmd)
    try:
        return create_with_metrics(core, actor, chosen.new, _rows(core, actor, chosen))
    except _NoRows as error:
        number = len(chosen.ids)
        raise Invalid(f"{number} interaction(s) match, and none gives a row of this kind", field="kind") from error


class _NoRows(Exception):
    """Raised inside the stream of rows, where it ends without any."""


def preview_rows(core: Core, actor: Actor, cmd: FromInteractions, limit: int) -> list[dict[str, Any]]:
    """The first rows that the dataset would have."""
    chosen = core.read_now(actor, _choose, cmd)
    found: list[dict[str, Any]] = []
    for row in _all_rows(core, actor, chosen):
        found.append(row)
        if len(found) >= limit:
            break
    return found


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The ids, oldest first, of what the rows are made, and in which metrics feedback counts."""

    new: CreateDataset
    kind: DatasetKind
    ids: list[Id]
    metrics: frozenset[Id] | None


def _choose(ctx: Ctx[ReadTx], cmd: FromInteractions) -> _Chosen:
    """Every check that needs no row, and the ids."""
    authorize(ctx, Permission.INTERACTION_READ)
    if cmd.kind not in CHAT_KINDS:
        raise Invalid(f"interactions give no dataset of the kind '{cmd.kind}'", field="kind")
    if cmd.size is not None and cmd.size < 1:
        raise Invalid("a sample has at least one interaction", field="sampleSize")
    project = find_project(ctx, cmd.project)
    new = CreateDataset(cmd.name, cmd.key, project.id, cmd.kind, DatasetSource.FILTERED, origin=cmd.origin)
    check_new(ctx, new)
    metrics = None if cmd.metrics is None else frozenset(find_metric(ctx, m).id for m in cmd.metrics)
    found: set[Id] = set()
    for query in cmd.chosen:
        wanted = resolve(ctx, query)
        narrowed = replace(wanted, status="success", labels=(*wanted.labels, *_labels_for_rows(cmd)))
        found.update(group_store.ids(ctx.tx, ctx.actor.space_id, narrowed, MOST + 1))
        if len(found) > MOST:
            raise Quota(f"a dataset is made of at most {MOST} interactions; narrow the filter", limit=MOST)
    return _Chosen(new, cmd.kind, _sampled(sorted(found), cmd), metrics)


def _labels_for_rows(cmd: FromInteractions) -> tuple[tuple[str, tuple[str, ...] | None], ...]:
    """Where rows are feedback, whose feedback does not count gives none."""
    needs_feedback = cmd.kind in (DatasetKind.PROMPT_COMPLETION_FEEDBACK, DatasetKind.PREFERENCE)
    return cmd.feedback_labels if needs_feedback else ()


def _sampled(ids: list[Id], cmd: FromInteractions) -> list[Id]:
    size = len(ids) if cmd.size is None else min(cmd.size, len(ids))
    match cmd.sample:
        case Sample.ALL:
            return ids[:size]
        case Sample.LAST:
            return ids[len(ids) - size :]
        case Sample.RANDOM:
            return sorted(random.sample(ids, size))
        case unreachable:
            assert_never(unreachable)


def _rows(core: Core, actor: Actor, chosen: _Chosen) -> Iterator[dict[str, Any]]:
    empty = True
    for row in _all_rows(core, actor, chosen):
        empty = False
        yield row
    if empty:
        raise _NoRows


def _all_rows(core: Core, actor: Actor, chosen: _Chosen) -> Iterator[dict[str, Any]]:
    used: set[Id] = set()
    for start in range(0, len(chosen.ids), BATCH):
        yield from core.read_now(actor, _rows_of, chosen, chosen.ids[start : start + BATCH], used)


def _rows_of(ctx: Ctx[ReadTx], chosen: _Chosen, ids: Sequence[Id], used: set[Id]) -> list[dict[str, Any]]:
    """The rows of one batch; `used` remembers which comparisons gave one already, from their other side."""
    authorize(ctx, Permission.INTERACTION_READ)
    found = store.get_many(ctx.tx, ctx.actor.space_id, ids)
    items = [found[i] for i in ids if i in found]
    if chosen.kind is DatasetKind.PROMPT:
        return [_base(i) for i in items]
    if chosen.kind is DatasetKind.PROMPT_COMPLETION:
        return [{**_base(i), "completion": i.completion} for i in items]
    given = [
        f for f in feedback_store.of_interactions(ctx.tx, ctx.actor.space_id, ids)
        if chosen.metrics is None or f.metric_id in chosen.metrics
    ]  # fmt: skip
    metrics = feedback_store.get_metrics(ctx.tx, ctx.actor.space_id, list({f.metric_id for f in given}))
    if chosen.kind is DatasetKind.PROMPT_COMPLETION_FEEDBACK:
        return _feedback_rows(items, given, metrics)
    return _preference_rows(ctx, found, given, metrics, used)


def _base(item: Interaction) -> dict[str, Any]:
    row: dict[str, Any] = {"messages": item.messages}
    if item.labels:
        row["labels"] = item.labels
    return {**row, "metadata": {"interaction_id": item.id}}


def _feedback_rows(
    items: Sequence[Interaction], given: Sequence[Feedback], metrics: Mapping[Id, Metric]
) -> list[dict[str, Any]]:
    """One row for each interaction that has feedback; of several values in one metric the latest counts."""
    values: dict[Id, dict[str, float | bool]] = {}
    for item in given:
        metric = metrics.get(item.metric_id)
        if item.kind is FeedbackKind.DIRECT and metric is not None and item.value is not None and item.interaction_id:
            number = bool(item.value) if metric.kind is MetricKind.BOOL else item.value
            values.setdefault(item.interaction_id, {})[metric.key] = number
    return [{**_base(i), "completion": i.completion, "feedbacks": values[i.id]} for i in items if i.id in values]


def _preference_rows(
    ctx: Ctx[ReadTx],
    found: Mapping[Id, Interaction],
    given: Sequence[Feedback],
    metrics: Mapping[Id, Metric],
    used: set[Id],
) -> list[dict[str, Any]]:
    """One row for each comparison of a chosen interaction that was not a tie."""
    compared = [
        f for f in given
        if f.kind is FeedbackKind.COMPARISON and f.tied is None and f.interaction_id and f.other_id and f.id not in used
    ]  # fmt: skip
    sides = {i for f in compared for i in (f.interaction_id, f.other_id) if i is not None and i not in found}
    known = {**found, **store.get_many(ctx.tx, ctx.actor.space_id, sorted(sides))}
    rows: list[dict[str, Any]] = []
    for item in compared:
        preferred = known.get(item.interaction_id) if item.interaction_id else None
        other = known.get(item.other_id) if item.other_id else None
        metric = metrics.get(item.metric_id)
        if preferred is None or other is None or metric is None:
            continue
        used.add(item.id)
        rows.append(
            {
                **_base(preferred),
                "preferred_completion": preferred.completion,
                "other_completion": other.completion,
                "feedback_key": metric.key,
            }
        )
    return rows
