"""Runs with what a list of jobs shows beside them: their number in the project, and their last figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from quintet.app.context import Ctx, ReadTx, WriteTx
from quintet.app.events.read import get_rollups
from quintet.app.projects.manage import find_project
from quintet.app.queues.entries import submit_run
from quintet.app.runs.create import CreateRun
from quintet.app.runs.edit import edit_run
from quintet.app.runs.read import RunFilter, RunOrder, count_runs, find_run, list_runs, locked_run
from quintet.app.runs.views import Order, RunSearch, search_runs
from quintet.domain.errors import NotFound
from quintet.domain.ids import Id
from quintet.domain.page import PageRequest
from quintet.domain.projects import check_name
from quintet.domain.runs import Run
from quintet.domain.series import RollUp
from quintet.storage import run_times as store


@dataclass(frozen=True, slots=True)
class NumberedRun:
    """`number` counts the runs of the project from 1 in the order of their making."""

    run: Run
    number: int
    rollups: Sequence[RollUp] = ()


def list_numbered(
    ctx: Ctx[ReadTx],
    project: str,
    wanted: RunFilter,
    page: PageRequest,
    order: RunOrder | Order = RunOrder.CREATED,
    *,
    descending: bool = True,
) -> tuple[list[NumberedRun], int]:
    """A page of the runs of a project, and how many there are. NotFound for an unknown project."""
    wanted = replace(wanted, project_ids=(find_project(ctx, project).id,))
    if isinstance(order, Order):
        search = RunSearch(narrow=wanted, order=(order,), offset=page.offset, limit=page.limit)
        runs = [view.run for view in search_runs(ctx, search)]
        return _numbered(ctx, runs), count_runs(ctx, wanted)
    found = list_runs(ctx, wanted, page, order, descending=descending, count=True)
    return _numbered(ctx, list(found.items)), found.total or 0


def find_numbered(ctx: Ctx[ReadTx], ref: str) -> NumberedRun:
    """A run by its id in any spelling."""
    return _numbered(ctx, [find_run(ctx, ref)])[0]


def submit_numbered(ctx: Ctx[WriteTx], cmd: CreateRun, queue: str | None = None) -> NumberedRun:
    """A new run of a project, put into a queue."""
    return _numbered(ctx, [submit_run(ctx, cmd, queue)])[0]


def _numbered(ctx: Ctx[ReadTx], runs: Sequence[Run]) -> list[NumberedRun]:
    projects = {run.project_id for run in runs if run.project_id is not None}
    numbers = store.run_numbers(ctx.tx, ctx.actor.space_id, sorted(projects), [run.id for run in runs])
    rollups = get_rollups(ctx, [run.id for run in runs])
    return [NumberedRun(run, numbers.get(run.id, 1), rollups[run.id]) for run in runs]


def tag_run(ctx: Ctx[WriteTx], run_id: Id, tag: str) -> Run:
    """Gives a run one more tag; it has it once."""
    run = locked_run(ctx, run_id)
    name = check_name(tag, field="tagName")
    return edit_run(ctx, run_id, {"tags": (*(t for t in run.tags if t != name), name)}, force=True)


def untag_run(ctx: Ctx[WriteTx], run_id: Id, tag: str) -> Run:
    """Takes a tag away; NotFound where the run does not have it."""
    run = locked_run(ctx, run_id)
    if tag not in run.tags:
        raise NotFound.of("tag", tag)
    return edit_run(ctx, run_id, {"tags": tuple(t for t in run.tags if t != tag)}, force=True)
