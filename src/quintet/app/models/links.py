"""Which models a run used and made: what a client says when it links the two, in one transaction.

The names under which a task lists its models are a dialect's own (`Run.detail`); that a model came out of a run
is the core's (`Model.run_id`), so that every dialect sees it.
"""

from __future__ import annotations

from collections.abc import Callable

from quintet.app.context import Ctx
from quintet.app.models.registry import edit_model, find_model
from quintet.app.runs.compose import DetailChange, edit_detail
from quintet.app.runs.edit import OPEN_STATES, edit_run
from quintet.domain.ids import Id
from quintet.domain.models import Model
from quintet.domain.runs import JsonObject, Run
from quintet.storage.tx import WriteTx


def put_link(
    ctx: Ctx[WriteTx],
    run_id: Id,
    model_id: Id,
    dialect: str,
    link: Callable[[Model, JsonObject], JsonObject],
    *,
    output: bool,
    iteration: int | None = None,
) -> Run:
    """Has `link` write the model into the run's detail; Precondition for a run that has ended.

    With `output` a model without an origin gets this run as its origin, and the run is at least at `iteration`.
    """
    model = find_model(ctx, model_id)
    run = edit_detail(ctx, run_id, dialect, lambda old: link(model, old), states=OPEN_STATES)
    if not output:
        return run
    if model.run_id is None and not model.ready:
        edit_model(ctx, model.id, {"run_id": run.id})
    if iteration is not None and iteration > run.last_iteration:
        run = edit_run(ctx, run.id, {"last_iteration": iteration})
    return run


def delete_links(ctx: Ctx[WriteTx], run_id: Id, dialect: str, unlink: DetailChange) -> Run:
    """Has `unlink` take models out of the run's detail; the models stay."""
    return edit_detail(ctx, run_id, dialect, unlink, states=OPEN_STATES)
