"""Models: the endpoints by which clients register, find, change and publish them."""

from __future__ import annotations

from typing import Any

import msgspec

from quintet.app.models import links, registry
from quintet.app.models.links import ModelEdit, TaskModel
from quintet.app.models.registry import CreateModel, ModelFilter
from quintet.dialects.clearml import ids
from quintet.dialects.clearml.binder import endpoint
from quintet.dialects.clearml.models_convert import FIELDS, MetadataItem, metadata_in, model_document
from quintet.dialects.clearml.queries import Noun, Query, decode_query, finish
from quintet.dialects.clearml.rules import literal, pattern
from quintet.dialects.clearml.tasks_convert import DIALECT, LISTS, model_link
from quintet.dialects.clearml.tasks_state import changed, each
from quintet.dialects.clearml.tasks_write import name_of
from quintet.dialects.kit.call import Call
from quintet.domain.errors import Invalid
from quintet.domain.ids import Id, Kind
from quintet.domain.models import Model, ModelKind
from quintet.domain.page import PageRequest
from quintet.domain.runs import JsonObject

MODELS = Noun(
    fields=FIELDS,
    patterns=frozenset({"name", "comment"}),
    lists=frozenset(
        {"id", "user", "tags", "system_tags", "framework", "uri", "project", "task", "parent", "metadata.*"}
    ),
    ranges=frozenset({"created", "last_iteration", "last_metrics.*"}),
    moments=frozenset({"last_update", "last_change"}),
    equals=frozenset({"ready"}),
)
_COLUMNS = {"created": "created_at", "last_update": "updated_at", "name": "name"}

SCANNED = 1_000
"""Models looked at in one step of a query that SQL cannot decide alone."""


class ModelFields(msgspec.Struct):
    model: str | None = None
    uri: str | None = None
    name: str | None = None
    comment: str | None = None
    tags: list[str] | None = None
    system_tags: list[str] | None = None
    framework: str | None = None
    design: dict[str, Any] | None = None
    labels: dict[str, Any] | None = None
    ui_cache: dict[str, Any] | None = None
    ready: bool | None = None
    public: bool | None = None
    project: str | None = None
    parent: str | None = None
    task: str | None = None
    iteration: int | None = None
    metadata: list[MetadataItem] | None = None


def _changes(body: ModelFields) -> dict[str, Any]:
    """The fields of a model that the body sets."""
    out: dict[str, Any] = {}
    for name, field in (
        ("uri", "uri"), ("comment", "description"), ("framework", "framework"), ("labels", "labels"), ("ready", "ready")
    ):  # fmt: skip
        if (value := getattr(body, name)) is not None:
            out[field] = value
    for name in ("tags", "system_tags"):
        if (value := getattr(body, name)) is not None:
            out[name] = tuple(dict.fromkeys(value))
    if body.name is not None:
        out["name"] = name_of(body.name)
    for name, field, kind in (
        ("project", "project_id", Kind.PROJECT), ("parent", "parent_id", Kind.MODEL), ("task", "run_id", Kind.RUN)
    ):  # fmt: skip
        if (value := getattr(body, name)) is not None:
            out[field] = ids.parse_optional(value, kind, name)
    if body.metadata is not None:
        out["metadata"] = metadata_in(body.metadata)
    return out


def _detail(body: ModelFields) -> JsonObject:
    return {n: v for n, v in (("design", body.design), ("ui_cache", body.ui_cache)) if v is not None}


@endpoint("models.create", body=ModelFields)
async def create(call: Call) -> dict[str, Any]:
    body: ModelFields = call.body
    if body.uri is None or body.name is None:
        raise Invalid("this field is required", field="uri" if body.uri is None else "name")
    changes = {"ready": True, **_changes(body)}
    command = CreateModel(**changes, kind=ModelKind.OTHER, detail={DIALECT: _detail(body)})
    model = await call.write(registry.create_model, command)
    return {"id": ids.model_id(model.id), "created": True}


class ModelId(msgspec.Struct):
    model: str


@endpoint("models.get_by_id", body=ModelId)
async def get_by_id(call: Call) -> dict[str, Any]:
    model_id = ids.parse(call.body.model, Kind.MODEL)
    return {"model": model_document(await call.read(registry.find_model, model_id))}


