"""Make, find, fill, read, change and delete datasets. Blobs are written before these run, and deleted after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from quintet.app.audit import note
from quintet.app.authz import authorize
from quintet.app.context import Ctx, Effect
from quintet.app.datasets.rows import StoredRows, load_rows, prefix_of
from quintet.app.leftovers import leave
from quintet.app.references import authorize_output, check_project, check_run
from quintet.domain import rows as shapes
from quintet.domain.data import Dataset, DatasetKind, DatasetSource, Segment
from quintet.domain.errors import Conflict, Internal, Invalid, NotFound, Precondition
from quintet.domain.identity import Permission
from quintet.domain.ids import Id, Kind, from_uuid, new_id, parse_id
from quintet.domain.page import Page, PageRequest
from quintet.domain.projects import check_name, slug
from quintet.storage import datasets as store
from quintet.storage import refs
from quintet.storage.datasets import DatasetFilter as DatasetFilter
from quintet.storage.tx import ReadTx, WriteTx

EDITABLE = frozenset({"name", "description", "purpose", "origin", "metadata", "tags", "source", "project_id"})
"""What `edit_dataset` may change: rows have their own use cases, and a key is how clients know a dataset."""

FOLD = 16
"""How many of the last segments an addition may look at for folding; more would not be small ones."""


@dataclass(frozen=True, slots=True)
class CreateDataset:
    """`key` is derived from the name where absent; `kind` None is taken from the rows (ROWS without any)."""

    name: str
    key: str | None = None
    project_id: Id | None = None
    kind: DatasetKind | None = None
    source: DatasetSource = DatasetSource.UPLOADED
    purpose: str = ""
    description: str = ""
    origin: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    run_id: Id | None = None


@dataclass(frozen=True, slots=True)
class RowPage:
    """Some rows of a dataset: the first is number `start` of `total`."""

    dataset: Dataset
    rows: list[dict[str, Any]]
    start: int
    total: int

    @property
    def has_more(self) -> bool:
        return self.start + len(self.rows) < self.total


def check_new(ctx: Ctx[ReadTx], cmd: CreateDataset) -> str | None:
    """Whether the dataset may be made; the checked key. Asked before rows are written, and again after."""
    authorize_output(ctx, Permission.DATASET_WRITE, cmd.run_id)
    check_name(cmd.name)
    check_project(ctx, cmd.project_id)
    check_run(ctx, cmd.run_id)
    if cmd.key is None:
        return None
    key = check_name(cmd.key, field="key")
    if store.by_key(ctx.tx, ctx.actor.space_id, cmd.project_id, key) is not None:
        raise Conflict(f"a dataset with the key '{key}' is there already", field="key", key=key)
    return key


def create_dataset(ctx: Ctx[WriteTx], cmd: CreateDataset, rows: StoredRows | None = None) -> Dataset:
    """A new dataset, with the rows that were stored for it. Conflict where a key that was asked for is taken."""
    key = check_new(ctx, cmd) or _free_key(ctx, cmd)
    dataset = Dataset(
        id=rows.dataset_id if rows else new_id(), space_id=ctx.actor.space_id, project_id=cmd.project_id, key=key,
        name=check_name(cmd.name), kind=cmd.kind or (rows.kind if rows else DatasetKind.ROWS), source=cmd.source,
        created_at=ctx.now, updated_at=ctx.now, created_by=ctx.actor.user_id, records=rows.records if rows else 0,
        purpose=cmd.purpose, description=cmd.description, origin=cmd.origin, metadata=cmd.metadata,
        metrics_usage=rows.metrics_usage if rows else {}, tags=cmd.tags, run_id=cmd.run_id,
    )  # fmt: skip
    store.insert_dataset(ctx.tx, dataset)
    if rows:
        _add_segments(ctx, rows, 0, 0)
    ctx.after_commit(Effect("dataset", dataset.id))
    note(ctx, "dataset.create", "dataset", dataset.id, name=dataset.name, records=dataset.records)
    return dataset


def _free_key(ctx: Ctx[ReadTx], cmd: CreateDataset) -> str:
    base = key = slug(cmd.name, "dataset")
    number = 2
    while store.by_key(ctx.tx, ctx.actor.space_id, cmd.project_id, key) is not None:
        key, number = f"{base}-{number}", number + 1
    return key


def _add_segments(ctx: Ctx[WriteTx], rows: StoredRows, position: int, start: int) -> None:
    made: list[Segment] = []
    for stored in rows.segments:
        made.append(
            Segment(rows.dataset_id, position + len(made), start, stored.rows, stored.size, stored.blob, ctx.now)
        )
        start += stored.rows
    store.insert_segments(ctx.tx, made)


def look_up(tx: ReadTx, space_id: Id, ref: str, project_id: Id | None = None) -> Dataset | None:
    """The dataset of a space by id (in any dialect's spelling), key, name, or a name from elsewhere."""
    for ident in (parse_id(ref), from_uuid(ref, Kind.DATASET)):
        if ident is not None and (found := store.get(tx, space_id, ident)) is not None:
            return found
    found = store.by_key_or_name(tx, space_id, ref, project_id)
    if found is None and (target := refs.find_any(tx, space_id, "dataset", ref)) is not None:
        found = store.get(tx, space_id, target)
    return found


def find_dataset(ctx: Ctx[ReadTx], ref: str, project_id: Id | None = None) -> Dataset:
    """A dataset by id, key, name or any spelling of it; keys and names of one project only, if it is given."""
    authorize(ctx, Permission.DATASET_READ)
    found = look_up(ctx.tx, ctx.actor.space_id, ref, project_id)
    if found is None:
        raise NotFound.of("dataset", ref)
    return found


def get_datasets(ctx: Ctx[ReadTx], ids: Sequence[Id]) -> dict[Id, Dataset]:
    """Datasets of the actor's space by id; those that are not there are missing from the answer."""
    authorize(ctx, Permission.DATASET_READ)
    return store.get_many(ctx.tx, ctx.actor.space_id, ids)


def list_datasets(
    ctx: Ctx[ReadTx],
    wanted: DatasetFilter | None = None,
    page: PageRequest | None = None,
    *,
    order: str = "id",
    descending: bool = False,
    count: bool = False,
) -> Page[Dataset]:
    """A page of datasets sorted by id, created_at, updated_at, name, key or records."""
    authorize(ctx, Permission.DATASET_READ)
    if order not in store.ORDERS:
        raise Invalid(f"datasets are not sorted by '{order}'", field="order")
    return store.list_datasets(
        ctx.tx, ctx.actor.space_id, wanted or DatasetFilter(), page or PageRequest(),
        order=order, descending=descending, count=count,
    )  # fmt: skip


def check_append(ctx: Ctx[ReadTx], ref: str, project_id: Id | None = None) -> tuple[Dataset, list[Segment]]:
    """The dataset that rows may be added to, and its last segments, the last one first."""
    dataset = find_dataset(ctx, ref, project_id)
    authorize_output(ctx, Permission.DATASET_WRITE, dataset.run_id)
    if dataset.kind is DatasetKind.FILES:
        raise Precondition(f"the dataset '{dataset.key}' holds files, not rows", dataset=dataset.id)
    return dataset, store.last_segments(ctx.tx, dataset.id, FOLD)


def append_rows(ctx: Ctx[WriteTx], rows: StoredRows) -> Dataset:
    """Adds stored rows at the end. Conflict where the segments they were folded with are not the last any more."""
    check_append(ctx, rows.dataset_id)
    dataset = store.get(ctx.tx, ctx.actor.space_id, rows.dataset_id, lock=True)
    if dataset is None:
        raise NotFound.of("dataset", rows.dataset_id)
    last = store.last_segments(ctx.tx, dataset.id, max(len(rows.folded), 1))
    position, start = (last[0].position + 1, last[0].start + last[0].rows) if last else (0, 0)
    if start != dataset.records:
        raise Internal(f"dataset {dataset.id} counts {dataset.records} rows and holds {start}")
    if rows.folded:
        if [s.blob for s in reversed(last)] != [s.blob for s in rows.folded]:
            raise Conflict("other rows were added at the same time; try again", dataset=dataset.id)
        position, start = rows.folded[0].position, rows.folded[0].start
        store.delete_segments_from(ctx.tx, dataset.id, position)
        leave(ctx, keys=[s.blob for s in rows.folded], grace=True)
    _add_segments(ctx, rows, position, start)
    kind = rows.kind if dataset.records == 0 else shapes.common(dataset.kind, rows.kind)
    changed = replace(
        dataset, records=dataset.records + rows.records, kind=kind if rows.records else dataset.kind,
        metrics_usage=_summed(dataset.metrics_usage, rows.metrics_usage), updated_at=ctx.now,
    )  # fmt: skip
    store.save_dataset(ctx.tx, changed)
    ctx.after_commit(Effect("dataset", dataset.id))
    return changed


def _summed(one: dict[str, dict[str, int]], other: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    total = {key: dict(counts) for key, counts in one.items()}
    for key, counts in other.items():
        mine = total.setdefault(key, {})
        for what, number in counts.items():
            mine[what] = mine.get(what, 0) + number
    return total


def read_rows(
    ctx: Ctx[ReadTx], ref: str, start: int = 0, limit: int | None = None, *, project_id: Id | None = None
) -> RowPage:
    """Up to `limit` rows (all without it) from number `start`; only the segments that hold them are read."""
    dataset, segments, end = locate_rows(ctx, ref, start, limit, project_id=project_id)
    return RowPage(dataset, load_rows(ctx.ports.blobs, segments, start, end), start, dataset.records)


def locate_rows(
    ctx: Ctx[ReadTx], ref: str, start: int = 0, limit: int | None = None, *, project_id: Id | None = None
) -> tuple[Dataset, list[Segment], int]:
    """The dataset, the segments that hold the rows, and where they end: for `load_rows` outside a transaction."""
    if start < 0:
        raise Invalid("rows are numbered from 0", field="start")
    if limit is not None and limit < 0:
        raise Invalid("a number of rows is never negative", field="limit")
    dataset = find_dataset(ctx, ref, project_id)
    end = dataset.records if limit is None else min(start + limit, dataset.records)
    return dataset, store.segments_between(ctx.tx, dataset.id, start, end) if end > start else [], end


def dataset_blobs(ctx: Ctx[ReadTx], ref: str) -> tuple[Dataset, list[Segment]]:
    """All segments in order: their blobs one after the other are the dataset as a JSON-lines file."""
    dataset = find_dataset(ctx, ref)
    return dataset, store.segments_of(ctx.tx, dataset.id)


def edit_dataset(ctx: Ctx[WriteTx], ref: str, changes: Mapping[str, Any]) -> Dataset:
    """Replaces the given fields (`EDITABLE`). Conflict where the new project has a dataset of that key."""
    dataset = find_dataset(ctx, ref)
    authorize_output(ctx, Permission.DATASET_WRITE, dataset.run_id)
    unknown = set(changes) - EDITABLE
    if unknown:
        raise Invalid(f"a dataset has no field '{min(unknown)}' to change", field=min(unknown))
    real = dict(changes)
    if "name" in real:
        real["name"] = check_name(real["name"])
    if "project_id" in real and real["project_id"] != dataset.project_id:
        check_project(ctx, real["project_id"])
        if store.by_key(ctx.tx, ctx.actor.space_id, real["project_id"], dataset.key) is not None:
            raise Conflict(f"that project has a dataset with the key '{dataset.key}'", field="project_id")
    current = store.get(ctx.tx, ctx.actor.space_id, dataset.id, lock=True) or dataset
    changed = replace(current, **real, updated_at=ctx.now)
    store.save_dataset(ctx.tx, changed)
    ctx.after_commit(Effect("dataset", dataset.id))
    return changed


def delete_dataset(ctx: Ctx[WriteTx], ref: str, project_id: Id | None = None) -> Dataset:
    """Deletes a dataset; its rows follow after the commit."""
    authorize(ctx, Permission.DATASET_WRITE)
    dataset = find_dataset(ctx, ref, project_id)
    store.delete_dataset(ctx.tx, dataset.id)
    refs.drop_target(ctx.tx, ctx.actor.space_id, "dataset", dataset.id)
    leave(ctx, prefixes=[prefix_of(dataset.id)])
    ctx.after_commit(Effect("dataset", dataset.id, {"deleted": True}))
    note(ctx, "dataset.delete", "dataset", dataset.id, name=dataset.name, records=dataset.records)
    return dataset
