"""Snapshots of datasets, the tags that point at them, and who was granted what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from quintet.app.audit import note
from quintet.app.authz import authorize
from quintet.app.context import Ctx, Effect
from quintet.app.datasets.manage import find_dataset
from quintet.domain.data import Dataset, Grant, GrantRole, Snapshot
from quintet.domain.errors import NotFound
from quintet.domain.identity import Permission
from quintet.domain.ids import Id, new_id, parse_id
from quintet.domain.page import Page, PageRequest
from quintet.domain.projects import check_name
from quintet.storage import datasets as store
from quintet.storage.tx import ReadTx, WriteTx


def create_snapshot(
    ctx: Ctx[WriteTx],
    ref: str,
    description: str = "",
    *,
    tags: Sequence[str] = (),
    files: Sequence[dict[str, Any]] = (),
    status: str = "active",
) -> Snapshot:
    """The dataset as it is now; tags that another snapshot had move here."""
    authorize(ctx, Permission.DATASET_WRITE)
    dataset = find_dataset(ctx, ref)
    snapshot = Snapshot(
        new_id(), dataset.id, ctx.now, ctx.actor.user_id, description, status, (), dataset.records, tuple(files)
    )
    store.insert_snapshot(ctx.tx, snapshot)
    for tag in tags:
        snapshot = set_tag(ctx, dataset.id, tag, snapshot.id)
    ctx.after_commit(Effect("dataset", dataset.id))
    return snapshot


def list_snapshots(
    ctx: Ctx[ReadTx], ref: str, page: PageRequest | None = None, *, descending: bool = False, count: bool = False
) -> tuple[Dataset, Page[Snapshot]]:
    """A page of the snapshots of a dataset, oldest first unless `descending`."""
    dataset = find_dataset(ctx, ref)
    return dataset, store.list_snapshots(
        ctx.tx, dataset.id, page or PageRequest(), descending=descending, count=count
    )


def snapshots_of(ctx: Ctx[ReadTx], dataset_ids: Sequence[Id]) -> dict[Id, list[Snapshot]]:
    """All snapshots of each of the space's datasets among the given ones, oldest first."""
    authorize(ctx, Permission.DATASET_READ)
    mine = store.get_many(ctx.tx, ctx.actor.space_id, dataset_ids)
    found: dict[Id, list[Snapshot]] = {ident: [] for ident in mine}
    for snapshot in store.snapshots_of(ctx.tx, list(mine)):
        found[snapshot.dataset_id].append(snapshot)
    return found


def find_snapshot(ctx: Ctx[ReadTx], ref: str) -> tuple[Dataset, Snapshot]:
    """A snapshot by its id, with its dataset."""
    authorize(ctx, Permission.DATASET_READ)
    ident = parse_id(ref)
    snapshot = store.get_snapshot(ctx.tx, ident) if ident is not None else None
    dataset = store.get(ctx.tx, ctx.actor.space_id, snapshot.dataset_id) if snapshot is not None else None
    if snapshot is None or dataset is None:
        raise NotFound.of("snapshot", ref)
    return dataset, snapshot


def delete_snapshot(ctx: Ctx[WriteTx], ref: str) -> Snapshot:
    """Forgets a snapshot; rows belong to the dataset and stay."""
    authorize(ctx, Permission.DATASET_WRITE)
    _, snapshot = find_snapshot(ctx, ref)
    store.delete_snapshot(ctx.tx, snapshot.id)
    return snapshot


def set_tag(ctx: Ctx[WriteTx], ref: str, tag: str, snapshot_ref: str) -> Snapshot:
    """Points a tag of the dataset at one snapshot, away from any other."""
    authorize(ctx, Permission.DATASET_WRITE)
    dataset = find_dataset(ctx, ref)
    name = check_name(tag, field="tag")
    owner, snapshot = find_snapshot(ctx, snapshot_ref)
    if owner.id != dataset.id:
        raise NotFound.of("snapshot", snapshot_ref)
    for other in store.snapshots_of(ctx.tx, [dataset.id]):
        if name in other.tags and other.id != snapshot.id:
            store.save_snapshot(ctx.tx, replace(other, tags=tuple(t for t in other.tags if t != name)))
    if name not in snapshot.tags:
        snapshot = replace(snapshot, tags=(*snapshot.tags, name))
        store.save_snapshot(ctx.tx, snapshot)
    return snapshot


def remove_tag(ctx: Ctx[WriteTx], ref: str, tag: str) -> None:
    """Takes a tag away; NotFound where the dataset has none of that name."""
    authorize(ctx, Permission.DATASET_WRITE)
    dataset = find_dataset(ctx, ref)
    for snapshot in store.snapshots_of(ctx.tx, [dataset.id]):
        if tag in snapshot.tags:
            store.save_snapshot(ctx.tx, replace(snapshot, tags=tuple(t for t in snapshot.tags if t != tag)))
            return
    raise NotFound.of("tag", tag)


def list_grants(ctx: Ctx[ReadTx], ref: str) -> list[Grant]:
    """What was granted on a dataset, beyond what everybody in the space may do."""
    dataset = find_dataset(ctx, ref)
    return store.grants_of(ctx.tx, dataset.id)


def put_grant(ctx: Ctx[WriteTx], ref: str, target_id: Id, role: GrantRole) -> Grant:
    """Grants a role on a dataset, in place of the one that the target had."""
    authorize(ctx, Permission.DATASET_WRITE)
    dataset = find_dataset(ctx, ref)
    grant = Grant(dataset.id, target_id, role)
    store.put_grant(ctx.tx, grant)
    note(ctx, "dataset.grant", "dataset", dataset.id, target=target_id, role=str(role))
    return grant


def remove_grant(ctx: Ctx[WriteTx], ref: str, target_id: Id) -> None:
    """Takes a grant back; NotFound where there is none."""
    authorize(ctx, Permission.DATASET_WRITE)
    dataset = find_dataset(ctx, ref)
    if not store.delete_grant(ctx.tx, dataset.id, target_id):
        raise NotFound.of("grant", target_id)
    note(ctx, "dataset.revoke", "dataset", dataset.id, target=target_id)
