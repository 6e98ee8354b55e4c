"""How MLflow's clients send and read: queries and bodies alike, numbers as text, and NaN as a word."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from quintet.app.models.described import ModelView, VersionView
from quintet.app.runs.edit import PROPERTIES
from quintet.app.runs.views import RunView
from quintet.dialects.domino.ids import experiment_run, parse_run, series_name
from quintet.dialects.domino.people import user_name
from quintet.dialects.domino.registered_convert import params_of, tags_of
from quintet.dialects.kit.body import convert
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.times import to_ms
from quintet.domain.errors import Invalid, NotFound
from quintet.domain.ids import Id, parse_id
from quintet.domain.page import decode_cursor, encode_cursor
from quintet.domain.projects import Project
from quintet.domain.runs import Run, RunState

T = TypeVar("T")
JsonObject = dict[str, Any]
LARGEST = 1.7976931348623157e308
"""What stands for infinity, in this protocol."""

STATUS: dict[RunState, str] = {
    RunState.CREATED: "SCHEDULED",
    RunState.QUEUED: "SCHEDULED",
    RunState.RUNNING: "RUNNING",
    RunState.STOPPED: "KILLED",
    RunState.CLOSED: "FINISHED",
    RunState.FAILED: "FAILED",
    RunState.COMPLETED: "FINISHED",
    RunState.PUBLISHING: "FINISHED",
    RunState.PUBLISHED: "FINISHED",
}


def asked(call: Call, into: type[T]) -> T:
    """The request as `into`: of a GET its query, else its body; 64-bit numbers may come as text."""
    given = call.request.query_params if call.request.method == "GET" else call.body
    return convert(dict(given), into, strict=False)


def run_ref(run_id: str, run_uuid: str = "") -> Id:
    """The run that a request names, by either of its two names for the field."""
    if not (run_id or run_uuid):
        raise Invalid("Missing value for required parameter 'run_id'", field="run_id")
    return parse_run(run_id or run_uuid)


def experiment_ref(text: str) -> Id:
    found = parse_id(text)
    if found is None:
        raise NotFound(f"No Experiment with id={text} exists")
    return found


def offset_of(token: str) -> int:
    """Where the page of a token begins."""
    if not token:
        return 0
    (offset,) = decode_cursor(token, 1)
    if not isinstance(offset, int) or offset < 0:
        raise Invalid("the token is not one that this server gave", field="page_token")
    return offset


def page_limit(given: int, most: int) -> int:
    if not 1 <= given <= most:
        said = f"Invalid value {given} for parameter 'max_results' supplied; it is 1 to {most}"
        raise Invalid(said, field="max_results")
    return given


def with_token(name: str, items: Sequence[Any], offset: int, limit: int) -> JsonObject:
    """A page cut from `items`, which holds one more than the page where there is a next one."""
    page: JsonObject = {name: list(items[:limit])}
    if len(items) > limit:
        page["next_page_token"] = encode_cursor(offset + limit)
    return page


def pairs(given: Mapping[str, str]) -> list[JsonObject]:
    return [{"key": key, "value": value} for key, value in given.items()]


def number(value: float) -> float | str:
    """JSON has neither NaN nor infinity."""
    if math.isnan(value):
        return "NaN"
    return math.copysign(LARGEST, value) if math.isinf(value) else value


def experiment_shown(item: Project) -> JsonObject:
    return {
        "experiment_id": item.id,
        "name": item.name,
        "artifact_location": f"mlflow-artifacts:/{item.id}",
        "lifecycle_stage": "deleted" if item.archived else "active",
        "creation_time": to_ms(item.created_at),
        "last_update_time": to_ms(item.updated_at),
        "tags": pairs(dict.fromkeys(item.tags, "")),
    }


def run_info(run: Run) -> JsonObject:
    ident = experiment_run(run.id)
    return {
        "run_id": ident,
        "run_uuid": ident,
        "run_name": run.name,
        "experiment_id": run.project_id or "0",
        "user_id": run.created_by,
        "status": STATUS[run.state],
        "start_time": to_ms(run.started_at or run.created_at),
        **({"end_time": to_ms(run.ended_at)} if run.ended_at is not None else {}),
        "artifact_uri": f"mlflow-artifacts:/{run.project_id or '0'}/{ident}/artifacts",
        "lifecycle_stage": "deleted" if "archived" in run.system_tags else "active",
    }


def tags_of_run(run: Run) -> dict[str, str]:
    """Notes are tags with values; labels of other APIs are tags without."""
    notes = {name: str(item.get("value", "")) for name, item in run.params.get(PROPERTIES, {}).items()}
    return {**dict.fromkeys(run.tags, ""), "mlflow.runName": run.name, **notes}


def params_shown(run: Run) -> dict[str, str]:
    return {k: v for k, v in params_of(run).items() if not k.startswith(f"{PROPERTIES}/")}


def run_shown(view: RunView) -> JsonObject:
    metrics = [
        {
            "key": series_name(r.metric, r.variant), "value": number(r.last_value), "timestamp": to_ms(r.last_ts),
            "step": max(r.last_iter, 0),
        }
        for r in view.rollups
    ]  # fmt: skip
    data = {"metrics": metrics, "params": pairs(params_shown(view.run)), "tags": pairs(tags_of_run(view.run))}
    return {"info": run_info(view.run), "data": data, "inputs": {}, "outputs": {}}


def version_shown(view: VersionView) -> JsonObject:
    version = view.version
    return {
        "name": view.of.name,
        "version": str(version.number),
        "creation_timestamp": to_ms(version.created_at),
        "last_updated_timestamp": to_ms(version.updated_at),
        "user_id": user_name(view.owner),
        "current_stage": version.stage,
        "description": version.description,
        "source": version.source or f"models:/{view.of.name}/{version.number}",
        "run_id": experiment_run(version.run_id) or "",
        "status": "READY",
        "tags": pairs(version.tags),
    }


def model_shown(view: ModelView) -> JsonObject:
    model = view.model
    latest = [version_shown(VersionView(view, view.latest, view.owner))] if view.latest is not None else []
    return {
        "name": view.name,
        "creation_timestamp": to_ms(model.created_at),
        "last_updated_timestamp": to_ms(model.updated_at),
        "user_id": user_name(view.owner),
        "description": model.description,
        "latest_versions": latest,
        "tags": pairs(tags_of(model)),
    }
