"""The registry: models, their versions, stages and reviews."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, delete, func, insert, or_, select, update

from quintet.domain.ids import Id
from quintet.domain.models import Model, ModelFormat, ModelKind, ModelVersion, Review, ReviewState
from quintet.domain.page import Page, PageRequest
from quintet.storage import tables as t
from quintet.storage.keyset import fetch_page
from quintet.storage.mapping import Mapper
from quintet.storage.sql import json_has, upsert
from quintet.storage.tx import ReadTx, WriteTx

_models = Mapper(Model, t.models)
_versions = Mapper(ModelVersion, t.model_versions)
_reviews = Mapper(Review, t.reviews)

ORDERS = ("id", "created_at", "updated_at", "name", "key")
"""What models may be sorted by."""


@dataclass(frozen=True, slots=True)
class ModelFilter:
    """What to list; None means "any". `name_pattern` is a regular expression, `search` a part of name or key.

    Tags: all of `…_all`, at least one of `…_any`, none of `…_none`.
    """

    ids: tuple[Id, ...] | None = None
    project_ids: tuple[Id, ...] | None = None
    names: tuple[str, ...] | None = None
    name_pattern: str | None = None
    search: str | None = None
    tags_all: tuple[str, ...] = ()
    tags_any: tuple[str, ...] = ()
    tags_none: tuple[str, ...] = ()
    system_tags_all: tuple[str, ...] = ()
    system_tags_any: tuple[str, ...] = ()
    system_tags_none: tuple[str, ...] = ()
    run_ids: tuple[Id, ...] | None = None
    parent_ids: tuple[Id, ...] | None = None
    backbone_ids: tuple[Id, ...] | None = None
    user_ids: tuple[Id, ...] | None = None
    kinds: tuple[ModelKind, ...] | None = None
    formats: tuple[ModelFormat, ...] | None = None
    frameworks: tuple[str, ...] | None = None
    uris: tuple[str, ...] | None = None
    archived: bool | None = None
    ready: bool | None = None
    discoverable: bool | None = None
    registered: bool | None = None
    updated_since: int | None = None
    created_since: int | None = None
    created_until: int | None = None


def insert_model(tx: WriteTx, model: Model) -> bool:
    """Adds a model; False, and nothing added, where its key is taken in the space."""
    upsert(tx, t.models, [_models.dump(model)], keys=("space_id", "key"), update=())
    return tx.scalar(select(t.models.c.id).where(t.models.c.id == model.id)) is not None


def save_model(tx: WriteTx, model: Model) -> None:
    """Stores every field but `latest_version`, which `next_version` alone moves."""
    row = _models.dump(model)
    del row["latest_version"]
    tx.write(update(t.models).where(t.models.c.id == model.id), row)


def delete_model(tx: WriteTx, model_id: Id) -> None:
    tx.write(delete(t.models).where(t.models.c.id == model_id))


def get(tx: ReadTx, space_id: Id, model_id: Id) -> Model | None:
    c = t.models.c
    return _model(tx, select(t.models).where(c.space_id == space_id, c.id == model_id))


def by_key(tx: ReadTx, space_id: Id, key: str) -> Model | None:
    c = t.models.c
    return _model(tx, select(t.models).where(c.space_id == space_id, c.key == key))


def by_name(tx: ReadTx, space_id: Id, name: str) -> Model | None:
    """The model of that name; of several the newest that is not archived."""
    c = t.models.c
    query = select(t.models).where(c.space_id == space_id, c.name == name)
    return _model(tx, query.order_by(c.archived, c.id.desc()).limit(1))


def _model(tx: ReadTx, query: Select[Any]) -> Model | None:
    row = tx.one(query)
    return _models.load(row) if row else None


def get_many(tx: ReadTx, space_id: Id, ids: Sequence[Id]) -> dict[Id, Model]:
    c = t.models.c
    rows = tx.all(select(t.models).where(c.space_id == space_id, c.id.in_(list(ids)))) if ids else []
    return {r["id"]: _models.load(r) for r in rows}


def list_models(
    tx: ReadTx,
    space_id: Id,
    wanted: ModelFilter,
    page: PageRequest,
    *,
    order: str = "id",
    descending: bool = False,
    count: bool = False,
) -> Page[Model]:
    """Models sorted by one of `ORDERS`; a cursor holds that column's value and the id."""
    query = _filtered(tx, select(t.models).where(t.models.c.space_id == space_id), wanted)
    c = t.models.c
    return fetch_page(tx, query, c[order], c.id, _models.load, page, descending=descending, count=count)


