"""Datasets that bring feedback: the metrics that their rows speak of are registered with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from quintet.app import leftovers
from quintet.app.context import Ctx, WriteTx
from quintet.app.core import Core
from quintet.app.datasets.manage import CreateDataset, check_new, create_dataset
from quintet.app.datasets.rows import StoredRows, prepare_rows
from quintet.app.feedback.manage import ensure_metric, link_metric
from quintet.domain import rows as shapes
from quintet.domain.data import Dataset, DatasetKind
from quintet.domain.errors import Invalid
from quintet.domain.identity import Actor
from quintet.domain.ids import new_id
from quintet.domain.interactions import MetricKind

CHAT_KINDS = (
    DatasetKind.PROMPT,
    DatasetKind.PROMPT_COMPLETION,
    DatasetKind.PROMPT_COMPLETION_FEEDBACK,
    DatasetKind.PREFERENCE,
)


def create_with_metrics(core: Core, actor: Actor, cmd: CreateDataset, rows: Iterable[Mapping[str, Any]]) -> Dataset:
    """A new dataset of chat rows; metrics in them that nobody registered are, by the type of their values.

    Blocks, so it is for worker threads. Invalid names the first line that is not a chat row.
    """
    core.read_now(actor, check_new, cmd)
    stored = prepare_rows(core.ports.blobs, new_id(), _chat_rows(rows), kind=cmd.kind)
    try:
        if not stored.records:
            raise Invalid("a dataset needs at least one row", field="file")
        return core.write_now(actor, _create, cmd, stored)
    except BaseException:
        leftovers.remove(core.ports.blobs, keys=stored.keys)
        raise


def _create(ctx: Ctx[WriteTx], cmd: CreateDataset, stored: StoredRows) -> Dataset:
    for key, kind in stored.metric_types.items():
        metric = ensure_metric(ctx, key, MetricKind(kind))
        if cmd.project_id is not None:
            link_metric(ctx, metric.id, cmd.project_id)
    return create_dataset(ctx, cmd, stored)


def _chat_rows(rows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The rows, each checked: a file with one strange line is refused, not read as something else."""
    for number, row in enumerate(rows, start=1):
        taken = shapes.canonical(row, number)
        kind = shapes.kind_of(taken)
        if kind not in CHAT_KINDS:
            raise Invalid(f"line {number}: 'messages' is missing", field="messages", line=number)
        shapes.check(taken, kind, number)
        yield taken
