"""The small resources that this API alone has: kept as documents, each with its fields and choices in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from quintet.app.documents import (
    Document,
    create_document,
    delete_document,
    edit_document,
    get_document,
    list_documents,
)
from quintet.dialects.inference.binder import binder
from quintet.dialects.inference.contract import objects
from quintet.dialects.inference.paging import envelope, wanted_page
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.times import parse_time, to_rfc3339
from quintet.domain.errors import Invalid

DIALECT = "inference"


@dataclass(frozen=True, slots=True)
class Resource:
    """`path` as in the contract; `object` names its shape there. `silent` deletes answer without a body."""

    path: str
    object: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    times: tuple[str, ...] = ()
    silent: bool = False


PRIORITIES = ("very_low", "low", "medium", "high", "very_high")
STATUSES = ("archived", "draft", "active", "inactive")
RESOURCES = (
    Resource("/action-groups", "ActionGroup", ("name", "description")),
    Resource(
        "/actions", "Action", ("name", "description", "type", "priority"),
        ("status", "channel", "channel_template", "custom_insights", "model_id", "start_date", "end_date", "group"),
        {"priority": PRIORITIES, "status": STATUSES}, {"status": "draft"}, ("start_date", "end_date"),
    ),
    Resource("/data-models", "DataModel", ("name",), ("description",)),
    Resource(
        "/experts", "Expert", ("name", "description"), ("context", "file_context", "tools"),
        defaults={"file_context": [], "tools": []}, silent=True,
    ),
    Resource(
        "/personas", "Persona", ("name", "birthdate", "notes"), ("data",), defaults={"data": {}},
        times=("birthdate",), silent=True,
    ),
)  # fmt: skip
_LISTS = frozenset({"file_context", "tools"})
_OBJECTS = frozenset({"data"})


def shown(resource: Resource, item: Document) -> dict[str, Any]:
    """The document in the shape of the contract; what was never given is null."""
    known: dict[str, Any] = {
        **item.data,
        "id": item.id,
        "created_at": to_rfc3339(item.created_at),
        "updated_at": to_rfc3339(item.updated_at),
        "created_by": item.created_by,
        "updated_by": item.data.get("updated_by", item.created_by),
    }
    return {name: known.get(name) for name in _fields(resource.object)}


def _fields(name: str) -> list[str]:
    described = objects()[name]["fields"]
    return [f if isinstance(f, str) else f["name"] for f in described]


def checked(resource: Resource, body: Mapping[str, Any], *, partial: bool) -> dict[str, Any]:
    """The known fields of a body; Invalid names one that is missing or wrong. Unknown ones are left out."""
    kept: dict[str, Any] = {}
    for name in resource.required:
        if not partial and not body.get(name):
            raise Invalid(f"'{name}' is required", field=name)
    for name in (*resource.required, *resource.optional):
        if name not in body or body[name] is None:
            continue
        value = body[name]
        wanted, called = (
            (list, "a list") if name in _LISTS else (dict, "an object") if name in _OBJECTS else (str, "text")
        )
        if not isinstance(value, wanted):
            raise Invalid(f"'{name}' must be {called}", field=name)
        if name in resource.choices and value not in resource.choices[name]:
            raise Invalid(f"'{name}' must be one of: {', '.join(resource.choices[name])}", field=name)
        if name in resource.times:
            parse_time(value, name)
        kept[name] = value
    return kept


def _bind(resource: Resource) -> None:
    kind = resource.path[1:]

    @binder.op(f"GET {resource.path}")
    async def list_all(call: Call) -> object:
        page = wanted_page(call)
        items, total = await call.read(list_documents, DIALECT, kind, page.limit + 1, page.after, page.offset)
        data = [shown(resource, d) for d in items[: page.limit]]
        return envelope(data, total, page, has_more=len(items) > page.limit)

    @binder.op(f"POST {resource.path}", body=dict[str, Any], status=201)
    async def create(call: Call) -> object:
        data = {**resource.defaults, **checked(resource, call.body, partial=False)}
        return shown(resource, await call.write(create_document, DIALECT, kind, data))

    @binder.op(f"GET {resource.path}/{{id}}")
    async def get(call: Call) -> object:
        return shown(resource, await call.read(get_document, DIALECT, kind, call.path["id"]))

    @binder.op(f"PUT {resource.path}/{{id}}", body=dict[str, Any])
    async def update(call: Call) -> object:
        changes = {**checked(resource, call.body, partial=True), "updated_by": call.actor.user_id}
        return shown(resource, await call.write(edit_document, DIALECT, kind, call.path["id"], changes))

    @binder.op(f"DELETE {resource.path}/{{id}}", status=204 if resource.silent else 200)
    async def delete(call: Call) -> object:
        gone = await call.write(delete_document, DIALECT, kind, call.path["id"])
        return None if resource.silent else {"id": gone.id}


for _resource in RESOURCES:
    _bind(_resource)
