"""Runs and what belongs to them: stages, artifacts, checkpoints.

`save_run` writes only the columns that changed, and only while the run is still in the state it was read in:
two callers who move the same run cannot both win, and an edit does not undo what events wrote meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, insert, or_, select, update

from quintet.domain.errors import Conflict
from quintet.domain.ids import Id
from quintet.domain.page import Page, PageRequest
from quintet.domain.runs import Artifact, Checkpoint, Run, RunKind, RunState, Stage
from quintet.storage import tables as t
from quintet.storage.keyset import fetch_page
from quintet.storage.mapping import Mapper
from quintet.storage.series import delete_series
from quintet.storage.sql import for_update, json_has, upsert
from quintet.storage.tx import ReadTx, WriteTx

_runs = Mapper(Run, t.runs)
_stages = Mapper(Stage, t.stages)
_artifacts = Mapper(Artifact, t.artifacts)
_checkpoints = Mapper(Checkpoint, t.checkpoints)


# -- runs -------------------------------------------------------------------------------------------------------


def insert_run(tx: WriteTx, run: Run) -> None:
    tx.write(insert(t.runs), _runs.dump(run))


def find_run(tx: ReadTx, run_id: Id) -> Run | None:
    row = tx.one(select(t.runs).where(t.runs.c.id == run_id))
    return _runs.load(row) if row else None


def lock_run(tx: WriteTx, run_id: Id) -> Run | None:
    """The run, held until the transaction ends, so that what is decided on it still holds when it is written."""
    row = tx.one(for_update(select(t.runs).where(t.runs.c.id == run_id), tx.kind))
    return _runs.load(row) if row else None


def get_runs(tx: ReadTx, space_id: Id, ids: Sequence[Id]) -> dict[Id, Run]:
    if not ids:
        return {}
    rows = tx.all(select(t.runs).where(t.runs.c.space_id == space_id, t.runs.c.id.in_(list(ids))))
    return {r["id"]: _runs.load(r) for r in rows}


def save_run(tx: WriteTx, before: Run, after: Run) -> None:
    """Writes what differs; Conflict where the run is no longer in the state of `before`."""
    old, new = _runs.dump(before), _runs.dump(after)
    changed = {name: value for name, value in new.items() if value != old[name]}
    if not changed:
        return
    c = t.runs.c
    if not tx.write(update(t.runs).where(c.id == before.id, c.state == before.state.value).values(**changed)):
        raise Conflict("the run was changed by somebody else meanwhile", field="status")


def delete_run(tx: WriteTx, run_id: Id) -> None:
    """Deletes the run with everything that refers to it by a foreign key; children lose their parent."""
    tx.write(update(t.runs).where(t.runs.c.parent_id == run_id).values(parent_id=None))
    tx.write(delete(t.runs).where(t.runs.c.id == run_id))


def touch_project(tx: WriteTx, project_id: Id, now: int) -> None:
    """Marks the project as changed because one of its runs did."""
    tx.write(update(t.projects).where(t.projects.c.id == project_id).values(updated_at=now))


class RunOrder(StrEnum):
    """What runs are sorted by; the id decides between equals."""

    CREATED = "created_at"
    UPDATED = "updated_at"
    STARTED = "started_at"
    ENDED = "ended_at"
    NAME = "name"
    STATE = "state"
    ITERATION = "last_iteration"


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs. None means any; an empty tuple means none. Ranges are inclusive, in microseconds.

    Tags: all of `…_all`, at least one of `…_any`, none of `…_none`. `name` is exact, `name_contains`
    ignores case, `name_pattern` is a regular expression; `text` looks in name, comment and id.
    """

    ids: tuple[Id, ...] | None = None
    project_ids: tuple[Id, ...] | None = None
    states: tuple[RunState, ...] | None = None
    kinds: tuple[RunKind, ...] | None = None
    types: tuple[str, ...] | None = None
    parent_ids: tuple[Id, ...] | None = None
    without_parent: bool = False
    queue_ids: tuple[Id, ...] | None = None
    recipes: tuple[str, ...] | None = None
    user_ids: tuple[Id, ...] | None = None
    tags_all: tuple[str, ...] = ()
    tags_any: tuple[str, ...] = ()
    tags_none: tuple[str, ...] = ()
    system_tags_all: tuple[str, ...] = ()
    system_tags_any: tuple[str, ...] = ()
    system_tags_none: tuple[str, ...] = ()
    name: str | None = None
    name_contains: str | None = None
    name_pattern: str | None = None
    text: str | None = None
    created_since: int | None = None
    created_until: int | None = None
    updated_since: int | None = None
    updated_until: int | None = None


