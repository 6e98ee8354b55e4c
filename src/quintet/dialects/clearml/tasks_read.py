"""Reading tasks: by id, by query, and the parts that have endpoints of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from quintet.app.runs.read import RunFilter, RunOrder, get_runs
from quintet.app.runs.views import ALL_PARTS, Order, RunSearch, RunView, search_runs, view_run
from quintet.dialects.clearml import ids
from quintet.dialects.clearml.binder import endpoint
from quintet.dialects.clearml.enums import states_of
from quintet.dialects.clearml.fields import dig
from quintet.dialects.clearml.queries import Noun, OrderBy, Query, decode_query, flag
from quintet.dialects.clearml.rules import literal, pattern
from quintet.dialects.clearml.tasks_convert import FIELDS, parts_for, parts_of, task_document
from quintet.dialects.kit.call import Call
from quintet.domain.ids import Kind

TASKS = Noun(
    fields=FIELDS,
    patterns=frozenset({"name", "comment", "report"}),
    lists=frozenset(
        {"id", "user", "tags", "system_tags", "type", "status", "project", "parent", "hyperparams.*",
         "execution.queue", "models.input.model"}
    ),
    ranges=frozenset({"created", "started", "active_duration", "last_iteration", "last_metrics.*"}),
    moments=frozenset({"status_changed", "last_update", "last_change"}),
    equals=frozenset({"runtime.*"}),
)  # fmt: skip

_COLUMNS = {
    "created": RunOrder.CREATED,
    "last_update": RunOrder.UPDATED,
    "name": RunOrder.NAME,
    "last_iteration": RunOrder.ITERATION,
}


class TaskId(msgspec.Struct):
    task: str


@endpoint("tasks.get_by_id", body=TaskId)
async def get_by_id(call: Call) -> dict[str, Any]:
    view = await call.read(view_run, ids.parse(call.body.task, Kind.RUN), ALL_PARTS)
    return {"task": task_document(view)}


@endpoint("tasks.get_all")
async def get_all(call: Call) -> dict[str, Any]:
    query = decode_query(call.body, TASKS)
    heads = query.projection.heads
    parts = parts_of(query.projection)
    views = await call.read(search_runs, _search(query, call.body), parts)
    return {"tasks": [query.projection.apply(task_document(view, heads)) for view in views]}


def _search(query: Query, body: Mapping[str, Any]) -> RunSearch:
    narrow = _narrow(query, body)
    test = query.close()
    heads = frozenset(query.heads)
    keep = None if test is None else (lambda view: test(task_document(view, heads)))
    return RunSearch(
        narrow=narrow,
        keep=keep,
        needs=parts_for(heads) if keep is not None or _sorts_in_memory(query) else frozenset(),
        order=tuple(_order(key, heads) for key in query.order),
        subprojects=flag(body, "include_subprojects"),
        offset=query.offset,
        limit=query.limit,
    )


def _sorts_in_memory(query: Query) -> bool:
    return len(query.order) > 1 or any(key.path[0] not in _COLUMNS for key in query.order)


def _order(key: OrderBy, heads: frozenset[str]) -> Order:
    def value(view: RunView) -> Any:
        return dig(task_document(view, heads), key.path)

    return Order(value, key.descending, _COLUMNS.get(key.path[0]) if len(key.path) == 1 else None)


def _narrow(query: Query, body: Mapping[str, Any]) -> RunFilter:
    """What of the query the database answers; that much is taken out of it."""
    narrow: dict[str, Any] = {}
    # `take` only what is "one of"; exclusions by these fields are rare and decided on the documents.
    for name, column, kind in (
        ("id", "ids", Kind.RUN), ("project", "project_ids", Kind.PROJECT), ("parent", "parent_ids", Kind.RUN),
        ("user", "user_ids", Kind.USER), ("execution.queue", "queue_ids", Kind.QUEUE),
    ):  # fmt: skip
        texts = query.one_of(name)
        if texts is not None:
            narrow[column] = ids.known(texts, kind)
    statuses = query.one_of("status")
    if statuses is not None:
        narrow["states"] = states_of(statuses)
    for name in ("tags", "system_tags"):
        rule = query.take(name)
        if rule is not None:
            narrow[f"{name}_any"], narrow[f"{name}_none"] = _strings(rule.any_of), _strings(rule.none_of)
    text = query.patterns.pop("name", None)
    if text is not None:
        pattern(text, "name")
        exact = literal(text)
        narrow |= {"name_pattern": text} if exact is None else {"name": exact}
    if not flag(body, "search_hidden") and not body.get("id"):
        narrow["system_tags_none"] = (*narrow.get("system_tags_none", ()), "hidden")
    return RunFilter(**narrow)


def _strings(values: list[Any]) -> tuple[str, ...]:
    return tuple(str(v) for v in values)


class TaskIds(msgspec.Struct):
    tasks: list[str]


@endpoint("tasks.get_hyper_params", body=TaskIds)
async def get_hyper_params(call: Call) -> dict[str, Any]:
    runs = await call.read(get_runs, ids.known(call.body.tasks, Kind.RUN))
    return {
        "params": [
            {
                "task": ids.task_id(run.id),
                "hyperparams": [
                    {"section": section, "name": name, **item}
                    for section, items in sorted(run.params.items())
                    for name, item in sorted(items.items())
                ],
            }
            for run in runs.values()
        ]
    }


class Configurations(msgspec.Struct):
    tasks: list[str]
    names: list[str] | None = None


@endpoint("tasks.get_configurations", body=Configurations)
async def get_configurations(call: Call) -> dict[str, Any]:
    runs = await call.read(get_runs, ids.known(call.body.tasks, Kind.RUN))
    wanted = call.body.names
    return {
        "configurations": [
            {
                "task": ids.task_id(run.id),
                "configuration": [
                    {"name": name, **item} for name, item in run.configuration.items() if not wanted or name in wanted
                ],
            }
            for run in runs.values()
        ]
    }


@endpoint("tasks.get_configuration_names", body=TaskIds)
async def get_configuration_names(call: Call) -> dict[str, Any]:
    runs = await call.read(get_runs, ids.known(call.body.tasks, Kind.RUN))
    return {
        "configurations": [{"task": ids.task_id(r.id), "names": sorted(r.configuration)} for r in runs.values()]
    }
