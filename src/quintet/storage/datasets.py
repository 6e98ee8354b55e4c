"""Datasets, the segments that hold their rows, snapshots and grants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, delete, func, insert, or_, select, update

from quintet.domain.data import Dataset, DatasetKind, DatasetSource, Grant, Segment, Snapshot
from quintet.domain.ids import Id
from quintet.domain.page import Page, PageRequest
from quintet.storage import tables as t
from quintet.storage.keyset import fetch_page
from quintet.storage.mapping import Mapper
from quintet.storage.sql import json_has, upsert
from quintet.storage.tx import ReadTx, WriteTx

_datasets = Mapper(Dataset, t.datasets)
_segments = Mapper(Segment, t.dataset_segments)
_snapshots = Mapper(Snapshot, t.dataset_snapshots)
_grants = Mapper(Grant, t.dataset_grants)

ORDERS = ("id", "created_at", "updated_at", "name", "key", "records")
"""What datasets may be sorted by."""


@dataclass(frozen=True, slots=True)
class DatasetFilter:
    """What to list; None means "any". `search` is a part of the name or key."""

    ids: tuple[Id, ...] | None = None
    project_ids: tuple[Id, ...] | None = None
    excluded_project_ids: tuple[Id, ...] = ()
    keys: tuple[str, ...] | None = None
    names: tuple[str, ...] | None = None
    search: str | None = None
    kinds: tuple[DatasetKind, ...] | None = None
    sources: tuple[DatasetSource, ...] | None = None
    purposes: tuple[str, ...] | None = None
    run_ids: tuple[Id, ...] | None = None
    tags_all: tuple[str, ...] = ()
    created_since: int | None = None
    created_until: int | None = None


def insert_dataset(tx: WriteTx, dataset: Dataset) -> None:
    tx.write(insert(t.datasets), _datasets.dump(dataset))


def save_dataset(tx: WriteTx, dataset: Dataset) -> None:
    tx.write(update(t.datasets).where(t.datasets.c.id == dataset.id), _datasets.dump(dataset))


def delete_dataset(tx: WriteTx, dataset_id: Id) -> None:
    tx.write(delete(t.datasets).where(t.datasets.c.id == dataset_id))


def get(tx: ReadTx, space_id: Id, dataset_id: Id, *, lock: bool = False) -> Dataset | None:
    """A dataset by id; with `lock` nobody else changes it before this transaction ends."""
    c = t.datasets.c
    query = select(t.datasets).where(c.space_id == space_id, c.id == dataset_id)
    return _dataset(tx, query.with_for_update() if lock else query)


def by_key(tx: ReadTx, space_id: Id, project_id: Id | None, key: str) -> Dataset | None:
    """The dataset of one project (or of none) with that key."""
    c = t.datasets.c
    query = select(t.datasets).where(c.space_id == space_id, c.key == key)
    return _dataset(tx, query.where(c.project_id.is_not_distinct_from(project_id)))


def by_key_or_name(tx: ReadTx, space_id: Id, text: str, project_id: Id | None = None) -> Dataset | None:
    """The newest dataset so called in the project, or in any; a key counts before a name."""
    c = t.datasets.c
    query = select(t.datasets).where(c.space_id == space_id)
    if project_id is not None:
        query = query.where(c.project_id == project_id)
    newest = query.order_by(c.id.desc()).limit(1)
    return _dataset(tx, newest.where(c.key == text)) or _dataset(tx, newest.where(c.name == text))


def _dataset(tx: ReadTx, query: Select[Any]) -> Dataset | None:
    row = tx.one(query)
    return _datasets.load(row) if row else None


def get_many(tx: ReadTx, space_id: Id, ids: Sequence[Id]) -> dict[Id, Dataset]:
    c = t.datasets.c
    rows = tx.all(select(t.datasets).where(c.space_id == space_id, c.id.in_(list(ids)))) if ids else []
    return {r["id"]: _datasets.load(r) for r in rows}


def list_datasets(
    tx: ReadTx,
    space_id: Id,
    wanted: DatasetFilter,
    page: PageRequest,
    *,
    order: str = "id",
    descending: bool = False,
    count: bool = False,
) -> Page[Dataset]:
    """Datasets sorted by one of `ORDERS`; a cursor holds that column's value and the id."""
    c = t.datasets.c
    query = select(t.datasets).where(c.space_id == space_id)
    chosen: dict[str, Sequence[Any] | None] = {
        "id": wanted.ids, "project_id": wanted.project_ids, "key": wanted.keys, "name": wanted.names,
        "purpose": wanted.purposes, "run_id": wanted.run_ids,
        "kind": None if wanted.kinds is None else [k.value for k in wanted.kinds],
        "source": None if wanted.sources is None else [s.value for s in wanted.sources],
    }  # fmt: skip
    for name, values in chosen.items():
        if values is not None:
            query = query.where(c[name].in_(list(values)))
    if wanted.excluded_project_ids:
        query = query.where(or_(c.project_id.is_(None), c.project_id.not_in(wanted.excluded_project_ids)))
    if wanted.search:
        part = wanted.search.lower()
        query = query.where(
            or_(
                func.lower(c.name).contains(part, autoescape=True),
                func.lower(c.key).contains(part, autoescape=True),
            )
        )
    for tag in wanted.tags_all:
        query = query.where(json_has(tx, c.tags, tag))
    if wanted.created_since is not None:
        query = query.where(c.created_at >= wanted.created_since)
    if wanted.created_until is not None:
        query = query.where(c.created_at <= wanted.created_until)
    return fetch_page(tx, query, c[order], c.id, _datasets.load, page, descending=descending, count=count)