def _where(tx: ReadTx, space_id: Id, wanted: RunFilter) -> list[ColumnElement[bool]]:
    c = t.runs.c
    clauses: list[ColumnElement[bool]] = [c.space_id == space_id]
    members: list[tuple[ColumnElement[Any], Iterable[Any] | None]] = [
        (c.id, wanted.ids), (c.project_id, wanted.project_ids), (c.state, wanted.states), (c.kind, wanted.kinds),
        (c.type, wanted.types), (c.parent_id, wanted.parent_ids), (c.queue_id, wanted.queue_ids),
        (c.recipe, wanted.recipes), (c.created_by, wanted.user_ids),
    ]  # fmt: skip
    clauses += [column.in_([str(v) for v in values]) for column, values in members if values is not None]
    if wanted.without_parent:
        clauses.append(c.parent_id.is_(None))
    if wanted.name is not None:
        clauses.append(c.name == wanted.name)
    if wanted.name_contains:
        clauses.append(func.lower(c.name).contains(wanted.name_contains.lower(), autoescape=True))
    if wanted.name_pattern:
        clauses.append(c.name.regexp_match(wanted.name_pattern))
    if wanted.text:
        words = wanted.text.lower()
        clauses.append(or_(*(func.lower(x).contains(words, autoescape=True) for x in (c.name, c.comment, c.id))))
    for column, low, high in (
        (c.created_at, wanted.created_since, wanted.created_until),
        (c.updated_at, wanted.updated_since, wanted.updated_until),
    ):
        if low is not None:
            clauses.append(column >= low)
        if high is not None:
            clauses.append(column <= high)
    return clauses + _tagged(tx, wanted)


def _tagged(tx: ReadTx, wanted: RunFilter) -> list[ColumnElement[bool]]:
    c = t.runs.c
    rules = (
        (c.tags, wanted.tags_all, wanted.tags_any, wanted.tags_none),
        (c.system_tags, wanted.system_tags_all, wanted.system_tags_any, wanted.system_tags_none),
    )
    clauses: list[ColumnElement[bool]] = []
    for column, every, some, none in rules:
        clauses += [json_has(tx, column, tag) for tag in every]
        clauses += [~json_has(tx, column, tag) for tag in none]
        if some:
            clauses.append(or_(*(json_has(tx, column, tag) for tag in some)))
    return clauses


def list_runs(
    tx: ReadTx,
    space_id: Id,
    wanted: RunFilter,
    page: PageRequest,
    order: RunOrder = RunOrder.CREATED,
    *,
    descending: bool = True,
    count: bool = False,
) -> Page[Run]:
    """Matching runs; those that have not started (or ended) sort as if at time 0. `count` fills `total`."""
    c = t.runs.c
    query: Select[Any] = select(t.runs).where(*_where(tx, space_id, wanted))
    key: ColumnElement[Any] = c[order.value]
    if order in (RunOrder.STARTED, RunOrder.ENDED):
        key = func.coalesce(key, 0).label("sort_key")
        query = query.add_columns(key)
    return fetch_page(tx, query, key, c.id, _runs.load, page, descending=descending, count=count)


def all_runs(tx: ReadTx, space_id: Id, wanted: RunFilter, limit: int) -> list[Run]:
    """Up to `limit` matching runs, newest first: for callers that filter further by rules SQL does not have."""
    c = t.runs.c
    query = select(t.runs).where(*_where(tx, space_id, wanted)).order_by(c.created_at.desc(), c.id.desc())
    return [_runs.load(r) for r in tx.all(query.limit(limit))]


def count_runs(tx: ReadTx, space_id: Id, wanted: RunFilter) -> int:
    return int(tx.scalar(select(func.count()).select_from(t.runs).where(*_where(tx, space_id, wanted))) or 0)


