"""Experiments (our projects) and runs, as MLflow's tracking clients tell and ask of them."""

from __future__ import annotations

from typing import Any

import msgspec

from quintet.app.events.read import raw_points
from quintet.app.projects.manage import CreateProject, ProjectFilter, create_project, find_project, list_projects
from quintet.app.runs.create import CreateRun
from quintet.app.runs.read import RunFilter
from quintet.app.runs.state import archive_run, unarchive_run
from quintet.app.runs.tracking import Ending, Told, begin_run, change_told, drop_note, search_told, tell, view_told
from quintet.app.runs.views import Part, RunSearch
from quintet.dialects.domino.binder import mlflow_binder
from quintet.dialects.domino.ids import series_key
from quintet.dialects.domino.mlflow_filter import parse_filter, parse_order
from quintet.dialects.domino.mlflow_wire import (
    asked,
    experiment_ref,
    experiment_shown,
    number,
    offset_of,
    page_limit,
    run_info,
    run_ref,
    run_shown,
    with_token,
)
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.times import from_ms, to_ms
from quintet.domain.errors import Invalid, NotFound
from quintet.domain.page import PageRequest
from quintet.domain.series import MetricFilter, PointRow

JsonObject = dict[str, Any]
V2 = "/api/2.0/mlflow"
ENDINGS = {
    "FINISHED": Ending.FINISHED,
    "FAILED": Ending.FAILED,
    "KILLED": Ending.KILLED,
    "RUNNING": Ending.RUNNING,
    "SCHEDULED": None,
}
MOST_EXPERIMENTS, MOST_RUNS, MOST_POINTS = 1_000, 1_000, 25_000
MOST_ASKED = 50_000
"""What clients may ask for as a page of runs; they get at most `MOST_RUNS`, and a token."""

MOST_METRICS, MOST_NAMES = 1_000, 100
"""The most metrics, and the most parameters or tags, of one batch: MLflow's own limits."""

# -- experiments ------------------------------------------------------------------------------------------------


class Tag(msgspec.Struct):
    key: str
    value: str = ""


class NewExperiment(msgspec.Struct):
    name: str
    tags: list[Tag] = []


@mlflow_binder.op(f"POST {V2}/experiments/create", body=JsonObject)
async def create_experiment(call: Call) -> object:
    body = asked(call, NewExperiment)
    made = await call.write(create_project, CreateProject(body.name, tags=tuple(t.key for t in body.tags)))
    return {"experiment_id": made.id}


class ExperimentId(msgspec.Struct):
    experiment_id: str


@mlflow_binder.op(f"GET {V2}/experiments/get")
async def get_experiment(call: Call) -> object:
    ident = experiment_ref(asked(call, ExperimentId).experiment_id)
    return {"experiment": experiment_shown(await call.read(find_project, ident))}


class ExperimentName(msgspec.Struct):
    experiment_name: str


@mlflow_binder.op(f"GET {V2}/experiments/get-by-name")
async def get_experiment_by_name(call: Call) -> object:
    name = asked(call, ExperimentName).experiment_name
    found, _ = await call.read(list_projects, ProjectFilter(names=(name,)))
    if not found:
        raise NotFound.of("experiment", name)
    return {"experiment": experiment_shown(found[0])}


class ExperimentSearch(msgspec.Struct):
    max_results: int = 1_000
    page_token: str = ""
    filter: str = ""
    view_type: str = "ACTIVE_ONLY"


VIEWS: dict[str, bool | None] = {"ACTIVE_ONLY": False, "DELETED_ONLY": True, "ALL": None}


def _view(text: str, field: str) -> bool | None:
    if text not in VIEWS:
        raise Invalid(f"expected one of {', '.join(VIEWS)}", field=field)
    return VIEWS[text]


@mlflow_binder.op(f"GET {V2}/experiments/search", f"POST {V2}/experiments/search", body=JsonObject)
async def search_experiments(call: Call) -> object:
    body = asked(call, ExperimentSearch)
    limit, offset = page_limit(body.max_results, MOST_EXPERIMENTS), offset_of(body.page_token)
    if body.filter:
        raise Invalid("experiments are not filtered here", field="filter")
    wanted = ProjectFilter(archived=_view(body.view_type, "view_type"))
    found, total = await call.read(list_projects, wanted, PageRequest(limit=limit, offset=offset))
    more = [None] if offset + limit < total else []
    return with_token("experiments", [*(experiment_shown(p) for p in found), *more], offset, limit)


# -- runs -------------------------------------------------------------------------------------------------------


class NewRun(msgspec.Struct):
    """The server's own clock says when a run began; a client's `start_time` is left aside."""

    experiment_id: str
    run_name: str = ""
    tags: list[Tag] = []


@mlflow_binder.op(f"POST {V2}/runs/create", body=JsonObject)
async def create_run(call: Call) -> object:
    body = asked(call, NewRun)
    project = await call.read(find_project, experiment_ref(body.experiment_id))
    notes = {t.key: t.value for t in body.tags}
    name = body.run_name or notes.get("mlflow.runName") or "run"
    made = await call.write(begin_run, CreateRun(name, type="training", project_id=project.id), notes)
    return {"run": run_shown(made)}


class RunId(msgspec.Struct):
    run_id: str = ""
    run_uuid: str = ""


@mlflow_binder.op(f"GET {V2}/runs/get")
async def get_run(call: Call) -> object:
    body = asked(call, RunId)
    return {"run": run_shown(await call.read(view_told, run_ref(body.run_id, body.run_uuid)))}


class RunChanges(RunId):
    status: str | None = None
    run_name: str | None = None


