"""Jobs by recipe: a recipe of the book with checked arguments, queued for a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx, WriteTx
from quintet.app.datasets.manage import find_dataset
from quintet.app.models.registry import find_model
from quintet.app.projects.manage import find_project
from quintet.app.queues.entries import submit_run
from quintet.app.runs.create import CreateRun
from quintet.app.runs.read import find_run
from quintet.app.runs.state import request_stop
from quintet.domain.identity import Permission
from quintet.domain.ids import Id
from quintet.domain.runs import Run
from quintet.ports.recipes import RecipeBook


@dataclass(frozen=True, slots=True)
class StartJob:
    """`args` as the recipe's schema has them; datasets in them are meant as the project calls them."""

    project: str
    recipe: str
    args: Mapping[str, Any]
    name: str = ""


def start_job(ctx: Ctx[WriteTx], book: RecipeBook, cmd: StartJob) -> Run:
    """The queued run. Invalid names the argument that does not fit; NotFound for what an argument refers to."""
    authorize(ctx, Permission.RUN_WRITE)
    project = find_project(ctx, cmd.project)
    card = book.get(cmd.recipe)
    book.check(card.name, cmd.args)
    return submit_run(
        ctx,
        CreateRun(
            name=cmd.name or card.name, kind=card.kind, type="job", project_id=project.id, recipe=card.name,
            args=_resolved(ctx, project.id, cmd.args),
        ),
    )  # fmt: skip


def _resolved(ctx: Ctx[ReadTx], project_id: Id, args: Mapping[str, Any]) -> dict[str, Any]:
    """Keys are unique in a project only, so the run is told ids."""
    found: dict[str, Any] = {}
    for name, value in args.items():
        if isinstance(value, str) and name.endswith("dataset"):
            value = find_dataset(ctx, value, project_id).id
        elif isinstance(value, str) and name == "model":
            value = find_model(ctx, value).key
        found[name] = value
    return found


def stop_job(ctx: Ctx[WriteTx], ref: str) -> Run:
    """Asks the run of that id (any spelling) to stop; Precondition for one that has ended."""
    return request_stop(ctx, find_run(ctx, ref).id)
