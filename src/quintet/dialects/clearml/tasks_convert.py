"""Runs as task documents, and what task documents say as changes of runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from hashlib import md5
from typing import Any

from quintet.app.runs.compose import DetailChange
from quintet.app.runs.views import Part, RunView
from quintet.dialects.clearml import ids
from quintet.dialects.clearml.artifacts import artifact_document
from quintet.dialects.clearml.enums import status_of, type_of
from quintet.dialects.clearml.envelope import stamp
from quintet.dialects.clearml.fields import Document, Projection
from quintet.dialects.kit.times import to_seconds
from quintet.domain.errors import Invalid
from quintet.domain.ids import Kind
from quintet.domain.models import Model, ModelFormat
from quintet.domain.runs import ENDED, JsonObject, Run
from quintet.domain.series import RollUp

DIALECT = "clearml"
FIELDS = frozenset(
    {"id", "company", "user", "name", "type", "status", "status_reason", "status_message", "status_changed", "comment",
     "created", "started", "completed", "published", "active_duration", "last_update", "last_change",
     "last_changed_by", "last_worker", "last_worker_report", "last_iteration", "last_metrics", "metric_stats",
     "unique_metrics", "project", "parent", "tags", "system_tags", "report", "report_assets", "output", "execution",
     "script", "hyperparams", "configuration", "runtime", "models", "container", "enqueue_status", "company_origin"}
)  # fmt: skip
"""Every field at the top of a task."""

PARAM_FIELDS = ("value", "type", "description")
LISTS = ("models.input", "models.output")
"""Where the detail of a run keeps the models that a task names."""


def parts_for(heads: Collection[str]) -> frozenset[Part]:
    """Which parts of a run the fields rest on."""
    parts = set()
    if "last_metrics" in heads:
        parts.add(Part.METRICS)
    if "execution" in heads:
        parts.add(Part.ARTIFACTS)
    if "models" in heads:
        parts.add(Part.MODELS)
    return frozenset(parts)


def parts_of(projection: Projection) -> frozenset[Part]:
    """As `parts_for`, sparing artifacts where only other fields of the execution are asked for."""
    parts = parts_for(projection.heads)
    return parts if projection.wants("execution", "artifacts") else parts - {Part.ARTIFACTS}


# -- out ----------------------------------------------------------------------------------------------------------


def task_document(view: RunView, heads: Collection[str] = FIELDS) -> Document:
    """The task with the default document filled in; fields whose heads are not asked for may be missing."""
    run = view.run
    out = _plain(run)
    detail: JsonObject = run.detail.get(DIALECT, {})
    if "hyperparams" in heads:
        out["hyperparams"] = {s: {n: _param(s, n, i) for n, i in items.items()} for s, items in run.params.items()}
    if "configuration" in heads:
        out["configuration"] = {name: {"name": name, **item} for name, item in run.configuration.items()}
    if "script" in heads:
        out["script"] = {"binary": "python", "repository": "", "entry_point": "", "requirements": {}, **run.script}
    if "execution" in heads:
        out["execution"] = _execution(view, detail)
    if "output" in heads:
        out["output"] = _group(detail, "output")
    if "models" in heads:
        out["models"] = _models(view, detail)
    if "last_metrics" in heads:
        out["last_metrics"] = last_metrics(view.rollups)
    return out


def _plain(run: Run) -> Document:
    out: Document = {
        "id": ids.task_id(run.id),
        "company": ids.company_id(run.space_id),
        "user": ids.user_id(run.created_by),
        "name": run.name,
        "type": type_of(run),
        "status": status_of(run.state),
        "status_reason": run.status_reason,
        "status_message": run.status_message,
        "status_changed": stamp(run.status_changed_at),
        "comment": run.comment,
        "created": stamp(run.created_at),
        "last_update": stamp(run.updated_at),
        "last_change": stamp(run.changed_at),
        "last_changed_by": ids.user_id(run.created_by),
        "last_iteration": run.last_iteration,
        "metric_stats": {},
        "tags": list(run.tags),
        "system_tags": list(run.system_tags),
        "report_assets": [],
        "runtime": run.runtime,
        "container": run.container,
    }
    for name, at in (("started", run.started_at), ("completed", run.ended_at), ("published", run.published_at)):
        if at is not None:
            out[name] = stamp(at)
    if run.started_at is not None:
        until = run.ended_at if run.state in ENDED and run.ended_at is not None else run.updated_at
        out["active_duration"] = max(0, to_seconds(until - run.started_at))
    if run.project_id is not None:
        out["project"] = ids.project_id(run.project_id)
    if run.parent_id is not None:
        out["parent"] = ids.task_id(run.parent_id)
    if run.last_worker is not None:
        out["last_worker"] = run.last_worker
        out["last_worker_report"] = stamp(run.last_worker_at)
    return out


def _param(section: str, name: str, item: JsonObject) -> JsonObject:
    return {"section": section, "name": name, **item}


def _group(detail: JsonObject, group: str) -> JsonObject:
    """The entries of the detail under `group.`, without that prefix."""
    start = f"{group}."
    return {name[len(start) :]: value for name, value in detail.items() if name.startswith(start)}


def _execution(view: RunView, detail: JsonObject) -> JsonObject:
    out: JsonObject = {"test_split": 0, "parameters": {}, "model_desc": {}, "model_labels": {}}
    out |= _group(detail, "execution")
    out["artifacts"] = [artifact_document(a) for a in view.artifacts]
    if view.run.queue_id is not None:
        out["queue"] = ids.queue_id(view.run.queue_id)
    return out


def _models(view: RunView, detail: JsonObject) -> JsonObject:
    inputs, outputs = (list(detail.get(name, [])) for name in LISTS)
    listed = {item.get("model") for item in outputs}
    # What a recipe made has real weights and was not reported by a client: it is shown all the same.
    outputs += [
        {"name": m.name, "model": ids.model_id(m.id)}
        for m in view.models
        if m.format is not ModelFormat.NONE and ids.model_id(m.id) not in listed
    ]
    return {"input": inputs, "output": outputs}


def metric_hash(name: str) -> str:
    """The key that a metric or variant has in `last_metrics`."""
    return md5(name.encode(), usedforsecurity=False).hexdigest()


def last_metrics(rollups: Sequence[RollUp]) -> JsonObject:
    """`{md5(metric): {md5(variant): …}}`."""
    out: dict[str, dict[str, Any]] = {}
    for one in rollups:
        entry: JsonObject = {
            "metric": one.metric,
            "variant": one.variant,
            "value": one.last_value,
            "min_value": one.min_value,
            "min_value_iteration": one.min_iter,
            "max_value": one.max_value,
            "max_value_iteration": one.max_iter,
            "first_value": one.first_value,
            "first_value_iteration": one.first_iter,
            "count": one.count,
            "mean_value": None if one.mean is None else round(one.mean, 2),
        }
        if one.x_label:
            entry["x_axis_label"] = one.x_label
        out.setdefault(metric_hash(one.metric), {})[metric_hash(one.variant)] = entry
    return out


# -- in -----------------------------------------------------------------------------------------------------------


def params_in(given: Mapping[str, Mapping[str, Mapping[str, Any]]], field: str = "hyperparams") -> dict[str, Any]:
    """`{section: {name: item}}` as the core keeps it. Invalid where an item is no object."""
    out: dict[str, dict[str, JsonObject]] = {}
    for section, items in given.items():
        if not isinstance(items, Mapping):
            raise Invalid("a section is an object of parameters", field=f"{field}.{section}")
        for name, item in items.items():
            if not isinstance(item, Mapping):
                raise Invalid("a parameter is an object with a value", field=f"{field}.{section}.{name}")
            out.setdefault(section, {})[name] = {k: item[k] for k in PARAM_FIELDS if item.get(k) is not None}
    return out


def configuration_in(given: Mapping[str, Mapping[str, Any]]) -> dict[str, JsonObject]:
    out: dict[str, JsonObject] = {}
    for name, item in given.items():
        if not isinstance(item, Mapping):
            raise Invalid("a configuration is an object with a value", field=f"configuration.{name}")
        out[name] = {k: v for k, v in item.items() if k != "name" and v is not None}
    return out


def detail_changes(body: Mapping[str, Any]) -> JsonObject:
    """What of a task's `execution`, `output` and `models` is kept in the detail, by its key there."""
    fresh: JsonObject = {}
    for name, value in (body.get("execution") or {}).items():
        if name not in ("artifacts", "queue"):
            fresh[f"execution.{name}"] = value
    for name, value in (body.get("output") or {}).items():
        fresh[f"output.{name}"] = value
    if body.get("output_dest") is not None:
        fresh["output.destination"] = body["output_dest"]
    for side in ("input", "output"):
        given = (body.get("models") or {}).get(side)
        if given is not None:
            fresh[f"models.{side}"] = [_model_item(item, side) for item in given]
    return fresh


def _model_item(item: Any, side: str) -> JsonObject:
    if not isinstance(item, Mapping) or not isinstance(item.get("name"), str):
        raise Invalid("a model of a task has a name and an id", field=f"models.{side}")
    ids.parse(str(item.get("model") or ""), Kind.MODEL, f"models.{side}.model")
    return dict(item)


def merging(fresh: JsonObject) -> DetailChange | None:
    """A change that sets these entries of the detail and keeps the others; None where there is nothing to set."""
    return (lambda old: {**old, **fresh}) if fresh else None


def model_link(model: Model, name: str, iteration: int | None) -> JsonObject:
    """How a task names a model."""
    link: JsonObject = {"name": name, "model": ids.model_id(model.id)}
    if iteration is not None:
        link["iteration"] = iteration
    return link