def count_by_state(tx: ReadTx, space_id: Id, wanted: RunFilter) -> dict[tuple[Id | None, RunState], int]:
    """How many runs of each project are in each state."""
    c = t.runs.c
    query = select(c.project_id, c.state, func.count().label("n")).where(*_where(tx, space_id, wanted))
    rows = tx.all(query.group_by(c.project_id, c.state))
    return {(r["project_id"], RunState(r["state"])): int(r["n"]) for r in rows}


def count_published_children(tx: ReadTx, run_id: Id) -> int:
    c = t.runs.c
    query = select(func.count()).where(c.parent_id == run_id, c.state == RunState.PUBLISHED.value)
    return int(tx.scalar(query) or 0)


def silent_runs(tx: ReadTx, before: int, limit: int) -> list[Id]:
    """Running runs without a lease that nobody reported on since `before`, in any space."""
    c = t.runs.c
    leased = select(t.leases.c.run_id).where(t.leases.c.run_id == c.id).exists()
    query = select(c.id).where(c.state == RunState.RUNNING.value, c.updated_at < before, ~leased)
    return [r["id"] for r in tx.all(query.order_by(c.updated_at).limit(limit))]


# -- stages -----------------------------------------------------------------------------------------------------


def stages_of(tx: ReadTx, run_id: Id) -> list[Stage]:
    rows = tx.all(select(t.stages).where(t.stages.c.run_id == run_id).order_by(t.stages.c.position))
    return [_stages.load(r) for r in rows]


def stages_of_many(tx: ReadTx, run_ids: Sequence[Id]) -> dict[Id, list[Stage]]:
    found: dict[Id, list[Stage]] = {i: [] for i in run_ids}
    if run_ids:
        query = select(t.stages).where(t.stages.c.run_id.in_(list(run_ids))).order_by(t.stages.c.position)
        for row in tx.all(query):
            found[row["run_id"]].append(_stages.load(row))
    return found


def put_stages(tx: WriteTx, stages: Sequence[Stage]) -> None:
    upsert(tx, t.stages, [_stages.dump(s) for s in stages], keys=("run_id", "position"))


def delete_stages(tx: WriteTx, run_id: Id) -> None:
    tx.write(delete(t.stages).where(t.stages.c.run_id == run_id))


# -- artifacts --------------------------------------------------------------------------------------------------


def artifacts_of(tx: ReadTx, run_id: Id) -> list[Artifact]:
    c = t.artifacts.c
    return [_artifacts.load(r) for r in tx.all(select(t.artifacts).where(c.run_id == run_id).order_by(c.id))]


def artifacts_of_many(tx: ReadTx, run_ids: Sequence[Id]) -> dict[Id, list[Artifact]]:
    found: dict[Id, list[Artifact]] = {i: [] for i in run_ids}
    if run_ids:
        query = select(t.artifacts).where(t.artifacts.c.run_id.in_(list(run_ids))).order_by(t.artifacts.c.id)
        for row in tx.all(query):
            found[row["run_id"]].append(_artifacts.load(row))
    return found


def find_artifact(tx: ReadTx, space_id: Id, artifact_id: Id) -> Artifact | None:
    """An artifact of any run of the space."""
    query = select(t.artifacts).join(t.runs, t.runs.c.id == t.artifacts.c.run_id)
    row = tx.one(query.where(t.runs.c.space_id == space_id, t.artifacts.c.id == artifact_id))
    return _artifacts.load(row) if row else None


def put_artifacts(tx: WriteTx, artifacts: Sequence[Artifact]) -> None:
    """Adds artifacts, or replaces those of the same run, mode and key (which keep their id)."""
    fresh = ("type", "uri", "created_at", "size", "hash", "blob", "detail")
    upsert(tx, t.artifacts, [_artifacts.dump(a) for a in artifacts], keys=("run_id", "mode", "key"), update=fresh)


def delete_artifact(tx: WriteTx, run_id: Id, key: str, mode: str) -> bool:
    c = t.artifacts.c
    return tx.write(delete(t.artifacts).where(c.run_id == run_id, c.key == key, c.mode == mode)) > 0


