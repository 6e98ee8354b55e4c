"""Jobs and the recipes they follow: the core's runs, and the built-in recipes. Recipes cannot be uploaded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from quintet.app.identity.accounts import get_users
from quintet.app.projects.manage import find_project, get_projects
from quintet.app.runs.jobs import StartJob, start_job, stop_job
from quintet.app.runs.read import (
    RunFilter,
    RunOrder,
    artifacts_of_runs,
    find_artifact,
    find_run,
    get_run,
    get_runs,
    list_runs,
    stages_of_runs,
)
from quintet.app.services import recipe_book
from quintet.dialects.adaptive import enums, ids, views
from quintet.dialects.adaptive.binder import API, graph
from quintet.dialects.adaptive.nullable import or_none
from quintet.dialects.adaptive.paging import Connection, first_order, window
from quintet.dialects.adaptive.pools import check_pool
from quintet.dialects.adaptive.query_convert import time_range
from quintet.dialects.adaptive.views import View
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.graphql import load
from quintet.domain.errors import NotFound, Unsupported
from quintet.domain.ids import Id, from_uuid, to_uuid
from quintet.domain.page import encode_cursor
from quintet.domain.runs import ENDED, Artifact, Run, RunKind, RunState, Stage
from quintet.ports.recipes import RecipeCard

ORDERS = {"id": RunOrder.CREATED, "created_at": RunOrder.CREATED, "name": RunOrder.NAME}
ARTIFACT_KINDS = {"dataset": "DATASET", "evaluation": "EVALUATION"}
STAGE_TYPES = {"TRAINING": "TrainingJobStageOutput", "EVALUATION": "EvalJobStageOutput"}


def recipe_id(name: str) -> Id:
    """Built-in recipes are not rows, so their ids come from their names."""
    return Id(hashlib.blake2b(f"recipe:{name}".encode(), digest_size=12).hexdigest())


def recipe_view(card: RecipeCard) -> View:
    """`createdAt` is the epoch: a built-in recipe is as old as the server's code."""
    return {
        "id": to_uuid(recipe_id(card.name), ids.RECIPE),
        "key": card.name,
        "name": card.name,
        "editable": False,
        "hidden": False,
        "builtin": True,
        "global": True,
        "createdAt": 0,
        "content": card.source,
        "inputSchema": card.schema,
        "jsonSchema": plain_schema(card.schema),
        "contentHash": card.digest,
        "description": card.summary,
        "labels": [],
        "updatedAt": None,
        "createdBy": None,
    }