# -- segments -------------------------------------------------------------------------------------------------


def insert_segments(tx: WriteTx, segments: Sequence[Segment]) -> None:
    if segments:
        tx.write(insert(t.dataset_segments), [_segments.dump(s) for s in segments])


def delete_segments_from(tx: WriteTx, dataset_id: Id, position: int) -> None:
    """Forgets the segments at `position` and after it."""
    c = t.dataset_segments.c
    tx.write(delete(t.dataset_segments).where(c.dataset_id == dataset_id, c.position >= position))


def segments_of(tx: ReadTx, dataset_id: Id) -> list[Segment]:
    c = t.dataset_segments.c
    query = select(t.dataset_segments).where(c.dataset_id == dataset_id).order_by(c.position)
    return [_segments.load(r) for r in tx.all(query)]


def segments_between(tx: ReadTx, dataset_id: Id, start: int, end: int) -> list[Segment]:
    """The segments that hold the rows from `start` up to and without `end`, in order."""
    c = t.dataset_segments.c
    query = select(t.dataset_segments).where(c.dataset_id == dataset_id, c.start < end, c.start + c.rows > start)
    return [_segments.load(r) for r in tx.all(query.order_by(c.position))]


def last_segments(tx: ReadTx, dataset_id: Id, number: int) -> list[Segment]:
    """Up to `number` segments from the end, the last one first."""
    c = t.dataset_segments.c
    query = select(t.dataset_segments).where(c.dataset_id == dataset_id)
    return [_segments.load(r) for r in tx.all(query.order_by(c.position.desc()).limit(number))]


# -- snapshots and grants ---------------------------------------------------------------------------------------


def insert_snapshot(tx: WriteTx, snapshot: Snapshot) -> None:
    tx.write(insert(t.dataset_snapshots), _snapshots.dump(snapshot))


def save_snapshot(tx: WriteTx, snapshot: Snapshot) -> None:
    tx.write(update(t.dataset_snapshots).where(t.dataset_snapshots.c.id == snapshot.id), _snapshots.dump(snapshot))


def delete_snapshot(tx: WriteTx, snapshot_id: Id) -> None:
    tx.write(delete(t.dataset_snapshots).where(t.dataset_snapshots.c.id == snapshot_id))


def get_snapshot(tx: ReadTx, snapshot_id: Id) -> Snapshot | None:
    row = tx.one(select(t.dataset_snapshots).where(t.dataset_snapshots.c.id == snapshot_id))
    return _snapshots.load(row) if row else None


def list_snapshots(
    tx: ReadTx, dataset_id: Id, page: PageRequest, *, descending: bool = False, count: bool = False
) -> Page[Snapshot]:
    """Snapshots by age, oldest first unless `descending`."""
    c = t.dataset_snapshots.c
    query = select(t.dataset_snapshots).where(c.dataset_id == dataset_id)
    return fetch_page(tx, query, c.id, c.id, _snapshots.load, page, descending=descending, count=count)


def snapshots_of(tx: ReadTx, dataset_ids: Sequence[Id]) -> list[Snapshot]:
    """All snapshots of several datasets, oldest first."""
    if not dataset_ids:
        return []
    c = t.dataset_snapshots.c
    query = select(t.dataset_snapshots).where(c.dataset_id.in_(list(dataset_ids))).order_by(c.id)
    return [_snapshots.load(r) for r in tx.all(query)]


def put_grant(tx: WriteTx, grant: Grant) -> None:
    """Gives a right, or replaces the one that the target had."""
    upsert(tx, t.dataset_grants, [_grants.dump(grant)], keys=("dataset_id", "target_id"))


def delete_grant(tx: WriteTx, dataset_id: Id, target_id: Id) -> bool:
    c = t.dataset_grants.c
    return tx.write(delete(t.dataset_grants).where(c.dataset_id == dataset_id, c.target_id == target_id)) > 0


def grants_of(tx: ReadTx, dataset_id: Id) -> list[Grant]:
    c = t.dataset_grants.c
    return [
        _grants.load(r)
        for r in tx.all(select(t.dataset_grants).where(c.dataset_id == dataset_id).order_by(c.target_id))
    ]