@endpoint("models.get_all")
async def get_all(call: Call) -> dict[str, Any]:
    query = decode_query(call.body, MODELS)
    narrow = _narrow(query, call.body)
    order = query.order[0] if query.order else None
    column = _COLUMNS.get(order.path[0]) if order and len(query.order) == 1 else ("id" if order is None else None)
    if query.close() is None and column is not None:
        page = PageRequest(limit=query.limit, offset=query.offset)
        down = order is not None and order.descending
        found = await call.read(registry.list_models, narrow, page, order=column, descending=down)
        return {"models": [query.projection.apply(model_document(m)) for m in found.items]}
    documents: list[JsonObject] = []
    cursor: str | None = None
    while True:
        step = await call.read(registry.list_models, narrow, PageRequest(limit=SCANNED, after=cursor))
        documents += [model_document(m) for m in step.items]
        cursor = step.next_cursor
        if cursor is None:
            return {"models": finish(query, documents)}


def _narrow(query: Query, body: dict[str, Any]) -> ModelFilter:
    """What of the query the database answers; that much is taken out of it."""
    narrow: dict[str, Any] = {}
    for name, column, kind in (
        ("id", "ids", Kind.MODEL), ("project", "project_ids", Kind.PROJECT), ("task", "run_ids", Kind.RUN),
        ("parent", "parent_ids", Kind.MODEL), ("user", "user_ids", Kind.USER),
    ):  # fmt: skip
        texts = query.one_of(name)
        if texts is not None:
            narrow[column] = ids.known(texts, kind)
    for name, column in (("framework", "frameworks"), ("uri", "uris")):
        texts = query.one_of(name)
        if texts is not None:
            narrow[column] = tuple(texts)
    for name in ("tags", "system_tags"):
        rule = query.take(name)
        if rule is not None:
            narrow[f"{name}_any"] = tuple(str(v) for v in rule.any_of)
            narrow[f"{name}_none"] = tuple(str(v) for v in rule.none_of)
    text = query.patterns.pop("name", None)
    if text is not None:
        pattern(text, "name")
        exact = literal(text)
        narrow |= {"name_pattern": text} if exact is None else {"names": (exact,)}
    return ModelFilter(**narrow)


@endpoint("models.edit", body=ModelFields)
async def edit(call: Call) -> dict[str, Any]:
    body: ModelFields = call.body
    model_id = ids.parse(body.model or "", Kind.MODEL)
    change = ModelEdit(_changes(body), _detail(body), body.iteration)
    await call.write(links.edit_with_detail, model_id, DIALECT, change)
    return {"updated": 1, "fields": _given(body)}


@endpoint("models.update", body=ModelFields)
async def update(call: Call) -> dict[str, Any]:
    """As `edit`, but only what may change on a published model too."""
    body: ModelFields = call.body
    model_id = ids.parse(body.model or "", Kind.MODEL)
    changes = {n: v for n, v in _changes(body).items() if n not in ("uri", "framework", "labels", "parent_id")}
    detail = {"ui_cache": body.ui_cache} if body.ui_cache is not None else {}
    await call.write(links.edit_with_detail, model_id, DIALECT, ModelEdit(changes, detail, body.iteration))
    return {"updated": 1, "fields": _given(body)}


def _given(body: ModelFields) -> JsonObject:
    return {n: v for n, v in msgspec.to_builtins(body).items() if v is not None and n != "model"}


class UpdateForTask(msgspec.Struct):
    task: str
    uri: str | None = None
    name: str | None = None
    comment: str | None = None
    tags: list[str] | None = None
    system_tags: list[str] | None = None
    override_model_id: str | None = None
    iteration: int | None = None


