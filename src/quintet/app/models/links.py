"""Which models a run used and made: what a client says when it links the two, in one transaction.

The names under which a task lists its models are a dialect's own (`Run.detail`); that a model came out of a run
is the core's (`Model.run_id`), so that every dialect sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from quintet.app.context import Ctx
from quintet.app.models.registry import CreateModel, create_model, edit_model, find_model, publish_model
from quintet.app.runs import state
from quintet.app.runs.compose import DetailChange, edit_detail
from quintet.app.runs.edit import OPEN_STATES, edit_run
from quintet.app.runs.read import get_run, get_runs
from quintet.domain.ids import Id
from quintet.domain.models import Model, ModelKind
from quintet.domain.runs import JsonObject, Run, RunState
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
    if iteration is not None:
        _reach(ctx, run.id, iteration)
    return run


def delete_links(ctx: Ctx[WriteTx], run_id: Id, dialect: str, unlink: DetailChange) -> Run:
    """Has `unlink` take models out of the run's detail; the models stay."""
    return edit_detail(ctx, run_id, dialect, unlink, states=OPEN_STATES)


@dataclass(frozen=True, slots=True)
class ModelEdit:
    """Fields of a model to set, entries of a dialect's detail, and how far the run is that made it."""

    changes: Mapping[str, Any]
    detail: JsonObject = field(default_factory=dict)
    iteration: int | None = None


def edit_with_detail(ctx: Ctx[WriteTx], ref: str, dialect: str, edit: ModelEdit) -> Model:
    """As `edit_model`, and sets what `dialect` keeps of the model; its other entries stay."""
    model = find_model(ctx, ref)
    changes = dict(edit.changes)
    if edit.detail:
        changes["detail"] = {**model.detail, dialect: {**model.detail.get(dialect, {}), **edit.detail}}
    model = edit_model(ctx, model.id, changes)
    if edit.iteration is not None and model.run_id is not None:
        _reach(ctx, model.run_id, edit.iteration)
    return model


def _reach(ctx: Ctx[WriteTx], run_id: Id, iteration: int) -> None:
    run = get_run(ctx, run_id)
    if iteration > run.last_iteration:
        edit_run(ctx, run.id, {"last_iteration": iteration})


class PublishedModel(NamedTuple):
    """A model that is ready, and the run that was published with it."""

    model: Model
    run: Run | None


def publish_with_run(ctx: Ctx[WriteTx], ref: str, *, publish_run: bool, force: bool = False) -> PublishedModel:
    """Publishes a model and, with `publish_run`, the run that made it, unless that is published already."""
    model = publish_model(ctx, ref)
    run = get_runs(ctx, [model.run_id]).get(model.run_id) if model.run_id is not None else None
    if not publish_run or run is None or run.state is RunState.PUBLISHED:
        return PublishedModel(model, None)
    return PublishedModel(model, state.publish_run(ctx, run.id, publish_model=False, force=force).run)


@dataclass(frozen=True, slots=True)
class TaskModel:
    """The output model of a run: `override` names one that exists; `changes` are fields of the run's own."""

    override: Id | None
    changes: Mapping[str, Any]
    iteration: int | None = None


class TaskModelResult(NamedTuple):
    model: Model
    created: bool


def model_of_task(
    ctx: Ctx[WriteTx],
    run_id: Id,
    dialect: str,
    cmd: TaskModel,
    last: Callable[[JsonObject], Id | None],
    link: Callable[[Model, JsonObject], JsonObject],
) -> TaskModelResult:
    """Changes the model that `last` finds in the run's detail, or makes one; `link` writes it into the detail."""
    run = get_run(ctx, run_id)
    current = cmd.override or last(dict(run.detail.get(dialect, {})))
    created = current is None
    if current is None:
        fields = {"name": run.name, **cmd.changes}
        model = create_model(
            ctx, CreateModel(**fields, project_id=run.project_id, run_id=run.id, kind=ModelKind.OTHER)
        )
    else:
        model = find_model(ctx, current)
        if cmd.override is None:
            model = edit_model(ctx, model.id, cmd.changes)
    put_link(ctx, run_id, model.id, dialect, link, output=True, iteration=cmd.iteration)
    return TaskModelResult(model, created)