def plain_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema as a client reads it that knows one type for each property: "or null" is left out."""
    properties: dict[str, Any] = {}
    for name, given in schema.get("properties", {}).items():
        shown = dict(given)
        if isinstance(shown.get("type"), list):
            shown["type"] = next(t for t in shown["type"] if t != "null")
        if "enum" in shown:
            shown["enum"] = [value for value in shown["enum"] if value is not None]
        if shown.get("default", 0) is None:
            del shown["default"]
        properties[name] = shown
    return {**schema, "properties": properties, "required": list(schema.get("required", []))}


@graph.query("customRecipes")
async def custom_recipes(call: Call, _obj: object, *, useCase: str, filter: Mapping[str, Any]) -> list[View]:
    """The built-in recipes, which have no labels: a filter by labels finds none."""
    await call.read(find_project, ids.ref(useCase, ids.USE_CASE))
    return [] if filter.get("labels") else [recipe_view(card) for card in recipe_book(call.core).list()]


@graph.query("customRecipe")
async def custom_recipe(call: Call, _obj: object, *, idOrKey: str, useCase: str) -> View | None:
    project = await or_none(call.read(find_project, ids.ref(useCase, ids.USE_CASE)))
    card = _card(call, idOrKey)
    return recipe_view(card) if card and project else None


def _card(call: Call, ref: str) -> RecipeCard | None:
    ident = from_uuid(ref, ids.RECIPE)
    return next((c for c in recipe_book(call.core).list() if c.name == ref or recipe_id(c.name) == ident), None)


@graph.mutation("createJob")
async def create_job(call: Call, _obj: object, *, input: Mapping[str, Any]) -> View:
    """`numGpus` is a wish: whoever works on the queue uses the devices it has."""
    check_pool(call, input.get("computePool"))
    card = _card(call, input["recipe"])
    if card is None:
        raise NotFound.of("recipe", input["recipe"])
    wanted = StartJob(ids.ref(input["useCase"], ids.USE_CASE), card.name, input["args"], input.get("name") or "")
    return job_view(await call.write(start_job, recipe_book(call.core), wanted))


@graph.query("job")
async def job(call: Call, _obj: object, *, id: str) -> View | None:
    found = await or_none(call.read(find_run, id))
    return job_view(found) if found else None


@graph.mutation("cancelJob")
async def cancel(call: Call, _obj: object, *, id: str) -> View:
    return job_view(await call.write(stop_job, id))


class Jobs(Connection[Run]):
    """A page of jobs with the total."""

    totalCount: int = 0


@graph.query("jobs")
async def jobs(
    call: Call, _obj: object, *, page: Mapping[str, Any], filter: Mapping[str, Any], order: Sequence[Mapping[str, Any]]
) -> Jobs:
    asked = window(page)
    name, descending = first_order(order, tuple(ORDERS), ("id", True))
    by = ORDERS[name]
    wanted = await _wanted(call, filter)
    down = descending is not asked.flipped
    found = await call.read(list_runs, wanted, asked.request(), by, descending=down, count=True)
    shown = Jobs(found, asked, job_view, lambda run: encode_cursor(getattr(run, by.value), run.id))
    shown.totalCount = found.total or 0
    return shown


async def _wanted(call: Call, given: Mapping[str, Any]) -> RunFilter:
    if given.get("artifacts") is not None:
        raise Unsupported("jobs are not filtered by artifacts", field="artifacts")
    since, until = time_range(given.get("timerange"))
    project = given.get("useCase")
    kinds, states, recipes = given.get("kind"), given.get("status"), given.get("customRecipes")
    cards = None if recipes is None else [_card(call, ref) for ref in recipes]
    return RunFilter(
        project_ids=None if project is None else ((await call.read(find_project, ids.ref(project, ids.USE_CASE))).id,),
        kinds=None if kinds is None else tuple(k for k in RunKind if enums.JOB_KIND[k] in kinds),
        states=None if states is None else tuple(s for s in RunState if enums.JOB_STATE[s] in states),
        recipes=None if cards is None else tuple(c.name for c in cards if c is not None),
        created_since=since,
        created_until=until,
    )


# -- what a job shows -----------------------------------------------------------------------------------------


def job_view(run: Run) -> View:
    return {
        "self": run,
        "id": to_uuid(run.id, ids.JOB),
        "name": run.name,
        "status": enums.JOB_STATE[run.state],
        "createdAt": run.created_at,
        "startedAt": run.started_at,
        "endedAt": run.ended_at,
        "durationMs": (run.ended_at - run.started_at) // 1_000 if run.started_at and run.ended_at else None,
        "progress": 1.0 if run.state in (RunState.COMPLETED, RunState.PUBLISHED) else run.progress or 0.0,
        "error": run.error,
        "kind": enums.JOB_KIND[run.kind],
    }


@graph.field("Job", "useCase")
async def job_use_case(call: Call, obj: View) -> View | None:
    ident = obj["self"].project_id
    found = await load(call, get_projects, ident) if ident else None
    return views.use_case(found) if found else None


@graph.field("Job", "createdBy")
async def created_by(call: Call, obj: View) -> View | None:
    found = await load(call, get_users, obj["self"].created_by)
    return views.user(found) if found else None


@graph.field("Job", "recipe")
def job_recipe(call: Call, obj: View) -> View | None:
    card = _card(call, obj["self"].recipe) if obj["self"].recipe else None
    return recipe_view(card) if card else None


@graph.field("Job", "stages")
async def stages(call: Call, obj: View) -> list[View]:
    run: Run = obj["self"]
    found = await load(call, stages_of_runs, run.id) or []
    if not found and run.state not in ENDED and run.recipe and (card := _card(call, run.recipe)):
        # A run that waits has reported nothing yet; its recipe says what will come.
        return [_stage(n, name, "PENDING") for n, name in enumerate(card.stages)]
    return [_reported(run, stage) for stage in found]


def _stage(number: int, name: str, status: str, info: View | None = None) -> View:
    times = {"parent": None, "startedAt": None, "endedAt": None, "durationMs": None}
    return {"name": name, "status": status, "stageId": number, "info": info, **times}


def _reported(run: Run, stage: Stage) -> View:
    kind = STAGE_TYPES.get(enums.JOB_KIND[run.kind], "BatchInferenceJobStageOutput")
    info: View = {
        "__typename": kind,
        "monitoringLink": None,
        "totalNumSamples": stage.total,
        "processedNumSamples": stage.done,
        "checkpoints": [],
    }
    return _stage(stage.position, stage.name, enums.STAGE_STATE[stage.state], info)


@graph.field("Job", "details")
async def details(call: Call, obj: View) -> View | None:
    run: Run = obj["self"]
    if run.recipe is None:
        return None
    card = _card(call, run.recipe)
    found = await load(call, artifacts_of_runs, run.id) or []
    shown = [artifact_view(a) for a in found if a.mode == "output"]
    return {"args": run.args, "recipeHash": card.digest if card else "", "artifacts": shown}


def artifact_view(item: Artifact) -> View:
    """`downloadUrl` is a path, as clients expect it, and only for what this server holds."""
    ident = to_uuid(item.id, ids.ARTIFACT)
    return {
        "self": item,
        "id": ident,
        "jobId": to_uuid(item.run_id, ids.JOB),
        "name": item.key,
        "kind": ARTIFACT_KINDS.get(item.type, "CUSTOM"),
        "uri": item.uri or None,
        "metadata": item.detail,
        "createdAt": item.created_at,
        "downloadUrl": f"{API}/artifacts/{ident}/download" if item.blob else None,
        "byproducts": None,
    }


@graph.field("JobArtifact", "job")
async def artifact_job(call: Call, obj: View) -> View | None:
    found = await load(call, get_runs, obj["self"].run_id)
    return job_view(found) if found else None


@graph.query("artifact")
async def artifact(call: Call, _obj: object, *, useCase: str, id: str) -> View | None:
    project = await or_none(call.read(find_project, ids.ref(useCase, ids.USE_CASE)))
    found = await or_none(call.read(find_artifact, ids.known(id, ids.ARTIFACT)))
    if project is None or found is None:
        return None
    run = await call.read(get_run, found.run_id)
    return artifact_view(found) if run.project_id == project.id else None
