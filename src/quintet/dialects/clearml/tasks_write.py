"""Making, editing, copying and deleting tasks, and what they say of their parameters, models and scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from quintet.app.models.links import delete_links, put_link
from quintet.app.runs import compose, delete, edit
from quintet.app.runs.compose import RunEdit
from quintet.app.runs.create import CloneRun, CreateRun
from quintet.app.runs.edit import Replace
from quintet.dialects.clearml import ids
from quintet.dialects.clearml.artifacts import artifacts_in, own_urls
from quintet.dialects.clearml.binder import endpoint
from quintet.dialects.clearml.enums import check_type
from quintet.dialects.clearml.envelope import stamp
from quintet.dialects.clearml.tasks_convert import (
    DIALECT,
    LISTS,
    configuration_in,
    detail_changes,
    merging,
    model_link,
    params_in,
)
from quintet.dialects.kit.body import convert
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.times import parse_time
from quintet.domain.ids import Kind
from quintet.domain.models import Model
from quintet.domain.projects import check_name
from quintet.domain.runs import JsonObject, Run, RunState

LEAST_NAME = 3
"""The shortest name that this contract takes."""


class TaskFields(msgspec.Struct):
    """What tasks are made and edited with; None leaves a field alone."""

    task: str | None = None
    force: bool | None = None
    name: str | None = None
    type: str | None = None
    comment: str | None = None
    tags: list[str] | None = None
    system_tags: list[str] | None = None
    parent: str | None = None
    project: str | None = None
    output_dest: str | None = None
    output: dict[str, Any] | None = None
    execution: dict[str, Any] | None = None
    script: dict[str, Any] | None = None
    hyperparams: dict[str, dict[str, dict[str, Any]]] | None = None
    configuration: dict[str, dict[str, Any]] | None = None
    models: dict[str, Any] | None = None
    container: dict[str, Any] | None = None
    runtime: dict[str, Any] | None = None

    def given(self) -> JsonObject:
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}


def name_of(text: str) -> str:
    return check_name(text, field="name", least=LEAST_NAME)


def _changes(body: TaskFields) -> dict[str, Any]:
    """The fields of a run that the body sets."""
    out: dict[str, Any] = {}
    for name in ("comment", "script", "container", "runtime"):
        if (value := getattr(body, name)) is not None:
            out[name] = value
    for name in ("tags", "system_tags"):
        if (value := getattr(body, name)) is not None:
            out[name] = tuple(value)
    if body.name is not None:
        out["name"] = name_of(body.name)
    if body.type is not None:
        out["type"] = check_type(body.type)
    if body.project is not None:
        out["project_id"] = ids.parse_optional(body.project, Kind.PROJECT)
    if body.parent is not None:
        out["parent_id"] = ids.parse_optional(body.parent, Kind.RUN, "parent")
    if body.hyperparams is not None:
        out["params"] = params_in(body.hyperparams)
    if body.configuration is not None:
        out["configuration"] = configuration_in(body.configuration)
    return out


@endpoint("tasks.create", body=TaskFields)
async def create(call: Call) -> dict[str, str]:
    command, artifacts = _command(call)
    run = await call.write(compose.create_whole, command, artifacts)
    return {"id": ids.task_id(run.id)}


@endpoint("tasks.validate", body=TaskFields)
async def validate(call: Call) -> dict[str, Any]:
    """Says whether `tasks.create` would take this, as far as that shows without the database."""
    _command(call)
    return {}


class Required(msgspec.Struct):
    name: str
    type: str


def _command(call: Call) -> tuple[CreateRun, list[Any]]:
    body: TaskFields = call.body
    given = body.given()
    convert(given, Required)
    command = CreateRun(**_changes(body), detail={DIALECT: detail_changes(given)})
    return command, artifacts_in(given, call.actor.space_id, own_urls(call)) or []


@endpoint("tasks.edit", body=TaskFields)
async def edit_task(call: Call) -> dict[str, Any]:
    """Sets fields. `script`, `execution`, `models` and `output` are merged, all others replaced whole."""
    body: TaskFields = call.body
    run_id = ids.parse(body.task or "", Kind.RUN)
    given = body.given()
    change = RunEdit(
        changes=_changes(body),
        merge=frozenset({"script"}),
        states=frozenset({RunState.CREATED}),
        force=bool(body.force),
        change=merging(detail_changes(given)),
        artifacts=artifacts_in(given, call.actor.space_id, own_urls(call)),
    )
    run = await call.write(compose.edit_whole, run_id, DIALECT, change)
    return updated(run, {k: v for k, v in given.items() if k not in ("task", "force")})


def updated(run: Run, fields: Mapping[str, Any]) -> dict[str, Any]:
    """How a change is answered: the fields that were set, and the times that came with them."""
    times = {"last_update": stamp(run.updated_at), "last_change": stamp(run.changed_at)}
    return {"updated": 1, "fields": {**fields, **times}}


class UpdateTask(msgspec.Struct):
    task: str
    name: str | None = None
    status_message: str | None = None
    comment: str | None = None
    created: str | int | None = None
    project: str | None = None
    tags: list[str] | None = None
    system_tags: list[str] | None = None


@endpoint("tasks.update", body=UpdateTask)
async def update(call: Call) -> dict[str, Any]:
    """Sets what may change in any state."""
    body: UpdateTask = call.body
    run_id = ids.parse(body.task, Kind.RUN)
    changes: dict[str, Any] = {}
    for name in ("status_message", "comment"):
        if (value := getattr(body, name)) is not None:
            changes[name] = value
    for name in ("tags", "system_tags"):
        if (value := getattr(body, name)) is not None:
            changes[name] = tuple(value)
    if body.name is not None:
        changes["name"] = name_of(body.name)
    if body.created is not None:
        changes["created_at"] = parse_time(body.created, "created")
    if body.project is not None:
        changes["project_id"] = ids.parse_optional(body.project, Kind.PROJECT)
    run = await call.write(edit.edit_run, run_id, changes, merge=(), force=False)
    shown = {n: v for n, v in msgspec.structs.asdict(body).items() if v is not None and n != "task"}
    return updated(run, shown)


class Requirements(msgspec.Struct):
    task: str
    requirements: dict[str, Any]


@endpoint("tasks.set_requirements", body=Requirements)
async def set_requirements(call: Call) -> dict[str, Any]:
    run_id = ids.parse(call.body.task, Kind.RUN)
    script = {"requirements": call.body.requirements}
    run = await call.write(edit.edit_run, run_id, {"script": script}, merge=("script",), force=True)
    return updated(run, {"script.requirements": call.body.requirements})


class TaskId(msgspec.Struct):
    task: str


@endpoint("tasks.ping", body=TaskId)
async def ping(call: Call) -> dict[str, Any]:
    await call.write(edit.touch_run, ids.parse(call.body.task, Kind.RUN))
    return {}


# -- copy and delete ----------------------------------------------------------------------------------------------


class Clone(msgspec.Struct):
    task: str
    new_task_name: str | None = None
    new_task_comment: str | None = None
    new_task_tags: list[str] | None = None
    new_task_system_tags: list[str] | None = None
    new_task_parent: str | None = None
    new_task_project: str | None = None
    new_task_hyperparams: dict[str, dict[str, dict[str, Any]]] | None = None
    new_task_configuration: dict[str, dict[str, Any]] | None = None
    new_task_container: dict[str, Any] | None = None
    new_task_input_models: list[dict[str, Any]] | None = None
    execution_overrides: dict[str, Any] | None = None
    new_project_name: str | None = None


@endpoint("tasks.clone", body=Clone)
async def clone(call: Call) -> dict[str, Any]:
    body: Clone = call.body
    changes: dict[str, Any] = {}
    if body.new_task_hyperparams is not None:
        changes["params"] = params_in(body.new_task_hyperparams, "new_task_hyperparams")
    if body.new_task_configuration is not None:
        changes["configuration"] = configuration_in(body.new_task_configuration)
    if body.new_task_container is not None:
        changes["container"] = body.new_task_container
    overrides: JsonObject = {"execution": body.execution_overrides or {}}
    if body.new_task_input_models is not None:
        overrides["models"] = {"input": body.new_task_input_models}
    fresh = detail_changes(overrides)

    def renew(old: JsonObject) -> JsonObject:
        return {**{k: v for k, v in old.items() if k != LISTS[1]}, **fresh}

    command = CloneRun(
        source_id=ids.parse(body.task, Kind.RUN),
        name=None if body.new_task_name is None else name_of(body.new_task_name),
        project_id=ids.parse_optional(body.new_task_project, Kind.PROJECT, "new_task_project"),
        parent_id=ids.parse_optional(body.new_task_parent, Kind.RUN, "new_task_parent"),
        comment=body.new_task_comment,
        tags=None if body.new_task_tags is None else tuple(body.new_task_tags),
        system_tags=None if body.new_task_system_tags is None else tuple(body.new_task_system_tags),
        changes=changes,
    )
    made = await call.write(compose.clone_whole, command, DIALECT, renew, body.new_project_name)
    out: dict[str, Any] = {"id": ids.task_id(made.run.id)}
    if made.project_id is not None:
        out["new_project"] = {"id": ids.project_id(made.project_id), "name": body.new_project_name}
    return out


class Reset(msgspec.Struct):
    task: str
    force: bool | None = None
    clear_all: bool | None = None
    return_file_urls: bool | None = None


@endpoint("tasks.reset", body=Reset)
async def reset(call: Call) -> dict[str, Any]:
    run_id = ids.parse(call.body.task, Kind.RUN)
    clear_all = bool(call.body.clear_all)

    def renew(old: JsonObject) -> JsonObject:
        gone = LISTS[1:] if not clear_all else (*LISTS[1:], *(k for k in old if k.startswith("execution.")))
        return {k: v for k, v in old.items() if k not in gone}

    done = await call.write(
        compose.reset_whole, run_id, DIALECT, renew, clear_all=clear_all, force=bool(call.body.force)
    )
    out = updated(done.run, {"status": "created", "status_reason": done.run.status_reason})
    return {**out, "deleted_models": len(done.deleted_models), "dequeued": {"removed": int(done.dequeued)}}


class Delete(msgspec.Struct):
    task: str
    force: bool | None = None
    move_to_trash: bool | None = None
    return_file_urls: bool | None = None
    delete_output_models: bool | None = None


@endpoint("tasks.delete", body=Delete)
async def delete_task(call: Call) -> dict[str, Any]:
    run_id = ids.parse(call.body.task, Kind.RUN)
    done = await call.write(delete.delete_run, run_id, force=bool(call.body.force))
    return {
        "deleted": True,
        "updated_children": done.children,
        "updated_models": 0,
        "deleted_models": len(done.deleted_models),
    }


# -- hyperparameters and configuration ------------------------------------------------------------------------------


class EditParams(msgspec.Struct):
    task: str
    hyperparams: list[dict[str, Any]]
    replace_hyperparams: str | None = None
    force: bool | None = None


class ParamItem(msgspec.Struct):
    section: str
    name: str
    value: str | None = None
    type: str | None = None
    description: str | None = None


@endpoint("tasks.edit_hyper_params", body=EditParams)
async def edit_hyper_params(call: Call) -> dict[str, int]:
    items = convert(call.body.hyperparams, list[ParamItem], strict=False)
    given: dict[str, dict[str, Any]] = {}
    for item in items:
        given.setdefault(item.section, {})[item.name] = msgspec.structs.asdict(item)
    how = convert(call.body.replace_hyperparams or "none", Replace)
    await call.write(
        edit.set_params, ids.parse(call.body.task, Kind.RUN), params_in(given), replace_=how,
        force=bool(call.body.force),
    )  # fmt: skip
    return {"updated": 1}


class ParamKey(msgspec.Struct):
    section: str
    name: str | None = None


class DeleteParams(msgspec.Struct):
    task: str
    hyperparams: list[ParamKey]
    force: bool | None = None


@endpoint("tasks.delete_hyper_params", body=DeleteParams)
async def delete_hyper_params(call: Call) -> dict[str, int]:
    names = [(key.section, key.name) for key in call.body.hyperparams]
    await call.write(
        edit.delete_params, ids.parse(call.body.task, Kind.RUN), names, force=bool(call.body.force)
    )
    return {"deleted": 1}


class ConfigurationItem(msgspec.Struct):
    name: str
    value: str | None = None
    type: str | None = None
    description: str | None = None


class EditConfiguration(msgspec.Struct):
    task: str
    configuration: list[ConfigurationItem]
    replace_configuration: bool | None = None
    force: bool | None = None


@endpoint("tasks.edit_configuration", body=EditConfiguration)
async def edit_configuration(call: Call) -> dict[str, int]:
    given = configuration_in({item.name: msgspec.structs.asdict(item) for item in call.body.configuration})
    await call.write(
        edit.set_configuration, ids.parse(call.body.task, Kind.RUN), given,
        replace_all=bool(call.body.replace_configuration), force=bool(call.body.force),
    )  # fmt: skip
    return {"updated": 1}


class DeleteConfiguration(msgspec.Struct):
    task: str
    configuration: list[str]
    force: bool | None = None


@endpoint("tasks.delete_configuration", body=DeleteConfiguration)
async def delete_configuration(call: Call) -> dict[str, int]:
    await call.write(
        edit.delete_configuration, ids.parse(call.body.task, Kind.RUN), call.body.configuration,
        force=bool(call.body.force),
    )  # fmt: skip
    return {"deleted": 1}


# -- models of a task -----------------------------------------------------------------------------------------------


ModelSide = Literal["input", "output"]


class AddModel(msgspec.Struct):
    task: str
    name: str
    model: str
    type: ModelSide
    iteration: int | None = None


@endpoint("tasks.add_or_update_model", min_version="2.13", body=AddModel)
async def add_or_update_model(call: Call) -> dict[str, int]:
    body: AddModel = call.body
    side = f"models.{body.type}"

    def link(model: Model, old: JsonObject) -> JsonObject:
        fresh = model_link(model, body.name, body.iteration)
        items = list(old.get(side, []))
        for at, item in enumerate(items):
            if item.get("name") == body.name:
                items[at] = fresh
                break
        else:
            items.append(fresh)
        return {**old, side: items}

    await call.write(
        put_link, ids.parse(body.task, Kind.RUN), ids.parse(body.model, Kind.MODEL), DIALECT, link,
        output=side == LISTS[1], iteration=body.iteration,
    )  # fmt: skip
    return {"updated": 1}


class ModelKey(msgspec.Struct):
    name: str
    type: ModelSide


class DeleteModels(msgspec.Struct):
    task: str
    models: list[ModelKey]


@endpoint("tasks.delete_models", min_version="2.13", body=DeleteModels)
async def delete_models(call: Call) -> dict[str, int]:
    gone = {(f"models.{m.type}", m.name) for m in call.body.models}

    def unlink(old: JsonObject) -> JsonObject:
        kept = {s: [i for i in old.get(s, []) if (s, i.get("name")) not in gone] for s in LISTS if s in old}
        return {**old, **kept}

    await call.write(delete_links, ids.parse(call.body.task, Kind.RUN), DIALECT, unlink)
    return {"updated": 1}
