"""Benchmarks, graders, and evaluations with what their runs say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Select, delete, func, insert, or_, select, update

from quintet.domain.evaluation import Benchmark, Evaluation, EvaluationStatus, Grader
from quintet.domain.ids import Id
from quintet.domain.page import Page, PageRequest
from quintet.domain.runs import Checkpoint, RunState
from quintet.storage import tables as t
from quintet.storage.keyset import fetch_page
from quintet.storage.mapping import Mapper
from quintet.storage.tx import ReadTx, WriteTx

_benchmarks = Mapper(Benchmark, t.benchmarks)
_evaluations = Mapper(Evaluation, t.evaluations)
_graders = Mapper(Grader, t.graders)
_checkpoints = Mapper(Checkpoint, t.checkpoints)


# -- benchmarks -------------------------------------------------------------------------------------------------


def insert_benchmark(tx: WriteTx, benchmark: Benchmark) -> None:
    tx.write(insert(t.benchmarks), _benchmarks.dump(benchmark))


def save_benchmark(tx: WriteTx, benchmark: Benchmark) -> None:
    tx.write(update(t.benchmarks).where(t.benchmarks.c.id == benchmark.id), _benchmarks.dump(benchmark))


def delete_benchmark(tx: WriteTx, benchmark_id: Id) -> None:
    tx.write(delete(t.benchmarks).where(t.benchmarks.c.id == benchmark_id))


def get_benchmark(tx: ReadTx, space_id: Id, benchmark_id: Id) -> Benchmark | None:
    c = t.benchmarks.c
    row = tx.one(select(t.benchmarks).where(c.space_id == space_id, c.id == benchmark_id))
    return _benchmarks.load(row) if row else None


def benchmark_by_key(tx: ReadTx, space_id: Id, key: str) -> Benchmark | None:
    c = t.benchmarks.c
    row = tx.one(select(t.benchmarks).where(c.space_id == space_id, c.key == key))
    return _benchmarks.load(row) if row else None


def benchmark_by_name(tx: ReadTx, space_id: Id, name: str) -> Benchmark | None:
    """The newest benchmark of that name."""
    c = t.benchmarks.c
    row = tx.one(select(t.benchmarks).where(c.space_id == space_id, c.name == name).order_by(c.id.desc()).limit(1))
    return _benchmarks.load(row) if row else None


def get_benchmarks(tx: ReadTx, space_id: Id, ids: Sequence[Id]) -> dict[Id, Benchmark]:
    c = t.benchmarks.c
    rows = tx.all(select(t.benchmarks).where(c.space_id == space_id, c.id.in_(list(ids)))) if ids else []
    return {r["id"]: _benchmarks.load(r) for r in rows}


def list_benchmarks(
    tx: ReadTx,
    space_id: Id,
    page: PageRequest,
    *,
    search: str | None = None,
    descending: bool = False,
    count: bool = False,
) -> Page[Benchmark]:
    """Benchmarks by age, oldest first unless `descending`."""
    c = t.benchmarks.c
    query = select(t.benchmarks).where(c.space_id == space_id)
    if search:
        query = query.where(func.lower(c.name).contains(search.lower(), autoescape=True))
    return fetch_page(tx, query, c.id, c.id, _benchmarks.load, page, descending=descending, count=count)


# -- graders ------------------------------------------------------------------------------------------------------


def insert_grader(tx: WriteTx, grader: Grader) -> None:
    tx.write(insert(t.graders), _graders.dump(grader))


def save_grader(tx: WriteTx, grader: Grader) -> None:
    tx.write(update(t.graders).where(t.graders.c.id == grader.id), _graders.dump(grader))


def delete_grader(tx: WriteTx, grader_id: Id) -> None:
    tx.write(delete(t.graders).where(t.graders.c.id == grader_id))


def get_grader(tx: ReadTx, space_id: Id, grader_id: Id) -> Grader | None:
    c = t.graders.c
    row = tx.one(select(t.graders).where(c.space_id == space_id, c.id == grader_id))
    return _graders.load(row) if row else None


def grader_by_key(tx: ReadTx, space_id: Id, project_id: Id | None, key: str) -> Grader | None:
    """The grader of one project (or of the whole space) with that key."""
    c = t.graders.c
    query = select(t.graders).where(c.space_id == space_id, c.key == key)
    row = tx.one(query.where(c.project_id.is_not_distinct_from(project_id)))
    return _graders.load(row) if row else None


def list_graders(
    tx: ReadTx,
    space_id: Id,
    *,
    project_id: Id | None = None,
    ids: Sequence[Id] | None = None,
    types: Sequence[str] | None = None,
    key: str | None = None,
) -> list[Grader]:
    """Graders by age; those of a project include those of the whole space."""
    c = t.graders.c
    query = select(t.graders).where(c.space_id == space_id)
    if project_id is not None:
        query = query.where(or_(c.project_id == project_id, c.project_id.is_(None)))
    if ids is not None:
        query = query.where(c.id.in_(list(ids)))
    if types is not None:
        query = query.where(c.type.in_(list(types)))
    if key is not None:
        query = query.where(c.key == key)
    return [_graders.load(r) for r in tx.all(query.order_by(c.id))]


# -- evaluations --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EvaluationFilter:
    """What to list; None means "any". Times are microseconds, `until` excluded."""

    ids: tuple[Id, ...] | None = None
    benchmark_ids: tuple[Id, ...] | None = None
    model_ids: tuple[Id, ...] | None = None
    checkpoint_ids: tuple[Id, ...] | None = None
    run_ids: tuple[Id, ...] | None = None
    scored: bool | None = None
    since: int | None = None
    until: int | None = None


def next_number(tx: WriteTx, benchmark_id: Id) -> int:
    """The number of the benchmark's next evaluation, from 0; the benchmark stays locked until the commit."""
    tx.execute(select(t.benchmarks.c.id).where(t.benchmarks.c.id == benchmark_id).with_for_update())
    c = t.evaluations.c
    last = tx.scalar(select(func.max(c.number)).where(c.benchmark_id == benchmark_id))
    return 0 if last is None else int(last) + 1