def _filtered(tx: ReadTx, query: Select[Any], wanted: ModelFilter) -> Select[Any]:
    c = t.models.c
    chosen: dict[str, Sequence[Any] | None] = {
        "id": wanted.ids, "project_id": wanted.project_ids, "name": wanted.names, "run_id": wanted.run_ids,
        "parent_id": wanted.parent_ids, "backbone_id": wanted.backbone_ids, "created_by": wanted.user_ids,
        "kind": None if wanted.kinds is None else [k.value for k in wanted.kinds],
        "format": None if wanted.formats is None else [f.value for f in wanted.formats],
        "framework": wanted.frameworks, "uri": wanted.uris,
    }  # fmt: skip
    for name, values in chosen.items():
        if values is not None:
            query = query.where(c[name].in_(list(values)))
    flags = {"archived": wanted.archived, "ready": wanted.ready, "discoverable": wanted.discoverable}
    for name, flag in flags.items():
        if flag is not None:
            query = query.where(c[name].is_(flag))
    if wanted.registered is not None:
        query = query.where(c.latest_version > 0 if wanted.registered else c.latest_version == 0)
    if wanted.name_pattern:
        query = query.where(c.name.regexp_match(wanted.name_pattern))
    if wanted.search:
        part = wanted.search.lower()
        query = query.where(
            or_(func.lower(c.name).contains(part, autoescape=True), c.key.contains(part, autoescape=True))
        )
    if wanted.updated_since is not None:
        query = query.where(c.updated_at >= wanted.updated_since)
    if wanted.created_since is not None:
        query = query.where(c.created_at >= wanted.created_since)
    if wanted.created_until is not None:
        query = query.where(c.created_at <= wanted.created_until)
    return _tagged(tx, query, wanted)


def _tagged(tx: ReadTx, query: Select[Any], wanted: ModelFilter) -> Select[Any]:
    c = t.models.c
    rules = (
        (c.tags, wanted.tags_all, wanted.tags_any, wanted.tags_none),
        (c.system_tags, wanted.system_tags_all, wanted.system_tags_any, wanted.system_tags_none),
    )
    for column, every, some, none in rules:
        if every:
            query = query.where(and_(*(json_has(tx, column, tag) for tag in every)))
        if some:
            query = query.where(or_(*(json_has(tx, column, tag) for tag in some)))
        if none:
            query = query.where(and_(*(~json_has(tx, column, tag) for tag in none)))
    return query


def frameworks(tx: ReadTx, space_id: Id, project_ids: Sequence[Id] | None = None) -> list[str]:
    """The frameworks that models of the space name, sorted."""
    c = t.models.c
    query = select(c.framework).where(c.space_id == space_id, c.framework != "")
    if project_ids is not None:
        query = query.where(c.project_id.in_(list(project_ids)))
    return sorted(r["framework"] for r in tx.all(query.distinct()))


def deployments_of(tx: ReadTx, model_id: Id) -> list[Id]:
    """The deployments that serve a model."""
    c = t.deployments.c
    return [Id(r["id"]) for r in tx.all(select(c.id).where(c.model_id == model_id).order_by(c.id))]


def adapters_of(tx: ReadTx, model_id: Id, number: int | None = None) -> list[Id]:
    """The other models with a version whose backbone is `model_id` (or just its version `number`)."""
    v = t.model_versions.c
    query = select(v.model_id).where(v.backbone_id == model_id, v.model_id != model_id).distinct()
    if number is not None:
        query = query.where(v.backbone_version == number)
    return sorted(Id(r["model_id"]) for r in tx.all(query))


def run_in_space(tx: ReadTx, space_id: Id, run_id: Id) -> bool:
    c = t.runs.c
    return tx.scalar(select(c.id).where(c.id == run_id, c.space_id == space_id)) is not None


# -- versions -------------------------------------------------------------------------------------------------


def next_version(tx: WriteTx, model_id: Id) -> int:
    """Takes the next number. The row stays locked until the commit, so no two transactions get the same one."""
    c = t.models.c
    statement = update(t.models).where(c.id == model_id).values(latest_version=c.latest_version + 1)
    return int(tx.scalar(statement.returning(c.latest_version)))


def insert_version(tx: WriteTx, version: ModelVersion) -> None:
    tx.write(insert(t.model_versions), _versions.dump(version))


def save_version(tx: WriteTx, version: ModelVersion) -> None:
    tx.write(update(t.model_versions).where(t.model_versions.c.id == version.id), _versions.dump(version))


def delete_version(tx: WriteTx, version_id: Id) -> None:
    tx.write(delete(t.model_versions).where(t.model_versions.c.id == version_id))


def get_version(tx: ReadTx, model_id: Id, number: int) -> ModelVersion | None:
    c = t.model_versions.c
    row = tx.one(select(t.model_versions).where(c.model_id == model_id, c.number == number))
    return _versions.load(row) if row else None


def version_by_id(tx: ReadTx, version_id: Id) -> ModelVersion | None:
    row = tx.one(select(t.model_versions).where(t.model_versions.c.id == version_id))
    return _versions.load(row) if row else None


def version_of_run(tx: ReadTx, model_id: Id, run_id: Id, prefix: str) -> ModelVersion | None:
    """The version that a run has made of the files at `prefix`."""
    c = t.model_versions.c
    query = select(t.model_versions).where(c.model_id == model_id, c.run_id == run_id, c.blob_prefix == prefix)
    row = tx.one(query.order_by(c.number.desc()).limit(1))
    return _versions.load(row) if row else None


