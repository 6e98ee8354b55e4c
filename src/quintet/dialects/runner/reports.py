"""What a run says of itself, with its own token: how far it is, what it measured, what it made."""

from __future__ import annotations

import asyncio
from typing import Any

from quintet.app.context import Ctx, ReadTx, WriteTx
from quintet.app.models.files import files_under
from quintet.app.models.versions import RegisterVersion, register_version
from quintet.app.runs import parts
from quintet.app.runs.parts import NewArtifact, NewCheckpoint, StageReport
from quintet.app.runs.read import checkpoints_of, get_run
from quintet.dialects.kit.call import Call
from quintet.dialects.runner import wire
from quintet.dialects.runner.auth import own_run
from quintet.dialects.runner.binder import binder
from quintet.domain.errors import Invalid
from quintet.domain.ids import Id
from quintet.domain.models import Model, ModelFormat, ModelKind, ModelVersion
from quintet.domain.runs import Checkpoint, Run, StageState


def prefix_of(run_id: Id) -> str:
    """Below this lies everything that a run keeps."""
    return f"runs/{run_id}/"


def key_of(run_id: Id, path: str, field: str = "path") -> str:
    """The blob key of a path of the run; Invalid where it leaves the run's folder."""
    if not path or path.startswith("/") or any(part in ("", ".", "..") for part in path.rstrip("/").split("/")):
        raise Invalid(f"'{path}' is not a relative path", field=field)
    return prefix_of(run_id) + path.rstrip("/")


@binder.op("run")
async def run(call: Call) -> dict[str, Any]:
    """What the run is to do, and the checkpoint to go on from, if an earlier attempt left one."""
    mine, latest = await call.read(_run_and_checkpoint, own_run(call))
    return {
        "id": mine.id,
        "name": mine.name,
        "recipe": mine.recipe,
        "args": mine.args,
        "attempt": mine.attempt,
        "project": mine.project_id,
        "checkpoint": None if latest is None else await _checkpoint(call, mine, latest),
        "output_model": mine.args.get("output_model"),
    }


def _run_and_checkpoint(ctx: Ctx[ReadTx], run_id: Id) -> tuple[Run, Checkpoint | None]:
    found = checkpoints_of(ctx, run_id)
    return get_run(ctx, run_id), found[-1] if found else None


async def _checkpoint(call: Call, mine: Run, latest: Checkpoint) -> dict[str, Any]:
    # Asks the blob store, so in a thread and after the transaction.
    files = await asyncio.to_thread(files_under, call.core.ports, latest.path) if latest.path else {}
    shown = [{"path": path, "size": info["size"]} for path, info in files.items()]
    path = latest.path.removeprefix(prefix_of(mine.id))
    return {"name": latest.name, "step": latest.step, "path": path, "files": shown}


@binder.op("progress", body=wire.ProgressBody)
async def progress(call: Call) -> dict[str, Any]:
    body: wire.ProgressBody = call.body
    stages = [
        StageReport(s.name, StageState(s.state) if s.state else None, s.done, s.total, s.info) for s in body.stages
    ]
    await call.write(parts.report_progress, own_run(call), stages, body.progress)
    return {}


@binder.op("artifact", body=wire.ArtifactBody)
async def artifact(call: Call) -> dict[str, Any]:
    body: wire.ArtifactBody = call.body
    run_id = own_run(call)
    blob = None if body.path is None else key_of(run_id, body.path)
    made = NewArtifact(body.key, "output", body.type, "", body.size, body.hash, blob, detail=body.metadata)
    await call.write(parts.add_artifacts, run_id, [made])
    return {}


@binder.op("checkpoint", body=wire.CheckpointBody)
async def checkpoint(call: Call) -> dict[str, Any]:
    """`{"id"}` of the checkpoint."""
    body: wire.CheckpointBody = call.body
    run_id = own_run(call)
    path = key_of(run_id, body.path) if body.path else ""
    made = NewCheckpoint(body.name, body.step, body.epoch, path, body.metrics)
    return {"id": (await call.write(parts.add_checkpoint, run_id, made)).id}


@binder.op("registerModel", body=wire.ModelBody)
async def register_model(call: Call) -> dict[str, Any]:
    """Registers files that the run has put as a model, or as the next version of the one with that name."""
    body: wire.ModelBody = call.body
    run_id = own_run(call)
    prefix = key_of(run_id, body.path)
    files = await asyncio.to_thread(files_under, call.core.ports, prefix)
    chosen: dict[str, dict[str, Any]] = {}
    for file in body.files:
        found = files.get(file.path)
        if found is None or found["size"] != file.size:
            raise Invalid(f"the file '{file.path}' was not put, or not whole", field="files")
        chosen[file.path] = {"size": file.size, "sha256": file.sha256}
    model, version = await call.write(_register, run_id, body, prefix, chosen)
    return {"model_id": model.id, "version": version.number, "key": model.key}


def _register(
    ctx: Ctx[WriteTx], run_id: Id, body: wire.ModelBody, prefix: str, files: dict[str, dict[str, Any]]
) -> tuple[Model, ModelVersion]:
    mine = get_run(ctx, run_id)
    cmd = RegisterVersion(
        model=body.name, key=body.key, format=ModelFormat(body.format), kind=ModelKind(body.kind),
        project_id=mine.project_id, run_id=run_id, backbone=body.backbone, blob_prefix=prefix, files=files,
        metrics=body.metrics, description=body.description, framework=body.framework,
    )  # fmt: skip
    return register_version(ctx, cmd)


@binder.op("result", body=wire.ResultBody)
async def result(call: Call) -> dict[str, Any]:
    body: wire.ResultBody = call.body
    await call.write(parts.set_result, own_run(call), body.result)
    return {}