def insert_evaluation(tx: WriteTx, evaluation: Evaluation) -> None:
    tx.write(insert(t.evaluations), _evaluations.dump(evaluation))


def save_evaluation(tx: WriteTx, evaluation: Evaluation) -> None:
    tx.write(update(t.evaluations).where(t.evaluations.c.id == evaluation.id), _evaluations.dump(evaluation))


def _with_runs(space_id: Id) -> Select[Any]:
    e, r = t.evaluations, t.runs
    return (
        select(
            e, r.c.state.label("run_state"), r.c.error.label("run_error"), r.c.ended_at.label("run_ended_at"),
            r.c.id.label("found_run"),
        )
        .select_from(e.outerjoin(r, r.c.id == e.c.run_id))
        .where(e.c.space_id == space_id)
    )  # fmt: skip


_OF_RUN: dict[RunState, EvaluationStatus] = {
    RunState.CREATED: EvaluationStatus.PENDING,
    RunState.QUEUED: EvaluationStatus.PENDING,
    RunState.RUNNING: EvaluationStatus.RUNNING,
    RunState.STOPPED: EvaluationStatus.CANCELLED,
    RunState.CLOSED: EvaluationStatus.CANCELLED,
    RunState.FAILED: EvaluationStatus.FAILED,
    RunState.COMPLETED: EvaluationStatus.FAILED,
    RunState.PUBLISHING: EvaluationStatus.FAILED,
    RunState.PUBLISHED: EvaluationStatus.FAILED,
}
"""What a run says of an evaluation that has no scores; a run that ended well and left none has failed at it."""


