"""Benchmarks: a dataset and what is measured on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from quintet.app.audit import note
from quintet.app.authz import authorize
from quintet.app.context import Ctx, Effect
from quintet.app.datasets.manage import look_up as look_up_dataset
from quintet.app.leftovers import leave
from quintet.domain.errors import Conflict, Invalid, NotFound
from quintet.domain.evaluation import Benchmark
from quintet.domain.identity import Permission
from quintet.domain.ids import Id, Kind, from_uuid, new_id, parse_id
from quintet.domain.page import Page, PageRequest
from quintet.domain.projects import check_name, slug
from quintet.storage import datasets as dataset_store
from quintet.storage import evaluation as store
from quintet.storage import refs
from quintet.storage.tx import ReadTx, WriteTx

EDITABLE = frozenset({"name", "description", "task", "scoring", "dataset_id", "metadata", "detail"})


@dataclass(frozen=True, slots=True)
class CreateBenchmark:
    """`key` is derived from the name where absent; `dataset` is any spelling of a dataset, `scoring` names the
    scoring functions or graders."""

    name: str
    key: str | None = None
    dataset: str | None = None
    scoring: tuple[str, ...] = ()
    description: str = ""
    task: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)


def create_benchmark(ctx: Ctx[WriteTx], cmd: CreateBenchmark) -> Benchmark:
    """A new benchmark. Registering the very same one again gives the one that is there; Conflict for another
    under its key; NotFound for a dataset that is not there."""
    authorize(ctx, Permission.METRIC_WRITE)
    space = ctx.actor.space_id
    benchmark = Benchmark(
        id=new_id(), space_id=space, key=check_name(cmd.key, field="key") if cmd.key is not None else "",
        name=check_name(cmd.name), dataset_id=_dataset(ctx, cmd.dataset), scoring=_scoring(cmd.scoring),
        created_at=ctx.now, updated_at=ctx.now, created_by=ctx.actor.user_id, description=cmd.description,
        task=cmd.task, metadata=cmd.metadata, detail=cmd.detail,
    )  # fmt: skip
    if cmd.key is None:
        benchmark = replace(benchmark, key=_free_key(ctx, benchmark.name))
    elif (there := store.benchmark_by_key(ctx.tx, space, benchmark.key)) is not None:
        if _same(there, benchmark):
            return there
        raise Conflict(f"another benchmark with the key '{there.key}' is there already", field="key", key=there.key)
    store.insert_benchmark(ctx.tx, benchmark)
    ctx.after_commit(Effect("benchmark", benchmark.id))
    note(ctx, "benchmark.create", "benchmark", benchmark.id, key=benchmark.key)
    return benchmark


def _same(one: Benchmark, other: Benchmark) -> bool:
    """Whether two commands meant the same benchmark: everything but its id, its times and its maker."""
    return one == replace(
        other, id=one.id, created_at=one.created_at, updated_at=one.updated_at, created_by=one.created_by
    )


def _dataset(ctx: Ctx[ReadTx], ref: str | None) -> Id | None:
    if ref is None:
        return None
    found = look_up_dataset(ctx.tx, ctx.actor.space_id, ref)
    if found is None:
        raise NotFound(f"dataset '{ref}' was not found", field="dataset", kind="dataset", id=ref)
    return found.id


def _scoring(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(check_name(name, field="scoring") for name in names))


def _free_key(ctx: Ctx[ReadTx], name: str) -> str:
    base = key = slug(name, "benchmark")
    number = 2
    while store.benchmark_by_key(ctx.tx, ctx.actor.space_id, key) is not None:
        key, number = f"{base}-{number}", number + 1
    return key


def look_up(tx: ReadTx, space_id: Id, ref: str) -> Benchmark | None:
    """The benchmark of a space by id (in any dialect's spelling), key, name, or a name from elsewhere."""
    for ident in (parse_id(ref), from_uuid(ref, Kind.BENCHMARK)):
        if ident is not None and (found := store.get_benchmark(tx, space_id, ident)) is not None:
            return found
    found = store.benchmark_by_key(tx, space_id, ref) or store.benchmark_by_name(tx, space_id, ref)
    if found is None and (target := refs.find_any(tx, space_id, "benchmark", ref)) is not None:
        found = store.get_benchmark(tx, space_id, target)
    return found


def find_benchmark(ctx: Ctx[ReadTx], ref: str) -> Benchmark:
    """A benchmark by id, key, name or any spelling of it; NotFound otherwise."""
    authorize(ctx, Permission.RUN_READ)
    found = look_up(ctx.tx, ctx.actor.space_id, ref)
    if found is None:
        raise NotFound.of("benchmark", ref)
    return found


def get_benchmarks(ctx: Ctx[ReadTx], ids: Sequence[Id]) -> dict[Id, Benchmark]:
    """Benchmarks of the actor's space by id; those that are not there are missing from the answer."""
    authorize(ctx, Permission.RUN_READ)
    return store.get_benchmarks(ctx.tx, ctx.actor.space_id, ids)


def list_benchmarks(
    ctx: Ctx[ReadTx],
    page: PageRequest | None = None,
    *,
    search: str | None = None,
    descending: bool = False,
    count: bool = False,
) -> Page[Benchmark]:
    """A page of benchmarks, oldest first unless `descending`; `search` is a part of the name."""
    authorize(ctx, Permission.RUN_READ)
    return store.list_benchmarks(
        ctx.tx, ctx.actor.space_id, page or PageRequest(), search=search, descending=descending, count=count
    )


def edit_benchmark(ctx: Ctx[WriteTx], ref: str, changes: Mapping[str, Any]) -> Benchmark:
    """Replaces the given fields (`EDITABLE`); evaluations that are done keep what they measured."""
    authorize(ctx, Permission.METRIC_WRITE)
    benchmark = find_benchmark(ctx, ref)
    unknown = set(changes) - EDITABLE
    if unknown:
        raise Invalid(f"a benchmark has no field '{min(unknown)}' to change", field=min(unknown))
    real = dict(changes)
    if "name" in real:
        real["name"] = check_name(real["name"])
    if "scoring" in real:
        real["scoring"] = _scoring(real["scoring"])
    wanted = real.get("dataset_id")
    if wanted is not None and dataset_store.get(ctx.tx, ctx.actor.space_id, wanted) is None:
        raise NotFound(f"dataset '{wanted}' was not found", field="dataset_id", kind="dataset", id=wanted)
    changed = replace(benchmark, **real, updated_at=ctx.now)
    store.save_benchmark(ctx.tx, changed)
    ctx.after_commit(Effect("benchmark", benchmark.id))
    return changed


def delete_benchmark(ctx: Ctx[WriteTx], ref: str) -> Benchmark:
    """Deletes a benchmark with its evaluations; their runs stay, and large results follow after the commit."""
    authorize(ctx, Permission.METRIC_WRITE)
    benchmark = find_benchmark(ctx, ref)
    leave(ctx, keys=store.result_blobs(ctx.tx, benchmark.id))
    store.delete_benchmark(ctx.tx, benchmark.id)
    refs.drop_target(ctx.tx, ctx.actor.space_id, "benchmark", benchmark.id)
    ctx.after_commit(Effect("benchmark", benchmark.id, {"deleted": True}))
    note(ctx, "benchmark.delete", "benchmark", benchmark.id, key=benchmark.key)
    return benchmark
