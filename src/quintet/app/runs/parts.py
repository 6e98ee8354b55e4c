"""What a run says of its work while it goes: stages and progress, artifacts, checkpoints, its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from quintet.app.context import Ctx, Effect
from quintet.app.leftovers import leave
from quintet.app.runs.edit import OPEN_STATES
from quintet.app.runs.read import locked_run
from quintet.domain.errors import Invalid, NotFound, Precondition
from quintet.domain.ids import Id, new_id
from quintet.domain.projects import check_name
from quintet.domain.runs import Artifact, Checkpoint, JsonObject, Run, Stage, StageState
from quintet.storage import runs as store
from quintet.storage.tx import WriteTx

MAX_STAGES = 1_000
"""The most stages of one run: pages show them all; arbitrary, 100 to 10,000 would do."""


@dataclass(frozen=True, slots=True)
class StageReport:
    """How far a stage is. None leaves what was known; a name not seen before becomes the last stage."""

    name: str
    state: StageState | None = None
    done: int | None = None
    total: int | None = None
    info: JsonObject | None = None


def report_progress(
    ctx: Ctx[WriteTx], run_id: Id, stages: Sequence[StageReport] = (), progress: float | None = None
) -> list[Stage]:
    """Updates stages by name, and the progress of the whole run (0 to 1); all stages as they are now."""
    run = locked_run(ctx, run_id)
    if progress is not None and not 0.0 <= progress <= 1.0:
        raise Invalid("'progress' is a number from 0 to 1", field="progress")
    known = {stage.name: stage for stage in store.stages_of(ctx.tx, run.id)}
    changed: dict[str, Stage] = {}
    for report in stages:
        name = check_name(report.name, field="stages.name")
        stage = known.get(name) or Stage(run.id, len(known), name, StageState.PENDING)
        stage = replace(
            stage,
            state=report.state or stage.state,
            done=stage.done if report.done is None else report.done,
            total=stage.total if report.total is None else report.total,
            info=stage.info if report.info is None else {**stage.info, **report.info},
            updated_at=ctx.now,
        )
        known[name] = changed[name] = stage
    if len(known) > MAX_STAGES:
        raise Invalid(f"a run has at most {MAX_STAGES} stages", field="stages")
    store.put_stages(ctx.tx, list(changed.values()))
    _touch(ctx, run, **({} if progress is None else {"progress": float(progress)}))
    ctx.after_commit(Effect("progress", run.id, {"space_id": run.space_id}))
    return sorted(known.values(), key=lambda s: s.position)


def _touch(ctx: Ctx[WriteTx], run: Run, **changes: Any) -> Run:
    changed = replace(run, updated_at=ctx.now, **changes)
    store.save_run(ctx.tx, run, changed)
    return changed


def set_result(ctx: Ctx[WriteTx], run_id: Id, result: Mapping[str, Any]) -> Run:
    """Replaces what the run has to say at its end, a free object."""
    return _touch(ctx, locked_run(ctx, run_id), result=dict(result))


# -- artifacts --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewArtifact:
    """An artifact to add: `uri` where the client put it, or `blob` the key under which we hold it."""

    key: str
    mode: str = "output"
    type: str = ""
    uri: str = ""
    size: int | None = None
    hash: str = ""
    blob: str | None = None
    created_at: int | None = None
    detail: JsonObject = field(default_factory=dict)


def add_artifacts(ctx: Ctx[WriteTx], run_id: Id, artifacts: Sequence[NewArtifact]) -> list[Artifact]:
    """Adds artifacts; one of the same key and mode is replaced. All of the run's, as they are now.

    Precondition unless the run is created, queued or running.
    """
    run = _open_run(ctx, run_id)
    fresh: dict[tuple[str, str], Artifact] = {}
    for given in artifacts:
        key = check_name(given.key, field="artifacts.key")
        if given.mode not in ("input", "output"):
            raise Invalid("'mode' is input or output", field="artifacts.mode")
        fresh[key, given.mode] = Artifact(
            new_id(), run.id, key, given.mode, given.type, given.uri, given.created_at or ctx.now, given.size,
            given.hash, given.blob, given.detail,
        )  # fmt: skip
    store.put_artifacts(ctx.tx, list(fresh.values()))
    _touch(ctx, run)
    return store.artifacts_of(ctx.tx, run.id)


def delete_artifacts(ctx: Ctx[WriteTx], run_id: Id, keys: Sequence[tuple[str, str]]) -> int:
    """Removes artifacts by (key, mode); how many there were."""
    run = _open_run(ctx, run_id)
    gone = sum(store.delete_artifact(ctx.tx, run.id, key, mode) for key, mode in keys)
    _touch(ctx, run)
    return gone


def _open_run(ctx: Ctx[WriteTx], run_id: Id) -> Run:
    run = locked_run(ctx, run_id)
    if run.state not in OPEN_STATES:
        raise Precondition(
            f"a run that is {run.state} takes no artifacts", field="status", current_status=str(run.state)
        )
    return run


# -- checkpoints ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewCheckpoint:
    """A saved state of training; `path` is the blob prefix its files lie under."""

    name: str
    step: int
    epoch: float = 0.0
    path: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    model_id: Id | None = None


def add_checkpoint(ctx: Ctx[WriteTx], run_id: Id, given: NewCheckpoint) -> Checkpoint:
    """Records a checkpoint. One of the same name is replaced: a run that is tried again saves it again."""
    run = locked_run(ctx, run_id)
    name = check_name(given.name)
    if given.step < 0:
        raise Invalid("'step' is never negative", field="step")
    same = [c for c in store.checkpoints_of(ctx.tx, run.id) if c.name == name]
    made = Checkpoint(
        same[0].id if same else new_id(), run.id, name, given.step, float(given.epoch), given.path, ctx.now,
        {k: float(v) for k, v in given.metrics.items()}, given.model_id,
    )  # fmt: skip
    if same:
        store.save_checkpoint(ctx.tx, made)
    else:
        store.insert_checkpoint(ctx.tx, made)
    _touch(ctx, run)
    return made


def delete_checkpoint(ctx: Ctx[WriteTx], checkpoint_id: Id) -> Checkpoint:
    """Forgets a checkpoint; its files go after the commit, unless a model version has them."""
    found = store.find_checkpoint(ctx.tx, ctx.actor.space_id, checkpoint_id)
    if found is None:
        raise NotFound.of("checkpoint", checkpoint_id)
    locked_run(ctx, found.run_id)
    store.delete_checkpoint(ctx.tx, checkpoint_id)
    # A path is what the client said; only what lies below the run itself is ours to delete.
    if found.path.startswith(f"runs/{found.run_id}/") and not store.keeps_blobs(ctx.tx, found.path):
        leave(ctx, prefixes=[found.path])
    return found
