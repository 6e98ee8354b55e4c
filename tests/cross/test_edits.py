"""Changed through one dialect, seen through the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from quintet.domain.ids import Kind, to_hex32, to_prefixed, to_uuid
from tests.cross.wires import MAKERS, READERS, STATES
from tests.cross.world import Thing, World, fresh

Edit = Callable[[World, Thing], Any]


def _task(made: Thing) -> str:
    return to_hex32(made.id, Kind.RUN)


def _everywhere(world: World, noun: str, wanted: Thing, *, but: tuple[str, ...] = ()) -> None:
    """Every dialect that knows the noun says the same of the thing."""
    for dialect, read in READERS[noun].items():
        if dialect not in but:
            assert read(world, wanted) == wanted, dialect


# -- runs ---------------------------------------------------------------------------------------------------------

RENAMED = "another name"
RENAMES: dict[str, Edit] = {
    "clearml": lambda w, made: w.clearml("tasks.edit", task=_task(made), name=RENAMED, force=True),
    "inference": lambda w, made: w.inference("PUT", f"/trainings/{made.id}", {"name": RENAMED}),
    "mlflow": lambda w, made: w.mlflow("POST", "runs/update", {"run_id": _task(made), "run_name": RENAMED}),
}


@pytest.mark.parametrize("dialect", RENAMES)
def test_a_run_that_one_dialect_renames_is_renamed_in_all(world: World, dialect: str) -> None:
    made = MAKERS["run"]["adaptive"](world)
    RENAMES[dialect](world, made)
    _everywhere(world, "run", replace(made, name=RENAMED))


def _adaptive_stop(w: World, made: Thing) -> None:
    w.gql("mutation($i: UUID!) { cancelJob(id: $i) { id } }", i=to_uuid(made.id, Kind.RUN))


STOPS: dict[str, Edit] = {
    "adaptive": _adaptive_stop,
    "clearml": lambda w, made: w.clearml("tasks.stopped", task=_task(made)),
    "llama_stack": lambda w, made: w.rest("POST", "/v1alpha/post-training/job/cancel", {"job_uuid": made.name}),
    "mlflow": lambda w, made: w.mlflow("POST", "runs/update", {"run_id": _task(made), "status": "KILLED"}),
}


@pytest.mark.parametrize("dialect", STOPS)
def test_a_run_that_one_dialect_stops_is_stopped_in_all(world: World, dialect: str) -> None:
    made = MAKERS["run"]["llama_stack"](world)
    STOPS[dialect](world, made)
    _everywhere(world, "run", replace(made, facts={"state": "stopped"}))


def test_a_run_that_began_in_one_dialect_is_running_in_all(world: World) -> None:
    made = MAKERS["run"]["adaptive"](world)
    world.clearml("tasks.started", task=_task(made), force=True)
    _everywhere(world, "run", replace(made, facts={"state": "running"}))


def test_every_dialect_has_a_word_for_every_state_that_is_compared() -> None:
    for words in STATES.values():
        assert set(words) == set(READERS["run"])


def _run_tags(world: World, made: Thing) -> dict[str, set[str]]:
    job = world.domino("GET", f"/api/jobs/beta/jobs/{made.id}")["job"]
    task = world.clearml("tasks.get_by_id", task=_task(made))["task"]
    return {"domino": {tag["name"] for tag in job["tags"]}, "clearml": set(task["tags"])}


def test_tags_of_a_run_are_the_same_in_clearml_and_domino(world: World) -> None:
    made = MAKERS["run"]["adaptive"](world)
    world.domino("POST", f"/api/jobs/v1/jobs/{made.id}/tags", {"projectId": world.project, "tagName": "from-domino"})
    assert _run_tags(world, made) == {"domino": {"from-domino"}, "clearml": {"from-domino"}}
    world.clearml("tasks.edit", task=_task(made), tags=["from-domino", "from-clearml"], force=True)
    both = {"from-domino", "from-clearml"}
    assert _run_tags(world, made) == {"domino": both, "clearml": both}
    tags = world.domino("GET", f"/api/jobs/beta/jobs/{made.id}")["job"]["tags"]
    ident = next(tag["id"] for tag in tags if tag["name"] == "from-domino")
    world.domino("DELETE", f"/api/jobs/v1/jobs/{made.id}/tags/{ident}?projectId={world.project}")
    assert _run_tags(world, made) == {"domino": {"from-clearml"}, "clearml": {"from-clearml"}}


METRICS: dict[str, Edit] = {
    "clearml": lambda w, made: w.clearml(
        "events.add", task=_task(made), type="training_stats_scalar", metric="train", variant="loss", iter=3, value=0.25,
        timestamp=1_700_000_000_000,
    ),
    "mlflow": lambda w, made: w.mlflow(
        "POST", "runs/log-metric", {
            "run_id": _task(made), "key": "train/loss", "value": 0.25, "step": 3, "timestamp": 1_700_000_000_000}
    ),
}  # fmt: skip


@pytest.mark.parametrize("dialect", METRICS)
def test_a_point_that_one_dialect_reports_is_read_by_all(world: World, dialect: str) -> None:
    made = MAKERS["run"]["inference"](world)
    world.clearml("tasks.started", task=_task(made), force=True)
    METRICS[dialect](world, made)
    latest = world.clearml("events.scalar_metrics_iter_histogram", task=_task(made))["train"]["loss"]
    assert (latest["x"], latest["y"]) == ([3], [0.25])
    metrics = world.inference("GET", f"/trainings/{made.id}")["metrics"]
    assert [(m["name"], m["step"], m["value"]) for m in metrics] == [("train/loss", 3, 0.25)]
    job = world.domino("GET", f"/api/jobs/beta/jobs/{made.id}")["job"]
    assert job["dominoStats"] == [{"name": "train/loss", "value": "0.25"}]
    told = world.mlflow("GET", f"runs/get?run_id={_task(made)}")["run"]["data"]["metrics"]
    assert [(m["key"], m["value"], m["step"]) for m in told] == [("train/loss", 0.25, 3)]


# -- projects -----------------------------------------------------------------------------------------------------


def _adaptive_describe(w: World, made: Thing) -> None:
    query = "mutation($i: IdOrKey!, $d: String) { updateUseCase(idOrKey: $i, input: {description: $d}) { id } }"
    w.gql(query, i=to_uuid(made.id, Kind.PROJECT), d="other words")


DESCRIBES: dict[str, Edit] = {
    "adaptive": _adaptive_describe,
    "clearml": lambda w, made: w.clearml(
        "projects.update", project=to_hex32(made.id, Kind.PROJECT), description="other words"
    ),
}


@pytest.mark.parametrize("dialect", DESCRIBES)
def test_a_project_that_one_dialect_describes_is_so_described_in_all(world: World, dialect: str) -> None:
    made = MAKERS["project"]["domino"](world)
    DESCRIBES[dialect](world, made)
    _everywhere(world, "project", replace(made, facts={"description": "other words"}))


def test_a_project_that_clearml_renames_is_renamed_in_all(world: World) -> None:
    made, name = MAKERS["project"]["adaptive"](world), fresh("renamed")
    world.clearml("projects.update", project=to_hex32(made.id, Kind.PROJECT), name=name)
    _everywhere(world, "project", replace(made, name=name))


# -- models -------------------------------------------------------------------------------------------------------

MODEL_EDITS: dict[str, Edit] = {
    "clearml": lambda w, made: w.clearml("models.edit", model=to_hex32(made.id, Kind.MODEL), comment="other words"),
    "domino": lambda w, made: w.domino("PATCH", f"/api/registeredmodels/v1/{made.name}", {"description": "other words"}),
}


@pytest.mark.parametrize("dialect", MODEL_EDITS)
def test_a_model_that_one_dialect_describes_is_so_described_in_all(world: World, dialect: str) -> None:
    made = MAKERS["model"]["mlflow"](world)
    MODEL_EDITS[dialect](world, made)
    assert world.clearml("models.get_by_id", model=to_hex32(made.id, Kind.MODEL))["model"]["comment"] == "other words"
    assert world.domino("GET", f"/api/registeredmodels/v1/{made.name}")["description"] == "other words"
    registered = world.mlflow("GET", f"registered-models/get?name={made.name}")["registered_model"]
    assert registered["description"] == "other words"


# -- datasets -----------------------------------------------------------------------------------------------------


def _adaptive_delete(w: World, made: Thing) -> None:
    query = "mutation($d: IdOrKey!, $c: IdOrKey!) { deleteDataset(idOrKey: $d, useCase: $c) }"
    w.gql(query, d=to_uuid(made.id, Kind.DATASET), c=to_uuid(w.project, Kind.PROJECT))


DELETES: dict[str, Edit] = {
    "adaptive": _adaptive_delete,
    "domino": lambda w, made: w.domino("DELETE", f"/api/datasetrw/v1/datasets/{made.id}"),
    "llama_stack": lambda w, made: w.rest("DELETE", f"/v1beta/datasets/{made.name}"),
}


@pytest.mark.parametrize("dialect", DELETES)
def test_a_dataset_that_one_dialect_deletes_is_gone_in_all(world: World, dialect: str) -> None:
    made = MAKERS["dataset"]["adaptive"](world)
    DELETES[dialect](world, made)
    for read in READERS["dataset"].values():
        with pytest.raises(AssertionError, match=r"is not listed|404"):
            read(world, made)


def test_rows_that_llama_stack_appends_are_counted_in_adaptive(world: World) -> None:
    made = MAKERS["dataset"]["adaptive"](world)
    row = {"messages": [{"role": "user", "content": "one more"}], "completion": "answer"}
    world.rest("POST", f"/v1beta/datasetio/append-rows/{made.name}", {"rows": [row]})
    query = "query($d: IdOrKey!, $c: IdOrKey!) { dataset(idOrKey: $d, useCase: $c) { records } }"
    found = world.gql(query, d=to_uuid(made.id, Kind.DATASET), c=to_uuid(world.project, Kind.PROJECT))
    assert found["dataset"]["records"] == 4


# -- calls --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", MAKERS["interaction"])
def test_feedback_is_given_through_adaptive_on_calls_of_every_dialect(world: World, dialect: str) -> None:
    made = MAKERS["interaction"][dialect](world)
    metric = world.gql(
        "mutation($i: MetricCreate!) { createMetric(input: $i) { key } }", i={"name": fresh("metric"), "kind": "BOOL"}
    )["createMetric"]["key"]
    ident = to_uuid(made.id, Kind.INTERACTION)
    world.rest("POST", "/api/v1/feedback", {"metric": metric, "completion_id": ident, "value": True})
    query = "query($c: IdOrKey!, $i: UUID!) { completion(useCase: $c, id: $i) { directFeedbacks { value metric { key } } } }"
    cases = [item["id"] for item in world.gql("{ useCases(filter: {}) { id } }")["useCases"]]
    found = [world.gql(query, c=case, i=ident)["completion"] for case in cases]
    (one,) = [item for item in found if item is not None]
    assert one["directFeedbacks"] == [{"value": 1.0, "metric": {"key": metric}}]


def test_what_adaptive_logs_is_read_as_a_stored_completion(world: World) -> None:
    messages = [{"role": "user", "content": "what did the expert say"}]
    body = {"use_case": "shared", "messages": messages, "completion": "this"}
    logged = world.rest("POST", "/api/v1/interactions", body)["completion_id"]
    found = world.rest("GET", f"/v1/chat/completions/{to_prefixed(logged.replace('-', '')[:24], 'chatcmpl-')}")
    assert found["choices"][0]["message"]["content"] == "this"
    assert [m["content"] for m in found["input_messages"]] == ["what did the expert say"]
