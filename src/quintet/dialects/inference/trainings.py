"""Trainings: runs with a recipe, seen by what this API calls architecture and configuration."""

from __future__ import annotations

from typing import Any

import msgspec

from quintet.app.events.read import get_rollups
from quintet.app.runs.compose import RunEdit, edit_whole
from quintet.app.runs.delete import delete_run
from quintet.app.runs.read import RunFilter, checkpoints_of, find_run, list_runs
from quintet.app.runs.state import request_stop
from quintet.app.training.start import TRAINED, StartTraining, start_training
from quintet.dialects.inference.binder import binder
from quintet.dialects.inference.judging import checkpoint_shown
from quintet.dialects.inference.paging import envelope, wanted_page
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.times import to_rfc3339
from quintet.domain.errors import Invalid, NotFound
from quintet.domain.page import MAX_PAGE, PageRequest
from quintet.domain.runs import ENDED, Checkpoint, Run, RunKind, RunState

STATUS: dict[RunState, str] = {
    RunState.CREATED: "pending",
    RunState.QUEUED: "queued",
    RunState.RUNNING: "running",
    RunState.STOPPED: "cancelled",
    RunState.CLOSED: "completed",
    RunState.FAILED: "failed",
    RunState.COMPLETED: "completed",
    RunState.PUBLISHING: "completed",
    RunState.PUBLISHED: "completed",
}
"""What every state of a run is called here."""

ARCHITECTURES: dict[str, tuple[str, RunKind]] = {
    "sft": ("sft", RunKind.SFT),
    "dpo": ("dpo", RunKind.DPO),
    "pretrain": ("pretrain", RunKind.PRETRAIN),
}
"""The architectures that can be trained here, with their recipe."""


class TrainingBody(msgspec.Struct):
    """`configuration` becomes the recipe's arguments; a connector names a dataset of ours."""

    name: str
    architecture: str
    configuration: dict[str, Any]
    connectors: list[dict[str, Any]]
    data_model_id: str
    gpu_count: int
    benchmark_ids: list[str] | None = None


class TrainingChanges(msgspec.Struct):
    name: str | None = None
    architecture: str | None = None
    configuration: dict[str, Any] | None = None
    benchmark_ids: list[str] | None = None
    connector: dict[str, Any] | None = None


async def _training(call: Call, run: Run, checkpoints: list[Checkpoint]) -> dict[str, Any]:
    kept = run.detail.get("inference", {})
    rollups = (await call.read(get_rollups, [run.id])).get(run.id, [])
    return {
        "id": run.id,
        "name": run.name,
        "architecture": kept.get("architecture", run.recipe),
        "configuration": kept.get("configuration", run.args),
        "connectors": kept.get("connectors", []),
        "data_model_id": kept.get("data_model_id"),
        "gpu_count": kept.get("gpu_count", 0),
        "benchmark_ids": kept.get("benchmark_ids", []),
        "checkpoints": [checkpoint_shown(c) for c in checkpoints],
        "metrics": [
            {
                "step": r.last_iter,
                "name": f"{r.metric}/{r.variant}",
                "value": r.last_value,
                "timestamp": to_rfc3339(r.last_ts or run.updated_at),
            }
            for r in rollups
        ],
        "status": STATUS[run.state],
        "created_at": to_rfc3339(run.created_at),
        "updated_at": to_rfc3339(run.updated_at),
    }


@binder.op("GET /trainings")
async def list_all(call: Call) -> object:
    page = wanted_page(call)
    wanted = RunFilter(kinds=tuple(TRAINED))
    request = PageRequest(limit=min(page.limit, MAX_PAGE), offset=page.offset)
    found = await call.read(list_runs, wanted, request, count=True)
    rows = [await _training(call, r, await call.read(checkpoints_of, r.id)) for r in found.items]
    return envelope(rows, found.total or 0, page)


async def _found(call: Call) -> Run:
    run = await call.read(find_run, call.path["id"])
    if run.kind not in TRAINED:
        raise NotFound.of("training", call.path["id"])
    return run


@binder.op("GET /trainings/{id}")
async def get(call: Call) -> object:
    run = await _found(call)
    return await _training(call, run, await call.read(checkpoints_of, run.id))


@binder.op("POST /trainings", body=TrainingBody, status=201)
async def create(call: Call) -> object:
    body: TrainingBody = call.body
    if body.architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise Invalid(f"'{body.architecture}' cannot be trained here; there are: {known}", field="architecture")
    recipe, kind = ARCHITECTURES[body.architecture]
    datasets = [str(c["connector_id"]) for c in body.connectors if "connector_id" in c]
    args = dict(body.configuration)
    model = args.pop("model", None)
    kept = {
        "architecture": body.architecture,
        "configuration": body.configuration,
        "connectors": body.connectors,
        "data_model_id": body.data_model_id,
        "gpu_count": body.gpu_count,
        "benchmark_ids": body.benchmark_ids or [],
    }
    cmd = StartTraining(
        body.name, recipe, kind, args, model=model, datasets={"dataset": datasets[0]} if datasets else {},
        output=args.pop("output_model", None) or body.name, detail={"inference": kept},
    )  # fmt: skip
    run = await call.write(start_training, cmd)
    return await _training(call, run, [])


@binder.op("PUT /trainings/{id}", body=TrainingChanges)
async def update(call: Call) -> object:
    body: TrainingChanges = call.body
    run = await _found(call)
    names = ("architecture", "configuration", "benchmark_ids")
    kept = {n: v for n in names if (v := getattr(body, n)) is not None}
    if body.connector is not None:
        kept["connectors"] = [body.connector]
    changes = {"name": body.name} if body.name is not None else {}
    edit = RunEdit(changes, force=True, change=lambda old: {**old, **kept})
    changed = await call.write(edit_whole, run.id, "inference", edit)
    return await _training(call, changed, await call.read(checkpoints_of, run.id))


@binder.op("DELETE /trainings/{id}")
async def delete(call: Call) -> object:
    """A training that still runs is stopped first."""
    run = await _found(call)
    if run.state not in ENDED and run.state is not RunState.CREATED:
        await call.write(request_stop, run.id, reason="deleted")
    await call.write(delete_run, run.id, force=True)
    return {"id": run.id}