def delete_artifacts(tx: WriteTx, run_id: Id, *, keep_mode: str | None = None) -> None:
    """All artifacts of the run, but for those of `keep_mode`."""
    c = t.artifacts.c
    statement = delete(t.artifacts).where(c.run_id == run_id)
    tx.write(statement if keep_mode is None else statement.where(c.mode != keep_mode))


# -- checkpoints ------------------------------------------------------------------------------------------------


def insert_checkpoint(tx: WriteTx, checkpoint: Checkpoint) -> None:
    tx.write(insert(t.checkpoints), _checkpoints.dump(checkpoint))


def save_checkpoint(tx: WriteTx, checkpoint: Checkpoint) -> None:
    tx.write(update(t.checkpoints).where(t.checkpoints.c.id == checkpoint.id), _checkpoints.dump(checkpoint))


def checkpoints_of(tx: ReadTx, run_id: Id) -> list[Checkpoint]:
    c = t.checkpoints.c
    query = select(t.checkpoints).where(c.run_id == run_id).order_by(c.step, c.id)
    return [_checkpoints.load(r) for r in tx.all(query)]


def find_checkpoint(tx: ReadTx, space_id: Id, checkpoint_id: Id) -> Checkpoint | None:
    c = t.checkpoints.c
    query = select(t.checkpoints).join(t.runs, t.runs.c.id == c.run_id)
    row = tx.one(query.where(c.id == checkpoint_id, t.runs.c.space_id == space_id))
    return _checkpoints.load(row) if row else None


def list_checkpoints(
    tx: ReadTx, space_id: Id, page: PageRequest, run_ids: Sequence[Id] | None = None
) -> Page[Checkpoint]:
    """Checkpoints of the space, newest first."""
    c = t.checkpoints.c
    query: Select[Any] = select(t.checkpoints).join(t.runs, t.runs.c.id == c.run_id)
    query = query.where(t.runs.c.space_id == space_id)
    if run_ids is not None:
        query = query.where(c.run_id.in_(list(run_ids)))
    return fetch_page(tx, query, c.id, c.id, _checkpoints.load, page, descending=True)


def delete_checkpoint(tx: WriteTx, checkpoint_id: Id) -> bool:
    return tx.write(delete(t.checkpoints).where(t.checkpoints.c.id == checkpoint_id)) > 0


def delete_checkpoints(tx: WriteTx, run_id: Id) -> None:
    tx.write(delete(t.checkpoints).where(t.checkpoints.c.run_id == run_id))


# -- what reset, publish and delete do to things that hang on a run -----------------------------------------------


def delete_reports(tx: WriteTx, run_id: Id) -> None:
    """Series, log and events of the run."""
    delete_series(tx, run_id)
    for table in (t.log_chunks, t.run_events):
        tx.write(delete(table).where(table.c.run_id == run_id))


def delete_draft_models(tx: WriteTx, run_id: Id) -> list[Id]:
    """Models that the run made and nobody published; their ids."""
    c = t.models.c
    ids = [Id(r["id"]) for r in tx.all(select(c.id).where(c.run_id == run_id, c.ready.is_(False)))]
    if ids:
        tx.write(delete(t.models).where(c.id.in_(ids)))
    return ids


def published_models(tx: ReadTx, run_id: Id) -> int:
    c = t.models.c
    return int(tx.scalar(select(func.count()).where(c.run_id == run_id, c.ready.is_(True))) or 0)


def publish_last_model(tx: WriteTx, run_id: Id, now: int) -> Id | None:
    """Marks the newest model of the run as ready; its id, or None where the run made none."""
    c = t.models.c
    found = tx.scalar(select(c.id).where(c.run_id == run_id).order_by(c.id.desc()).limit(1))
    if found is None:
        return None
    tx.write(update(t.models).where(c.id == found).values(ready=True, updated_at=now))
    return Id(found)


def keeps_blobs(tx: ReadTx, prefix: str) -> bool:
    """Whether a model version still has its files under `prefix`."""
    column = t.model_versions.c.blob_prefix
    return tx.one(select(column).where(column.startswith(prefix, autoescape=True)).limit(1)) is not None
