"""Runs together with their parts, found by rules that SQL does not have: one read for a whole list.

The database narrows by what it indexes. What is left (rules over parameters, metrics, several fields at once)
is decided on each run by a function of the caller, which knows the words that its clients use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from quintet.app.context import Ctx
from quintet.app.runs.read import all_runs, get_run, list_runs
from quintet.domain.errors import Quota
from quintet.domain.ids import Id
from quintet.domain.models import Model
from quintet.domain.page import MAX_PAGE, PageRequest
from quintet.domain.runs import Artifact, Run
from quintet.domain.series import RollUp
from quintet.storage import models as model_store
from quintet.storage import projects as project_store
from quintet.storage import runs as store
from quintet.storage import series_read
from quintet.storage.models import ModelFilter
from quintet.storage.projects import ProjectFilter
from quintet.storage.runs import RunFilter, RunOrder
from quintet.storage.tx import ReadTx

MAX_SCANNED = 20_000
"""Runs that one search may look at one by one: some seconds and some hundred MB in the worst case."""


class Part(StrEnum):
    """What a view may carry beside the run; each is one query for the whole list."""

    ARTIFACTS = "artifacts"
    METRICS = "metrics"
    MODELS = "models"


ALL_PARTS = frozenset(Part)


@dataclass(frozen=True, slots=True)
class RunView:
    """A run with the parts that were asked for. `models` are those that name the run as their origin."""

    run: Run
    artifacts: Sequence[Artifact] = ()
    rollups: Sequence[RollUp] = ()
    models: Sequence[Model] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """One key of a sort. Views without a value come last ascending and descending."""

    value: Callable[[RunView], Any]
    descending: bool = False
    column: RunOrder | None = None
    """The same order as a column, where there is one."""


@dataclass(frozen=True, slots=True)
class RunSearch:
    """Which runs, in which order. `keep` decides on what SQL has let through; `needs` are parts it looks at."""

    narrow: RunFilter = field(default_factory=RunFilter)
    keep: Callable[[RunView], bool] | None = None
    needs: frozenset[Part] = frozenset()
    order: tuple[Order, ...] = ()
    subprojects: bool = False
    offset: int = 0
    limit: int = 500


def view_run(ctx: Ctx[ReadTx], run_id: Id, parts: frozenset[Part] = ALL_PARTS) -> RunView:
    """The run with its parts; NotFound where the space has none of that id."""
    return _views(ctx, [get_run(ctx, run_id)], parts)[0]


def search_runs(ctx: Ctx[ReadTx], search: RunSearch, parts: frozenset[Part] = frozenset()) -> list[RunView]:
    """The page of matching runs. Quota where too many would have to be looked at one by one."""
    narrow = _with_subprojects(ctx, search.narrow) if search.subprojects else search.narrow
    first = search.order[0] if search.order else Order(lambda view: view.run.created_at, False, RunOrder.CREATED)
    limit = min(search.limit, MAX_PAGE)
    if search.keep is None and len(search.order) <= 1 and first.column is not None:
        page = PageRequest(limit=limit, offset=search.offset)
        found = list_runs(ctx, narrow, page, first.column, descending=first.descending)
        return _views(ctx, found.items, parts)
    candidates = all_runs(ctx, narrow, MAX_SCANNED + 1)
    if len(candidates) > MAX_SCANNED:
        raise Quota(f"more than {MAX_SCANNED} runs would have to be searched; narrow it by project or tag")
    views = _views(ctx, candidates, search.needs)
    if search.keep is not None:
        views = [view for view in views if search.keep(view)]
    # Sorting is stable, so the least important key goes first; newest first is how candidates come.
    for key in reversed(search.order):
        views = _sorted(views, key)
    chosen = views[search.offset : search.offset + limit]
    return chosen if parts <= search.needs else _views(ctx, [view.run for view in chosen], parts)


def _with_subprojects(ctx: Ctx[ReadTx], narrow: RunFilter) -> RunFilter:
    if narrow.project_ids is None:
        return narrow
    space = ctx.actor.space_id
    wanted: dict[Id, None] = {}
    for top in project_store.get_many(ctx.tx, space, narrow.project_ids).values():
        below = project_store.list_projects(ctx.tx, space, ProjectFilter(under=top.name))
        wanted.update(dict.fromkeys(p.id for p in below))
    return replace(narrow, project_ids=tuple(wanted))


def _views(ctx: Ctx[ReadTx], runs: Sequence[Run], parts: frozenset[Part]) -> list[RunView]:
    ids = [run.id for run in runs]
    artifacts = store.artifacts_of_many(ctx.tx, ids) if Part.ARTIFACTS in parts else {}
    rollups: dict[Id, list[RollUp]] = {}
    if Part.METRICS in parts and ids:
        for one in series_read.rollups(ctx.tx, ids):
            rollups.setdefault(one.run_id, []).append(one)
    models = _models_of(ctx, ids) if Part.MODELS in parts and ids else {}
    return [
        RunView(run, artifacts.get(run.id, ()), rollups.get(run.id, ()), models.get(run.id, ())) for run in runs
    ]


def _models_of(ctx: Ctx[ReadTx], ids: Sequence[Id]) -> dict[Id, list[Model]]:
    found: dict[Id, list[Model]] = {}
    wanted, cursor = ModelFilter(run_ids=tuple(ids)), None
    while True:
        page = PageRequest(limit=MAX_PAGE, after=cursor)
        step = model_store.list_models(ctx.tx, ctx.actor.space_id, wanted, page, order="id")
        for model in step.items:
            if model.run_id is not None:
                found.setdefault(model.run_id, []).append(model)
        cursor = step.next_cursor
        if cursor is None:
            return found


def _sorted(views: list[RunView], key: Order) -> list[RunView]:
    pairs = [(key.value(view), view) for view in views]
    with_value = [pair for pair in pairs if pair[0] is not None and pair[0] != ""]
    without = [view for value, view in pairs if value is None or value == ""]
    with_value.sort(key=lambda pair: _rank(pair[0]), reverse=key.descending)
    return [view for _, view in with_value] + without


def _rank(value: Any) -> tuple[int, float, str]:
    """Numbers before text; text that looks like a number counts as one, so that "2" is before "10"."""
    if isinstance(value, bool | int | float):
        return 0, float(value), ""
    text = str(value)
    try:
        return 0, float(text), ""
    except ValueError:
        return 1, 0.0, text