def latest_version(tx: ReadTx, model_id: Id) -> ModelVersion | None:
    """The highest version that is still there."""
    c = t.model_versions.c
    row = tx.one(select(t.model_versions).where(c.model_id == model_id).order_by(c.number.desc()).limit(1))
    return _versions.load(row) if row else None


def list_versions(
    tx: ReadTx, model_id: Id, page: PageRequest, *, descending: bool = False, count: bool = False
) -> Page[ModelVersion]:
    """Versions by number."""
    c = t.model_versions.c
    query = select(t.model_versions).where(c.model_id == model_id)
    return fetch_page(tx, query, c.number, c.id, _versions.load, page, descending=descending, count=count)


def search_versions(
    tx: ReadTx,
    space_id: Id,
    page: PageRequest,
    *,
    model_ids: Sequence[Id] | None = None,
    run_ids: Sequence[Id] | None = None,
    stages: Sequence[str] | None = None,
    descending: bool = True,
    count: bool = False,
) -> Page[ModelVersion]:
    """Versions of any model of the space, newest first."""
    c = t.model_versions.c
    query = select(t.model_versions).join(t.models, t.models.c.id == c.model_id)
    query = query.where(t.models.c.space_id == space_id)
    if model_ids is not None:
        query = query.where(c.model_id.in_(list(model_ids)))
    if run_ids is not None:
        query = query.where(c.run_id.in_(list(run_ids)))
    if stages is not None:
        query = query.where(c.stage.in_(list(stages)))
    return fetch_page(tx, query, c.id, c.id, _versions.load, page, descending=descending, count=count)


def latest_versions(tx: ReadTx, model_ids: Sequence[Id]) -> dict[Id, ModelVersion]:
    """The highest version of each model that has one, in one query."""
    if not model_ids:
        return {}
    c = t.model_versions.c
    newest = (
        select(c.model_id, func.max(c.number).label("number"))
        .where(c.model_id.in_(list(model_ids)))
        .group_by(c.model_id)
        .subquery()
    )
    query = select(t.model_versions).join(
        newest, and_(newest.c.model_id == c.model_id, newest.c.number == c.number)
    )
    return {r["model_id"]: _versions.load(r) for r in tx.all(query)}


def unshared_prefixes(tx: ReadTx, prefixes: Sequence[str]) -> list[str]:
    """Those blob prefixes that no version, checkpoint or artifact has files at or below."""
    columns = (t.model_versions.c.blob_prefix, t.checkpoints.c.path, t.artifacts.c.blob)
    free: list[str] = []
    for prefix in prefixes:
        folder = prefix.rstrip("/")
        below = f"{folder}/"
        named = (
            select(c).where(or_(c == folder, c.startswith(below, autoescape=True))).limit(1) for c in columns
        )
        if all(tx.one(query) is None for query in named):
            free.append(prefix)
    return free


def prefixes_of(tx: ReadTx, model_id: Id) -> list[str]:
    c = t.model_versions.c
    query = select(c.blob_prefix).where(c.model_id == model_id, c.blob_prefix.is_not(None)).distinct()
    return sorted(r["blob_prefix"] for r in tx.all(query))


# -- stages and reviews -----------------------------------------------------------------------------------------


def stages_of(tx: ReadTx, project_id: Id) -> tuple[str, ...] | None:
    """The project's own stages, or None where it uses the default ones."""
    row = tx.one(select(t.model_stages.c.labels).where(t.model_stages.c.project_id == project_id))
    return tuple(row["labels"]) if row else None


def set_stages(tx: WriteTx, project_id: Id, labels: Sequence[str] | None) -> None:
    """Stores the project's own stages; None returns it to the default ones."""
    if labels is None:
        tx.write(delete(t.model_stages).where(t.model_stages.c.project_id == project_id))
    else:
        upsert(tx, t.model_stages, [{"project_id": project_id, "labels": list(labels)}], keys=("project_id",))


def insert_review(tx: WriteTx, review: Review) -> None:
    tx.write(insert(t.reviews), _reviews.dump(review))


def save_review(tx: WriteTx, review: Review) -> None:
    tx.write(update(t.reviews).where(t.reviews.c.id == review.id), _reviews.dump(review))


def get_review(tx: ReadTx, review_id: Id) -> Review | None:
    row = tx.one(select(t.reviews).where(t.reviews.c.id == review_id))
    return _reviews.load(row) if row else None


def reviews_of(
    tx: ReadTx, version_id: Id, *, states: Sequence[ReviewState] | None = None, target_stage: str | None = None
) -> list[Review]:
    """Reviews of a version, newest first."""
    c = t.reviews.c
    query = select(t.reviews).where(c.version_id == version_id)
    if states is not None:
        query = query.where(c.state.in_([s.value for s in states]))
    if target_stage is not None:
        query = query.where(c.target_stage == target_stage)
    return [_reviews.load(r) for r in tx.all(query.order_by(c.id.desc()))]


def lock_version(tx: WriteTx, version_id: Id) -> None:
    """Holds the version until the commit, so that two requests cannot both find that it has no open review."""
    tx.execute(select(t.model_versions.c.id).where(t.model_versions.c.id == version_id).with_for_update())
