"""Registered models: the registry by name."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from quintet.app.models.described import describe_model, find_named, list_described, shown_name
from quintet.app.models.registry import CreateModel, ModelFilter, create_model, edit_model
from quintet.app.projects.collaboration import view_project
from quintet.app.runs.read import find_run
from quintet.app.serving.deployments import list_deployments
from quintet.app.serving.lookup import deployments_of_models
from quintet.dialects.domino.binder import binder
from quintet.dialects.domino.envelope import Body, cut, metadata, own_id, paged, path_id, wanted_page, when
from quintet.dialects.domino.ids import parse_run
from quintet.dialects.domino.registered_convert import model_for_ui, model_shown, project_summary
from quintet.dialects.kit.call import Call
from quintet.domain.errors import Invalid, NotFound
from quintet.domain.models import Deployment
from quintet.domain.page import MAX_PAGE, Page, PageRequest

ROOT = "/api/registeredmodels/v1"
JsonObject = dict[str, Any]
_LIKE = re.compile(r"name\s+i?like\s+'(?P<part>[^']*)'", re.IGNORECASE)
_EQUAL = re.compile(r"name\s*=\s*'(?P<name>[^']*)'", re.IGNORECASE)
_ORDER = re.compile(r"(?P<by>[A-Za-z_]+)(?:\s+(?P<way>asc|desc))?", re.IGNORECASE)
ORDERS = {
    "name": "name",
    "creation_timestamp": "created_at",
    "createdat": "created_at",
    "last_updated_timestamp": "updated_at",
    "updatedat": "updated_at",
    "timestamp": "updated_at",
}


def name_filter(text: str) -> ModelFilter:
    """Models by MLflow's filter on the name (`name = 'x'`, `name LIKE '%x%'`), or by a part of it."""
    text = text.strip()
    if (equal := _EQUAL.fullmatch(text)) is not None:
        return ModelFilter(names=(equal["name"],), archived=False)
    if (like := _LIKE.fullmatch(text)) is not None:
        text = like["part"].strip("%")
    return ModelFilter(search=text or None, archived=False)


def search_of(call: Call) -> ModelFilter:
    """What the query asks for."""
    project = call.query.get("projectId")
    return replace(
        name_filter(call.query.get("searchPattern") or ""),
        project_ids=(own_id(project, "project"),) if project else None,
        discoverable=True if call.query.get("globallyDiscoverable") else None,
    )


def order_of(text: str | None) -> tuple[str, bool]:
    """(column, descending) of an `orderBy`; by name without one."""
    if not text:
        return "name", False
    found = _ORDER.fullmatch(text.strip())
    if found is None or found["by"].lower() not in ORDERS:
        raise Invalid(f"models are ordered by: {', '.join(ORDERS)}", field="orderBy")
    return ORDERS[found["by"].lower()], (found["way"] or "").lower() == "desc"


async def _page(call: Call, *, metrics: bool = False) -> tuple[Page[Any], list[Any]]:
    most = call.query.get("maxResults")
    limit = 25 if most is None else most
    if limit < 1:
        raise Invalid("expected a number of at least 1", field="maxResults")
    order, descending = order_of(call.query.get("orderBy"))
    page = PageRequest(limit=min(limit, MAX_PAGE), after=call.query.get("pageToken") or None)
    return await call.read(list_described, search_of(call), page, order=order, descending=descending, metrics=metrics)


def _tokened(call: Call, items: list[JsonObject], found: Page[Any]) -> JsonObject:
    return {"items": items, "metadata": metadata(call, {"nextPageToken": found.next_cursor})}


@binder.op(f"GET {ROOT}")
async def list_all(call: Call) -> object:
    found, views = await _page(call)
    return _tokened(call, [model_shown(v, call.actor) for v in views], found)


@binder.op(f"GET {ROOT}/ui")
async def for_ui(call: Call) -> object:
    found, views = await _page(call, metrics=True)
    deployed = await call.read(deployments_of_models, [v.model.id for v in views])
    items = [model_for_ui(v, len(deployed.get(v.model.id, []))) for v in views]
    return _tokened(call, items, found)


@binder.op(f"GET {ROOT}/names")
async def names(call: Call) -> object:
    page = wanted_page(call)
    project = call.query.get("projectId")
    wanted = ModelFilter(
        project_ids=(own_id(project, "project"),) if project else None,
        search=call.query.get("search") or None,
        archived=False,
    )
    found, views = await call.read(list_described, wanted, page, order="name")
    return paged(call, "items", [v.name for v in views], found.total or 0, page)


class NewModel(Body):
    """The model belongs to the project of the run that it comes from."""

    model_name: str
    experiment_run_id: str | None = None
    description: str = ""
    discoverable: bool = True
    tags: dict[str, str] | None = None


@binder.op(f"POST {ROOT}", body=NewModel)
async def create(call: Call) -> object:
    body: NewModel = call.body
    run = await call.read(find_run, parse_run(body.experiment_run_id)) if body.experiment_run_id else None
    cmd = CreateModel(
        body.model_name, project_id=run.project_id if run else None, run_id=run.id if run else None,
        description=body.description, discoverable=body.discoverable, metadata=dict(body.tags or {}),
        unique_name=True,
    )  # fmt: skip
    made = await call.write(create_model, cmd)
    return model_shown(await call.read(describe_model, made.id), call.actor)


@binder.op(f"GET {ROOT}/{{modelName}}")
async def get(call: Call) -> object:
    return model_shown(await call.read(describe_model, call.path["modelName"]), call.actor)


class ModelChanges(Body):
    description: str | None = None
    discoverable: bool | None = None


@binder.op(f"PATCH {ROOT}/{{modelName}}", body=ModelChanges)
async def change(call: Call) -> object:
    body: ModelChanges = call.body
    given = {"description": body.description, "discoverable": body.discoverable}
    model = await call.read(find_named, call.path["modelName"])
    await call.write(edit_model, model.id, {name: value for name, value in given.items() if value is not None})
    return model_shown(await call.read(describe_model, model.id), call.actor)


@binder.op(f"POST {ROOT}/access/{{projectId}}", status=204)
async def ask_for_access(call: Call) -> None:
    """Everybody who can see a project here can see its models, so there is nobody left to ask."""
    await call.read(view_project, path_id(call, "projectId", "project"))


@binder.op(f"GET {ROOT}/{{modelName}}/modelapis", f"GET {ROOT}/{{modelName}}/versions/{{version}}/modelapis")
async def model_apis(call: Call) -> object:
    """Where the model is served."""
    view = await call.read(describe_model, call.path["modelName"])
    found = await call.read(list_deployments, model_id=view.model.id)
    if "version" in call.path:
        number = version_number(call)
        if number > view.model.latest_version:
            raise NotFound.of("version", number)
        found = [d for d in found if (d.version or view.model.latest_version) == number]
    page = PageRequest(limit=MAX_PAGE)
    return paged(call, "items", [_api(d, view, shown_name(view.model)) for d in cut(found, page)], len(found), page)


def version_number(call: Call) -> int:
    text = call.path["version"]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid("expected a whole number", field="version")
    return int(text)


def _api(item: Deployment, view: Any, name: str) -> JsonObject:
    return {
        "id": item.id,
        "name": item.name or name,
        "description": "",
        "activeModelVersionId": item.model_id,
        "activeVersionNumber": item.version or view.model.latest_version,
        "activeVersionStatus": "Running" if item.attached else "Stopped",
        "project": project_summary(view),
        "updatedAt": when(item.updated_at),
    }
