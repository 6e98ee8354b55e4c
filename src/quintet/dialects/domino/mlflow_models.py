"""The registry as MLflow's clients read it, and move its versions from stage to stage."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import msgspec

from quintet.app.models.described import describe_model, describe_version, describe_versions, find_named, list_described
from quintet.app.models.registry import CreateModel, ModelFilter, create_model
from quintet.app.models.reviews import transition_stage
from quintet.app.models.versions import RegisterVersion, register_version
from quintet.dialects.domino.binder import mlflow_binder
from quintet.dialects.domino.ids import parse_run
from quintet.dialects.domino.mlflow_runs import V2, Tag
from quintet.dialects.domino.mlflow_wire import asked, model_shown, offset_of, page_limit, version_shown, with_token
from quintet.dialects.domino.registered_models import name_filter, order_of
from quintet.dialects.kit.call import Call
from quintet.domain.errors import Invalid
from quintet.domain.models import ModelFormat
from quintet.domain.page import MAX_PAGE, PageRequest

JsonObject = dict[str, Any]
MOST_VERSIONS = 200_000
"""What clients may ask for as a page of versions (10,000 is their default); they get a shorter one and a token."""


_AND = re.compile(r"\s+AND\s+", re.IGNORECASE)
_PROMPTS = re.compile(r"tags?\.`?mlflow\.prompt\.is_prompt`?\s*(?P<op>!?=)\s*'(?P<value>\w+)'", re.IGNORECASE)


def models_wanted(text: str) -> ModelFilter:
    """A filter on the name. Clients add that they do not want prompts, of which there are none here."""
    wanted = ModelFilter(archived=False)
    for term in _AND.split(text.strip()) if text.strip() else ():
        if (prompts := _PROMPTS.fullmatch(term.strip())) is not None:
            if (prompts["op"] == "=") == (prompts["value"].lower() == "true"):
                wanted = replace(wanted, ids=())
            continue
        named = name_filter(term)
        if named.search == term.strip():
            said = f"'{term[:80]}' is not understood; models are searched by name = '...' or name LIKE '%...%'"
            raise Invalid(said, field="filter")
        wanted = replace(wanted, names=named.names or wanted.names, search=named.search or wanted.search)
    return wanted


class Name(msgspec.Struct):
    name: str


class NewModel(Name):
    description: str = ""
    tags: list[Tag] = []


@mlflow_binder.op(f"POST {V2}/registered-models/create", body=JsonObject)
async def create(call: Call) -> object:
    body = asked(call, NewModel)
    tags = {t.key: t.value for t in body.tags}
    cmd = CreateModel(body.name, description=body.description, metadata=dict(tags), unique_name=True)
    made = await call.write(create_model, cmd)
    return {"registered_model": model_shown(await call.read(describe_model, made.id))}


@mlflow_binder.op(f"GET {V2}/registered-models/get")
async def get(call: Call) -> object:
    return {"registered_model": model_shown(await call.read(describe_model, asked(call, Name).name))}


class Search(msgspec.Struct):
    filter: str = ""
    max_results: int = 100
    page_token: str = ""


@mlflow_binder.op(f"GET {V2}/registered-models/search")
async def search(call: Call) -> object:
    body = asked(call, Search)
    orders = call.request.query_params.getlist("order_by")
    order, descending = order_of(orders[0] if orders else None)
    limit = page_limit(body.max_results, MAX_PAGE)
    page = PageRequest(limit=limit, after=body.page_token or None)
    found, views = await call.read(list_described, models_wanted(body.filter), page, order=order, descending=descending)
    token = {"next_page_token": found.next_cursor} if found.next_cursor else {}
    return {"registered_models": [model_shown(v) for v in views], **token}


# -- versions ---------------------------------------------------------------------------------------------------


class NewVersion(Name):
    source: str = ""
    run_id: str = ""
    description: str = ""
    tags: list[Tag] = []


@mlflow_binder.op(f"POST {V2}/model-versions/create", body=JsonObject)
async def create_version(call: Call) -> object:
    body = asked(call, NewVersion)
    model = await call.read(find_named, body.name)
    cmd = RegisterVersion(
        model.id, ModelFormat.NONE, create=False, run_id=parse_run(body.run_id) if body.run_id else None,
        source=body.source, description=body.description, tags={t.key: t.value for t in body.tags},
    )  # fmt: skip
    _, version = await call.write(register_version, cmd)
    return {"model_version": version_shown(await call.read(describe_version, model.id, version.number))}


class Version(Name):
    version: int


@mlflow_binder.op(f"GET {V2}/model-versions/get")
async def get_version(call: Call) -> object:
    body = asked(call, Version)
    return {"model_version": version_shown(await call.read(describe_version, body.name, body.version))}


@mlflow_binder.op(f"GET {V2}/model-versions/search")
async def search_versions(call: Call) -> object:
    """The versions of one model: a filter `name='...'` is what clients send."""
    body = asked(call, Search)
    names = models_wanted(body.filter).names
    if not names:
        raise Invalid("give the model as name='...'", field="filter")
    limit, offset = min(page_limit(body.max_results, MOST_VERSIONS), MAX_PAGE), offset_of(body.page_token)
    found, total = await call.read(describe_versions, names[0], PageRequest(limit=limit, offset=offset))
    more = [None] if offset + limit < total else []
    return with_token("model_versions", [*(version_shown(v) for v in found), *more], offset, limit)


class Transition(Version):
    stage: str
    archive_existing_versions: bool = False


@mlflow_binder.op(f"POST {V2}/model-versions/transition-stage", body=JsonObject)
async def transition(call: Call) -> object:
    body = asked(call, Transition)
    model = await call.read(find_named, body.name)
    await call.write(
        transition_stage, model.id, body.version, body.stage, archive_others=body.archive_existing_versions
    )
    return {"model_version": version_shown(await call.read(describe_version, model.id, body.version))}