@mlflow_binder.op(f"POST {V2}/runs/update", body=JsonObject)
async def update_run(call: Call) -> object:
    body = asked(call, RunChanges)
    if body.status is not None and body.status not in ENDINGS:
        raise Invalid(f"expected one of {', '.join(ENDINGS)}", field="status")
    ending = ENDINGS[body.status] if body.status is not None else None
    changed = await call.write(change_told, run_ref(body.run_id, body.run_uuid), body.run_name or None, ending)
    return {"run_info": run_info(changed.run)}


@mlflow_binder.op(f"POST {V2}/runs/delete", body=JsonObject)
async def delete_run(call: Call) -> object:
    """Puts the run away, from where it comes back."""
    await call.write(archive_run, run_ref(asked(call, RunId).run_id))
    return {}


@mlflow_binder.op(f"POST {V2}/runs/restore", body=JsonObject)
async def restore_run(call: Call) -> object:
    await call.write(unarchive_run, run_ref(asked(call, RunId).run_id))
    return {}


class Search(msgspec.Struct):
    experiment_ids: list[str] = []
    filter: str = ""
    run_view_type: str = "ACTIVE_ONLY"
    max_results: int = 1_000
    order_by: list[str] = []
    page_token: str = ""


@mlflow_binder.op(f"POST {V2}/runs/search", body=JsonObject)
async def search_runs(call: Call) -> object:
    body = asked(call, Search)
    projects = [experiment_ref(e) for e in body.experiment_ids]
    # One more is asked for, to know whether there is a next page, and that one has to fit too.
    limit, offset = min(page_limit(body.max_results, MOST_ASKED), MOST_RUNS - 1), offset_of(body.page_token)
    archived = _view(body.run_view_type, "run_view_type")
    keep, order = parse_filter(body.filter), parse_order(body.order_by)
    narrow = RunFilter(
        project_ids=tuple(projects), system_tags_all=("archived",) if archived else (),
        system_tags_none=("archived",) if archived is False else (),
    )  # fmt: skip
    needs = frozenset({Part.METRICS}) if keep is not None or order else frozenset()
    search = RunSearch(narrow, keep, needs, order, offset=offset, limit=limit + 1)
    found = await call.read(search_told, search, projects)
    return with_token("runs", [run_shown(v) for v in found], offset, limit)


# -- what runs tell ---------------------------------------------------------------------------------------------


class Metric(msgspec.Struct):
    key: str
    value: float
    timestamp: int
    step: int = 0


class LogMetric(Metric, kw_only=True):
    run_id: str = ""
    run_uuid: str = ""


def _point(item: Metric) -> PointRow:
    metric, variant = series_key(item.key)
    return metric, variant, item.step, from_ms(item.timestamp), item.value


@mlflow_binder.op(f"POST {V2}/runs/log-metric", body=JsonObject)
async def log_metric(call: Call) -> object:
    body = asked(call, LogMetric)
    await call.write(tell, run_ref(body.run_id, body.run_uuid), Told([_point(body)]))
    return {}


class LogPair(Tag, kw_only=True):
    run_id: str = ""
    run_uuid: str = ""


@mlflow_binder.op(f"POST {V2}/runs/log-parameter", body=JsonObject)
async def log_parameter(call: Call) -> object:
    body = asked(call, LogPair)
    await call.write(tell, run_ref(body.run_id, body.run_uuid), Told(params={body.key: body.value}))
    return {}


@mlflow_binder.op(f"POST {V2}/runs/set-tag", body=JsonObject)
async def set_tag(call: Call) -> object:
    body = asked(call, LogPair)
    await call.write(tell, run_ref(body.run_id, body.run_uuid), Told(notes={body.key: body.value}))
    return {}


@mlflow_binder.op(f"POST {V2}/runs/delete-tag", body=JsonObject)
async def delete_tag(call: Call) -> object:
    body = asked(call, LogPair)
    await call.write(drop_note, run_ref(body.run_id), body.key)
    return {}


class Batch(msgspec.Struct):
    run_id: str = ""
    metrics: list[Metric] = []
    params: list[Tag] = []
    tags: list[Tag] = []


@mlflow_binder.op(f"POST {V2}/runs/log-batch", body=JsonObject)
async def log_batch(call: Call) -> object:
    body = asked(call, Batch)
    for name, items, most in (
        ("metrics", body.metrics, MOST_METRICS), ("params", body.params, MOST_NAMES), ("tags", body.tags, MOST_NAMES)
    ):  # fmt: skip
        if len(items) > most:
            raise Invalid(f"a batch has at most {most} {name}", field=name)
    told = Told(
        [_point(m) for m in body.metrics], {p.key: p.value for p in body.params}, {t.key: t.value for t in body.tags}
    )
    await call.write(tell, run_ref(body.run_id), told)
    return {}


class History(RunId, kw_only=True):
    metric_key: str
    max_results: int = MOST_POINTS
    page_token: str = ""


@mlflow_binder.op(f"GET {V2}/metrics/get-history")
async def history(call: Call) -> object:
    body = asked(call, History)
    run = await call.read(view_told, run_ref(body.run_id, body.run_uuid))
    metric, variant = series_key(body.metric_key)
    limit = page_limit(body.max_results, MOST_POINTS)
    wanted = [MetricFilter(metric, (variant,))]
    page = await call.read(raw_points, run.run.id, wanted, limit=limit, cursor=body.page_token or None)
    metrics = [
        {"key": body.metric_key, "value": number(value), "timestamp": to_ms(at), "step": max(step, 0)}
        for _, _, points in page.series
        for step, at, value in zip(points.iters, points.times, points.values, strict=True)
    ]
    return {"metrics": metrics, **({"next_page_token": page.next_cursor} if page.next_cursor else {})}
