"""Delete runs, with what they reported and what nobody else needs."""

from __future__ import annotations

from typing import NamedTuple

from quintet.app.context import Ctx, Effect
from quintet.app.runs.read import locked_run
from quintet.app.runs.state import drop_blobs
from quintet.domain.errors import Precondition
from quintet.domain.ids import Id
from quintet.domain.runs import Run, RunState
from quintet.storage import runs as store
from quintet.storage.runs import RunFilter
from quintet.storage.tx import WriteTx


class Deleted(NamedTuple):
    """The run that is gone, how many children lost their parent, and the draft models that went with it."""

    run: Run
    children: int
    deleted_models: list[Id]


def delete_run(ctx: Ctx[WriteTx], run_id: Id, *, force: bool = False) -> Deleted:
    """Deletes a run, its reports and its draft models; a worker that still has it loses its lease.

    Precondition unless the run is CREATED or archived, or where it has published children or models; `force`
    deletes all the same.
    """
    run = locked_run(ctx, run_id)
    if not force:
        if run.state is not RunState.CREATED and "archived" not in run.system_tags:
            raise Precondition(
                f"a run that is {run.state} is deleted only once it is archived", field="status",
                current_status=str(run.state),
            )  # fmt: skip
        if store.count_published_children(ctx.tx, run.id):
            raise Precondition("the run has published children", field="children")
        if store.published_models(ctx.tx, run.id):
            raise Precondition("the run has published models", field="models")
    children = store.count_runs(ctx.tx, run.space_id, RunFilter(parent_ids=(run.id,)))
    models = store.delete_draft_models(ctx.tx, run.id)
    store.delete_run(ctx.tx, run.id)
    drop_blobs(ctx, run.id)
    if run.project_id is not None:
        store.touch_project(ctx.tx, run.project_id, ctx.now)
    ctx.after_commit(Effect("run", run.id, {"state": None, "previous": str(run.state), "space_id": run.space_id}))
    return Deleted(run, children, models)
