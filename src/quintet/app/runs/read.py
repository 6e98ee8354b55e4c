"""Find and list runs and what belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from quintet.app.authz import authorize, authorize_run
from quintet.app.context import Ctx
from quintet.domain.errors import NotFound
from quintet.domain.identity import Permission
from quintet.domain.ids import Id, Kind, from_hex32, from_uuid, parse_id
from quintet.domain.page import Page, PageRequest
from quintet.domain.runs import Artifact, Checkpoint, Lease, Run, RunState, Stage
from quintet.storage import queues as queue_store
from quintet.storage import runs as store
from quintet.storage.runs import RunFilter, RunOrder
from quintet.storage.tx import ReadTx, WriteTx

__all__ = ["RunFilter", "RunOrder", "find_run", "get_run", "get_runs", "list_runs", "locked_run"]


def get_run(ctx: Ctx[ReadTx], run_id: Id) -> Run:
    """The run; NotFound where the actor's space has none of that id."""
    authorize_run(ctx, run_id, Permission.RUN_READ)
    return _of_space(ctx, store.find_run(ctx.tx, run_id), run_id)


def find_run(ctx: Ctx[ReadTx], ref: str) -> Run:
    """A run by its id in any dialect's spelling; NotFound otherwise."""
    for ident in (parse_id(ref), from_hex32(ref, Kind.RUN), from_uuid(ref, Kind.RUN)):
        if ident is not None:
            return get_run(ctx, ident)
    authorize(ctx, Permission.RUN_READ)
    raise NotFound.of("run", ref)


def locked_run(ctx: Ctx[WriteTx], run_id: Id, permission: Permission = Permission.RUN_WRITE) -> Run:
    """The run for a change: authorised, and held until the transaction ends."""
    authorize_run(ctx, run_id, permission)
    return _of_space(ctx, store.lock_run(ctx.tx, run_id), run_id)


def _of_space(ctx: Ctx[Any], run: Run | None, run_id: Id) -> Run:
    if run is None or run.space_id != ctx.actor.space_id:
        raise NotFound.of("run", run_id)
    return run


def get_runs(ctx: Ctx[ReadTx], ids: Sequence[Id]) -> dict[Id, Run]:
    """Runs of the actor's space by id; those that are not there are missing from the answer."""
    authorize(ctx, Permission.RUN_READ)
    return store.get_runs(ctx.tx, ctx.actor.space_id, _own(ctx, ids))


def list_runs(
    ctx: Ctx[ReadTx],
    wanted: RunFilter | None = None,
    page: PageRequest | None = None,
    order: RunOrder = RunOrder.CREATED,
    *,
    descending: bool = True,
    count: bool = False,
) -> Page[Run]:
    """Matching runs of the space, newest first; with `count` the page says how many there are in all."""
    wanted, page = _narrow(ctx, wanted), page or PageRequest()
    return store.list_runs(ctx.tx, ctx.actor.space_id, wanted, page, order, descending=descending, count=count)


def all_runs(ctx: Ctx[ReadTx], wanted: RunFilter, limit: int = 10_000) -> list[Run]:
    """Up to `limit` matching runs, newest first, for callers that sort or filter by rules of their own."""
    return store.all_runs(ctx.tx, ctx.actor.space_id, _narrow(ctx, wanted), limit)


def count_runs(ctx: Ctx[ReadTx], wanted: RunFilter | None = None) -> int:
    return store.count_runs(ctx.tx, ctx.actor.space_id, _narrow(ctx, wanted))


def count_runs_by_state(ctx: Ctx[ReadTx], wanted: RunFilter | None = None) -> dict[tuple[Id | None, RunState], int]:
    """How many matching runs each project has in each state: `{(project id or None, state): n}`."""
    return store.count_by_state(ctx.tx, ctx.actor.space_id, _narrow(ctx, wanted))


def _narrow(ctx: Ctx[ReadTx], wanted: RunFilter | None) -> RunFilter:
    """The token of a run sees that run alone."""
    authorize(ctx, Permission.RUN_READ)
    wanted = wanted or RunFilter()
    own = ctx.actor.run_id
    if own is None:
        return wanted
    return replace(wanted, ids=tuple(i for i in (own,) if wanted.ids is None or i in wanted.ids))


def _own(ctx: Ctx[ReadTx], ids: Sequence[Id]) -> list[Id]:
    return [i for i in ids if ctx.actor.run_id in (None, i)]


# -- parts ------------------------------------------------------------------------------------------------------


def stages_of(ctx: Ctx[ReadTx], run_id: Id) -> list[Stage]:
    """The run's stages in order."""
    return store.stages_of(ctx.tx, get_run(ctx, run_id).id)


def stages_of_runs(ctx: Ctx[ReadTx], ids: Sequence[Id]) -> dict[Id, list[Stage]]:
    """Stages by run, for the runs that the actor may see."""
    return store.stages_of_many(ctx.tx, list(get_runs(ctx, ids)))


def artifacts_of(ctx: Ctx[ReadTx], run_id: Id) -> list[Artifact]:
    """The run's artifacts, oldest first."""
    return store.artifacts_of(ctx.tx, get_run(ctx, run_id).id)


def artifacts_of_runs(ctx: Ctx[ReadTx], ids: Sequence[Id]) -> dict[Id, list[Artifact]]:
    """Artifacts by run, for the runs that the actor may see."""
    return store.artifacts_of_many(ctx.tx, list(get_runs(ctx, ids)))


def find_artifact(ctx: Ctx[ReadTx], artifact_id: Id) -> Artifact:
    """An artifact of any run that the actor may see; NotFound otherwise."""
    authorize(ctx, Permission.RUN_READ)
    found = store.find_artifact(ctx.tx, ctx.actor.space_id, artifact_id)
    if found is None or not _own(ctx, [found.run_id]):
        raise NotFound.of("artifact", artifact_id)
    return found


def checkpoints_of(ctx: Ctx[ReadTx], run_id: Id) -> list[Checkpoint]:
    """The run's checkpoints by step, the latest last."""
    return store.checkpoints_of(ctx.tx, get_run(ctx, run_id).id)


def get_checkpoint(ctx: Ctx[ReadTx], checkpoint_id: Id) -> Checkpoint:
    """A checkpoint of any run of the space; NotFound otherwise."""
    authorize(ctx, Permission.RUN_READ)
    found = store.find_checkpoint(ctx.tx, ctx.actor.space_id, checkpoint_id)
    if found is None:
        raise NotFound.of("checkpoint", checkpoint_id)
    return found


def list_checkpoints(
    ctx: Ctx[ReadTx], page: PageRequest | None = None, run_ids: Sequence[Id] | None = None
) -> Page[Checkpoint]:
    """Checkpoints of the space (with `run_ids`: of those runs), newest first."""
    authorize(ctx, Permission.RUN_READ)
    return store.list_checkpoints(ctx.tx, ctx.actor.space_id, page or PageRequest(), run_ids)


def lease_of(ctx: Ctx[ReadTx], run_id: Id) -> Lease | None:
    """Which worker holds the run, if any. The token in it is a secret of that worker: never show it."""
    return queue_store.lease_of(ctx.tx, get_run(ctx, run_id).id)