@endpoint("models.update_for_task", body=UpdateForTask)
async def update_for_task(call: Call) -> dict[str, Any]:
    """Sets the last output model of a task: one that is there already, or its own, made where it has none."""
    body: UpdateForTask = call.body
    if not body.uri and not body.override_model_id:
        raise Invalid("give the model's uri, or the id of another model", field="uri")
    fields = ModelFields(
        uri=body.uri, name=body.name, comment=body.comment, tags=body.tags, system_tags=body.system_tags
    )
    command = TaskModel(
        override=ids.parse_optional(body.override_model_id, Kind.MODEL, "override_model_id"),
        changes=_changes(fields),
        iteration=body.iteration,
    )

    def last(old: JsonObject) -> Id | None:
        items = old.get(LISTS[1]) or []
        return ids.parse(items[-1]["model"], Kind.MODEL) if items else None

    def link(model: Model, old: JsonObject) -> JsonObject:
        fresh = model_link(model, model.name, body.iteration)
        kept = [i for i in old.get(LISTS[1], []) if i.get("model") != fresh["model"]]
        return {**old, LISTS[1]: [*kept, fresh]}

    run_id = ids.parse(body.task, Kind.RUN)
    done = await call.write(links.model_of_task, run_id, DIALECT, command, last, link)
    return {"id": ids.model_id(done.model.id), "created": done.created, "updated": int(not done.created)}


class SetReady(msgspec.Struct):
    model: str
    publish_task: bool | None = None
    force_publish_task: bool | None = None


@endpoint("models.set_ready", body=SetReady)
async def set_ready(call: Call) -> dict[str, Any]:
    """Publishes a model, and with it (unless told not to) the task that made it."""
    body: SetReady = call.body
    done = await call.write(
        links.publish_with_run, ids.parse(body.model, Kind.MODEL), publish_run=body.publish_task is not False,
        force=bool(body.force_publish_task),
    )  # fmt: skip
    out: dict[str, Any] = {"updated": 1}
    if done.run is not None:
        out["published_task"] = {"id": ids.task_id(done.run.id), "data": changed(done.run)}
    return out


class Metadata(msgspec.Struct):
    model: str
    metadata: list[MetadataItem]
    replace_metadata: bool | None = None


@endpoint("models.add_or_update_metadata", body=Metadata)
async def add_or_update_metadata(call: Call) -> dict[str, int]:
    body: Metadata = call.body
    await call.write(
        registry.edit_metadata, ids.parse(body.model, Kind.MODEL), metadata_in(body.metadata),
        replace_all=bool(body.replace_metadata),
    )  # fmt: skip
    return {"updated": 1}


class MetadataKeys(msgspec.Struct):
    model: str
    keys: list[str]


@endpoint("models.delete_metadata", body=MetadataKeys)
async def delete_metadata(call: Call) -> dict[str, int]:
    await call.write(registry.edit_metadata, ids.parse(call.body.model, Kind.MODEL), {}, remove=call.body.keys)
    return {"updated": 1}


class Many(msgspec.Struct):
    ids: list[str]
    force: bool | None = None


@endpoint("models.archive_many", body=Many)
async def archive_many(call: Call) -> dict[str, Any]:
    async def act(model_id: Id) -> dict[str, Any]:
        await call.write(registry.archive_model, model_id)
        return {"archived": True}

    return await each(call, call.body.ids, Kind.MODEL, act)


@endpoint("models.unarchive_many", body=Many)
async def unarchive_many(call: Call) -> dict[str, Any]:
    async def act(model_id: Id) -> dict[str, Any]:
        await call.write(registry.archive_model, model_id, archived=False)
        return {"unarchived": True}

    return await each(call, call.body.ids, Kind.MODEL, act)


class Delete(msgspec.Struct):
    model: str
    force: bool | None = None


@endpoint("models.delete", body=Delete)
async def delete(call: Call) -> dict[str, Any]:
    model = await call.write(
        registry.delete_model, ids.parse(call.body.model, Kind.MODEL), force=bool(call.body.force)
    )
    return {"deleted": True, "url": model.uri}


@endpoint("models.delete_many", body=Many)
async def delete_many(call: Call) -> dict[str, Any]:
    async def act(model_id: Id) -> dict[str, Any]:
        model = await call.write(registry.delete_model, model_id, force=bool(call.body.force))
        return {"deleted": True, "url": model.uri}

    return await each(call, call.body.ids, Kind.MODEL, act)


class Projects(msgspec.Struct):
    projects: list[str] | None = None


@endpoint("models.get_frameworks", body=Projects)
async def get_frameworks(call: Call) -> dict[str, list[str]]:
    wanted = call.body.projects
    project_ids = None if not wanted else ids.known(wanted, Kind.PROJECT)
    return {"frameworks": await call.read(registry.list_frameworks, project_ids)}