def _load(row: Mapping[str, Any]) -> Evaluation:
    evaluation = _evaluations.load(row)
    if evaluation.finished_at is not None or evaluation.run_id is None:
        return evaluation
    if row["found_run"] is None:
        return replace(evaluation, status=EvaluationStatus.CANCELLED.value, error="its run was deleted")
    state = RunState(row["run_state"])
    status = _OF_RUN[state]
    error = row["run_error"] or ""
    if status is EvaluationStatus.FAILED and state is not RunState.FAILED:
        error = "its run ended without scores"
    ended = row["run_ended_at"] if status not in (EvaluationStatus.PENDING, EvaluationStatus.RUNNING) else None
    return replace(evaluation, status=status.value, error=error, finished_at=ended)


def get_evaluation(tx: ReadTx, space_id: Id, evaluation_id: Id) -> Evaluation | None:
    row = tx.one(_with_runs(space_id).where(t.evaluations.c.id == evaluation_id))
    return _load(row) if row else None


def evaluation_by_number(tx: ReadTx, space_id: Id, benchmark_id: Id, number: int) -> Evaluation | None:
    c = t.evaluations.c
    row = tx.one(_with_runs(space_id).where(c.benchmark_id == benchmark_id, c.number == number))
    return _load(row) if row else None


def list_evaluations(
    tx: ReadTx,
    space_id: Id,
    wanted: EvaluationFilter,
    page: PageRequest,
    *,
    descending: bool = False,
    count: bool = False,
) -> Page[Evaluation]:
    """Evaluations by age, oldest first unless `descending`."""
    query = _filtered(_with_runs(space_id), wanted)
    c = t.evaluations.c
    return fetch_page(tx, query, c.id, c.id, _load, page, descending=descending, count=count)


def _filtered(query: Select[Any], wanted: EvaluationFilter) -> Select[Any]:
    c = t.evaluations.c
    chosen: dict[str, Sequence[Id] | None] = {
        "id": wanted.ids, "benchmark_id": wanted.benchmark_ids, "model_id": wanted.model_ids,
        "checkpoint_id": wanted.checkpoint_ids, "run_id": wanted.run_ids,
    }  # fmt: skip
    for name, values in chosen.items():
        if values is not None:
            query = query.where(c[name].in_(list(values)))
    if wanted.scored is not None:
        scored = c.status == EvaluationStatus.COMPLETED.value
        query = query.where(scored if wanted.scored else ~scored)
    if wanted.since is not None:
        query = query.where(c.created_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(c.created_at < wanted.until)
    return query


def result_blobs(tx: ReadTx, benchmark_id: Id) -> list[str]:
    """The blobs that hold the large results of a benchmark."""
    c = t.evaluations.c
    query = select(c.result_blob).where(c.benchmark_id == benchmark_id, c.result_blob.is_not(None))
    return [r["result_blob"] for r in tx.all(query)]


def scored_evaluations(tx: ReadTx, space_id: Id, wanted: EvaluationFilter, limit: int) -> list[Evaluation]:
    """The newest evaluations that have scores, without their results (those may be large)."""
    columns = [column for column in t.evaluations.c if column.name != "result"]
    query = select(*columns).where(t.evaluations.c.space_id == space_id)
    query = _filtered(query, replace(wanted, scored=True)).order_by(t.evaluations.c.id.desc()).limit(limit)
    return [_evaluations.load({**row, "result": {}}) for row in tx.all(query)]


def get_checkpoints(tx: ReadTx, space_id: Id, ids: Sequence[Id]) -> dict[Id, Checkpoint]:
    """Checkpoints of the space's runs by id."""
    if not ids:
        return {}
    c = t.checkpoints.c
    query = select(t.checkpoints).join(t.runs, t.runs.c.id == c.run_id).where(t.runs.c.space_id == space_id)
    return {r["id"]: _checkpoints.load(r) for r in tx.all(query.where(c.id.in_(list(ids))))}
