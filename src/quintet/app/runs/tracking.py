"""Runs that a client carries out itself and only tells of: begun at once, ended by its word, and searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from quintet.app.context import Ctx, ReadTx, WriteTx
from quintet.app.events.report import report_points
from quintet.app.projects.manage import find_project
from quintet.app.runs.create import CreateRun, create_run
from quintet.app.runs.edit import PROPERTIES, delete_params, edit_run, set_params
from quintet.app.runs.read import find_run, locked_run
from quintet.app.runs.state import complete_run, fail_run, start_run, stop_run
from quintet.app.runs.views import Part, RunSearch, RunView, search_runs, view_run
from quintet.domain.errors import Invalid, NotFound
from quintet.domain.ids import Id
from quintet.domain.runs import Run, RunState
from quintet.domain.series import PointBatch, PointRow

PARTS = frozenset({Part.METRICS})
SECTION = "General"
"""Where parameters go that have no section: `connect()` of the ClearML client puts them there too."""


class Ending(StrEnum):
    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"
    RUNNING = "running"
    """Taken up again."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a client tells of its run at once. Parameters never change once they are told; notes do."""

    points: Sequence[PointRow] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


def begin_run(ctx: Ctx[WriteTx], cmd: CreateRun, notes: Mapping[str, str]) -> RunView:
    """A new run that is running already."""
    run = create_run(ctx, cmd)
    _put_notes(ctx, run.id, notes)
    return view_run(ctx, start_run(ctx, run.id).id, PARTS)


def tell(ctx: Ctx[WriteTx], run_id: Id, told: Told) -> None:
    """Stores all of it or nothing. Invalid for a parameter that had another value."""
    run = locked_run(ctx, run_id)
    known = {name: item.get("value") for name, item in run.params.get(SECTION, {}).items()}
    for name, value in told.params.items():
        if name in known and known[name] != value:
            raise Invalid(f"the parameter '{name}' is '{known[name]}' already and stays so", field="params")
    new = {name: {"value": value, "type": "str"} for name, value in told.params.items() if name not in known}
    if new:
        set_params(ctx, run_id, {SECTION: new}, force=True)
    _put_notes(ctx, run_id, told.notes)
    if told.points:
        report_points(ctx, run_id, PointBatch.of(told.points))


def _put_notes(ctx: Ctx[WriteTx], run_id: Id, notes: Mapping[str, str]) -> None:
    if notes:
        set_params(ctx, run_id, {PROPERTIES: {n: {"value": v, "type": "str"} for n, v in notes.items()}})


def drop_note(ctx: Ctx[WriteTx], run_id: Id, name: str) -> None:
    """Takes a note away; NotFound where there is none."""
    if name not in locked_run(ctx, run_id).params.get(PROPERTIES, {}):
        raise NotFound.of("tag", name)
    delete_params(ctx, run_id, [(PROPERTIES, name)])


def change_told(ctx: Ctx[WriteTx], run_id: Id, name: str | None, ending: Ending | None) -> RunView:
    """Renames or ends a run, or takes it up again; saying what is so already changes nothing."""
    run = locked_run(ctx, run_id)
    if name is not None and name != run.name:
        run = edit_run(ctx, run_id, {"name": name})
    if ending is not None:
        _end(ctx, run, ending)
    return view_run(ctx, run_id, PARTS)


def _end(ctx: Ctx[WriteTx], run: Run, ending: Ending) -> None:
    match ending:
        case Ending.FINISHED:
            if run.state is not RunState.COMPLETED:
                complete_run(ctx, run.id)
        case Ending.FAILED:
            if run.state is not RunState.FAILED:
                fail_run(ctx, run.id, reason="reported by its client")
        case Ending.KILLED:
            if run.state is not RunState.STOPPED:
                stop_run(ctx, run.id, reason="reported by its client")
        case Ending.RUNNING:
            if run.state is not RunState.RUNNING:
                start_run(ctx, run.id, force=run.state in (RunState.FAILED, RunState.CLOSED))
        case unreachable:
            assert_never(unreachable)


def view_told(ctx: Ctx[ReadTx], ref: str) -> RunView:
    """A run with the last values of its series."""
    return view_run(ctx, find_run(ctx, ref).id, PARTS)


def search_told(ctx: Ctx[ReadTx], search: RunSearch, projects: Sequence[str]) -> list[RunView]:
    """Runs of these projects; NotFound for one that is not there."""
    for project in projects:
        find_project(ctx, project)
    return search_runs(ctx, search, PARTS)
