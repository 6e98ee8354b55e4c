"""Trainings that the server carries out: one way to start them and to find them again, for every dialect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from quintet.app.authz import authorize
from quintet.app.context import Ctx
from quintet.app.datasets.manage import look_up as look_up_dataset
from quintet.app.models.registry import look_up as look_up_model
from quintet.app.queues.entries import submit_run
from quintet.app.runs.create import CreateRun
from quintet.app.runs.read import find_run, get_runs
from quintet.domain.errors import Conflict, Invalid, NotFound
from quintet.domain.identity import Permission
from quintet.domain.ids import Id
from quintet.domain.projects import check_name
from quintet.domain.runs import Run, RunKind
from quintet.storage import refs
from quintet.storage import runs as run_store
from quintet.storage.tx import ReadTx, WriteTx

KIND = "training"
"""The sort of name under which dialects remember trainings."""

TRAINED = frozenset({RunKind.PRETRAIN, RunKind.SFT, RunKind.DPO, RunKind.CUSTOM})


@dataclass(frozen=True, slots=True)
class StartTraining:
    """A training by a recipe. `model`, `datasets` and `output` become arguments of the recipe:

    `model` is any spelling of a registered model (the recipe gets its key), `datasets` maps an argument of the
    recipe to any spelling of a dataset (it gets the id), `output` is the name of the model to register. `job`
    is the id that the client of a dialect chose, unique there.
    """

    name: str
    recipe: str
    kind: RunKind = RunKind.SFT
    args: dict[str, Any] = field(default_factory=dict)
    model: str | None = None
    datasets: dict[str, str] = field(default_factory=dict)
    output: str | None = None
    project_id: Id | None = None
    parent_id: Id | None = None
    queue: str | None = None
    dialect: str = ""
    job: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    max_attempts: int = 3


def start_training(ctx: Ctx[WriteTx], cmd: StartTraining) -> Run:
    """The queued run. NotFound for a model or dataset that is not there; Conflict for a job id in use."""
    authorize(ctx, Permission.RUN_WRITE)
    if cmd.kind not in TRAINED:
        raise Invalid(f"a training is never of the kind {cmd.kind}", field="kind")
    if cmd.job is not None:
        check_name(cmd.job, field="job")
        other = refs.find(ctx.tx, ctx.actor.space_id, cmd.dialect, KIND, cmd.job)
        if other is not None and run_store.find_run(ctx.tx, other) is not None:
            raise Conflict(f"a training '{cmd.job}' is there already", field="job", job=cmd.job)
    args = {**cmd.args, **_model(ctx, cmd.model), **_datasets(ctx, cmd.datasets)}
    if cmd.output is not None:
        args["output_model"] = check_name(cmd.output, field="output")
    run = submit_run(
        ctx,
        CreateRun(
            name=cmd.name, kind=cmd.kind, type="training", project_id=cmd.project_id, parent_id=cmd.parent_id,
            recipe=cmd.recipe, args=args, detail=cmd.detail, tags=cmd.tags, max_attempts=cmd.max_attempts,
        ),
        cmd.queue,
    )  # fmt: skip
    if cmd.job is not None:
        refs.move(ctx.tx, ctx.actor.space_id, cmd.dialect, KIND, cmd.job, run.id)
    return run


def _model(ctx: Ctx[ReadTx], ref: str | None) -> dict[str, Any]:
    if ref is None:
        return {}
    model = look_up_model(ctx.tx, ctx.actor.space_id, ref)
    if model is None:
        raise NotFound(f"model '{ref}' was not found", field="model", kind="model", id=ref)
    return {"model": model.key}


def _datasets(ctx: Ctx[ReadTx], wanted: dict[str, str]) -> dict[str, Id]:
    found: dict[str, Id] = {}
    for argument, ref in wanted.items():
        dataset = look_up_dataset(ctx.tx, ctx.actor.space_id, ref)
        if dataset is None:
            raise NotFound(f"dataset '{ref}' was not found", field=argument, kind="dataset", id=ref)
        found[argument] = dataset.id
    return found


def find_training(ctx: Ctx[ReadTx], dialect: str, job: str) -> Run:
    """A training by the id that the client chose, or by the id of its run; NotFound otherwise."""
    authorize(ctx, Permission.RUN_READ)
    target = refs.find(ctx.tx, ctx.actor.space_id, dialect, KIND, job)
    if target is None:
        try:
            return find_run(ctx, job)
        except NotFound:
            raise NotFound.of("training", job) from None
    return find_run(ctx, target)


def list_trainings(ctx: Ctx[ReadTx], dialect: str) -> list[tuple[str, Run]]:
    """(job id, run) of every training whose id a client of the dialect chose, in the order of their making."""
    authorize(ctx, Permission.RUN_READ)
    named = refs.list_refs(ctx.tx, ctx.actor.space_id, dialect, KIND)
    runs = get_runs(ctx, [target for _, target in named])
    return [(job, runs[target]) for job, target in named if target in runs]


def job_names(ctx: Ctx[ReadTx], dialect: str, run_ids: Sequence[Id]) -> dict[Id, str]:
    """The job id of each of these runs that has one in the dialect."""
    authorize(ctx, Permission.RUN_READ)
    return refs.names_of(ctx.tx, ctx.actor.space_id, dialect, KIND, run_ids)
