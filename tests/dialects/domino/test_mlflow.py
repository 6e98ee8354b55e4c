"""Tracking and the registry as MLflow's clients speak of them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.dialects.domino.asking import ask, fresh, model_of, ok, project_of, run_of
from tests.support.servers import ServerHandle

from quintet.app.runs.read import find_run
from quintet.domain.runs import RunState

API = "/api/2.0/mlflow"


def experiment(server: ServerHandle) -> str:
    return str(ok(server, "POST", f"{API}/experiments/create", {"name": fresh("exp")})["experiment_id"])


def begun(server: ServerHandle, exp: str, name: str = "r", **fields: Any) -> str:
    made = ok(server, "POST", f"{API}/runs/create", {"experiment_id": exp, "run_name": name, **fields})
    return str(made["run"]["info"]["run_id"])


def failed(server: ServerHandle, status: int, code: str, method: str, path: str, body: Any = None) -> str:
    reply = ask(server, method, path, body)
    assert (reply.status, reply.json["error_code"]) == (status, code), reply.body
    return str(reply.json["message"])


def test_a_run_is_tracked_to_its_end(server: ServerHandle) -> None:
    exp = experiment(server)
    run_id = begun(server, exp, "first", tags=[{"key": "mlflow.user", "value": "me"}])
    assert len(run_id) == 32
    ok(server, "POST", f"{API}/runs/log-parameter", {"run_id": run_id, "key": "lr", "value": "0.1"})
    for step, value in ((0, 1.0), (1, 0.5)):
        told = {"run_id": run_id, "key": "loss", "value": value, "timestamp": str(1_000 + step), "step": step}
        ok(server, "POST", f"{API}/runs/log-metric", told)
    batch = {
        "run_id": run_id, "metrics": [{"key": "val/acc", "value": 0.9, "timestamp": 5, "step": 1}],
        "params": [{"key": "epochs", "value": "3"}], "tags": [{"key": "note", "value": "good"}],
    }  # fmt: skip
    ok(server, "POST", f"{API}/runs/log-batch", batch)
    ok(server, "POST", f"{API}/runs/set-tag", {"run_id": run_id, "key": "note", "value": "better"})
    ended = ok(server, "POST", f"{API}/runs/update", {"run_id": run_id, "status": "FINISHED"})["run_info"]
    assert (ended["status"], ended["experiment_id"]) == ("FINISHED", exp)

    run = ok(server, "GET", f"{API}/runs/get?run_id={run_id}")["run"]
    assert {m["key"]: m["value"] for m in run["data"]["metrics"]} == {"loss": 0.5, "val/acc": 0.9}
    assert {p["key"]: p["value"] for p in run["data"]["params"]} == {"lr": "0.1", "epochs": "3"}
    tags = {t["key"]: t["value"] for t in run["data"]["tags"]}
    assert tags == {"mlflow.runName": "first", "mlflow.user": "me", "note": "better"}
    points = ok(server, "GET", f"{API}/metrics/get-history?run_id={run_id}&metric_key=loss")["metrics"]
    assert [(p["step"], p["value"], p["timestamp"]) for p in points] == [(0, 1.0, 1_000), (1, 0.5, 1_001)]

    kept = server.core.read_now(server.admin, find_run, run_id)
    assert (kept.state, kept.name, kept.project_id) == (RunState.COMPLETED, "first", exp)
    job = ok(server, "GET", f"/api/jobs/beta/jobs?projectId={exp}")["jobs"][0]
    assert (job["title"], job["status"]["executionStatus"]) == ("first", "Succeeded")
    assert {s["name"] for s in job["dominoStats"]} == {"loss", "val/acc"}


def test_a_parameter_never_changes_and_a_batch_is_kept_whole(server: ServerHandle) -> None:
    run_id = begun(server, experiment(server))
    path = f"{API}/runs/log-parameter"
    ok(server, "POST", path, {"run_id": run_id, "key": "lr", "value": "1"})
    ok(server, "POST", path, {"run_id": run_id, "key": "lr", "value": "1"})
    failed(server, 400, "INVALID_PARAMETER_VALUE", "POST", path, {"run_id": run_id, "key": "lr", "value": "2"})
    batch = {
        "run_id": run_id, "tags": [{"key": "t", "value": "v"}], "params": [{"key": "lr", "value": "3"}],
        "metrics": [{"key": "m", "value": 1, "timestamp": 1}],
    }  # fmt: skip
    failed(server, 400, "INVALID_PARAMETER_VALUE", "POST", f"{API}/runs/log-batch", batch)
    data = ok(server, "GET", f"{API}/runs/get?run_id={run_id}")["run"]["data"]
    assert data["metrics"] == []
    assert [t["key"] for t in data["tags"]] == ["mlflow.runName"]


def test_values_that_json_lacks_come_back_as_words(server: ServerHandle) -> None:
    run_id = begun(server, experiment(server))
    for key, value in (("a", "NaN"), ("b", "Infinity")):
        told = {"run_id": run_id, "key": key, "value": value, "timestamp": 1}
        ok(server, "POST", f"{API}/runs/log-metric", told)
    data = ok(server, "GET", f"{API}/runs/get?run_id={run_id}")["run"]["data"]
    assert {m["key"]: m["value"] for m in data["metrics"]} == {"a": "NaN", "b": 1.7976931348623157e308}


def test_runs_are_searched_sorted_and_paged(server: ServerHandle) -> None:
    exp = experiment(server)
    made = [begun(server, exp, f"run {n}") for n in range(3)]
    for n, run_id in enumerate(made):
        told = {
            "run_id": run_id, "metrics": [{"key": "loss", "value": 1 - n / 10, "timestamp": 1}],
            "params": [{"key": "kind", "value": "a AND b" if n else "c"}],
        }  # fmt: skip
        ok(server, "POST", f"{API}/runs/log-batch", told)

    def search(**fields: Any) -> list[str]:
        reply = ok(server, "POST", f"{API}/runs/search", {"experiment_ids": [exp], **fields})
        return [r["info"]["run_id"] for r in reply["runs"]]

    assert search(order_by=["metrics.loss ASC"]) == made[::-1]
    assert search(order_by=["metrics.loss DESC"]) == made
    assert search(filter="metrics.loss < 0.95 AND params.kind = 'a AND b'", order_by=["run_name"]) == made[1:]
    assert search(filter="attributes.run_name LIKE 'run _' and status = 'RUNNING'", order_by=["run_name ASC"]) == made
    assert search(filter="tags.`mlflow.runName` IN ('run 0', 'run 2')", order_by=["run_name"]) == [made[0], made[2]]
    assert search(filter="params.kind != 'c'", order_by=["metrics.loss"]) == [made[2], made[1]]
    ok(server, "POST", f"{API}/runs/delete", {"run_id": made[0]})
    assert search(order_by=["run_name"]) == made[1:]
    assert search(run_view_type="DELETED_ONLY") == made[:1]
    ok(server, "POST", f"{API}/runs/restore", {"run_id": made[0]})

    body: dict[str, Any] = {"experiment_ids": [exp], "max_results": 2, "order_by": ["run_name"]}
    first = ok(server, "POST", f"{API}/runs/search", body)
    second = ok(server, "POST", f"{API}/runs/search", {**body, "page_token": first["next_page_token"]})
    assert [r["info"]["run_name"] for r in first["runs"] + second["runs"]] == ["run 0", "run 1", "run 2"]
    assert "next_page_token" not in second


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"filter": "metrics.loss ~ 1"}, "filter"),
        ({"filter": "colour = 'x'"}, "filter"),
        ({"filter": "metrics.loss < fast"}, "filter"),
        ({"order_by": ["metrics.loss SIDEWAYS"]}, "order_by"),
        ({"max_results": 0}, "max_results"),
        ({"page_token": "x"}, "cursor"),
        ({"run_view_type": "SOME"}, "run_view_type"),
    ],
)
def test_a_search_that_cannot_be_read_is_refused(server: ServerHandle, body: dict[str, Any], named: str) -> None:
    assert named in failed(server, 400, "INVALID_PARAMETER_VALUE", "POST", f"{API}/runs/search", body)


def test_what_is_missing_has_mlflows_code(server: ServerHandle) -> None:
    gone = "RESOURCE_DOES_NOT_EXIST"
    failed(server, 404, gone, "GET", f"{API}/experiments/get-by-name?experiment_name=nothing")
    failed(server, 404, gone, "GET", f"{API}/experiments/get?experiment_id=0")
    failed(server, 404, gone, "GET", f"{API}/runs/get?run_id={'0' * 32}")
    failed(server, 404, gone, "GET", f"{API}/registered-models/get?name=nothing")
    assert "run_id" in failed(server, 400, "INVALID_PARAMETER_VALUE", "GET", f"{API}/runs/get")
    name = fresh("exp")
    ok(server, "POST", f"{API}/experiments/create", {"name": name})
    failed(server, 400, "RESOURCE_ALREADY_EXISTS", "POST", f"{API}/experiments/create", {"name": name})
    assert server.call("GET", f"{API}/runs/get", key=None).json["error_code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("prefix", ["/api", "/ajax-api", "/mlflow/api", "/mlflow/ajax-api"])
def test_experiments_are_projects_under_every_mirror(server: ServerHandle, prefix: str) -> None:
    project = project_of(server)
    path = f"{prefix}/2.0/mlflow/experiments"
    found = ok(server, "GET", f"{path}/get-by-name?experiment_name={project.name}")["experiment"]
    assert found == ok(server, "GET", f"{path}/get?experiment_id={project.id}")["experiment"]
    assert (found["experiment_id"], found["lifecycle_stage"]) == (project.id, "active")
    listed = ok(server, "POST", f"{path}/search", {"max_results": 1000})["experiments"]
    assert project.id in [e["experiment_id"] for e in listed]


def test_models_of_other_apis_are_in_the_registry_and_back(server: ServerHandle) -> None:
    run = run_of(server, project_of(server))
    name = model_of(server, run).name
    model = ok(server, "GET", f"{API}/registered-models/get?name={name}")["registered_model"]
    assert (model["name"], model["latest_versions"][0]["version"]) == (name, "1")
    moved = {"name": name, "version": "1", "stage": "Staging", "archive_existing_versions": False}
    ok(server, "POST", f"{API}/model-versions/transition-stage", moved)
    version = ok(server, "GET", f"{API}/model-versions/get?name={name}&version=1")["model_version"]
    assert version["current_stage"] == "Staging"
    assert ok(server, "GET", f"/api/registeredmodels/v1/{name}/versions/1")["currentStage"] == "Staging"
    listed = ok(server, "GET", f"{API}/registered-models/search?filter=name%3D'{name}'")["registered_models"]
    assert [m["name"] for m in listed] == [name]
    found = ok(server, "GET", f"{API}/model-versions/search?filter=name%3D'{name}'")["model_versions"]
    assert [v["version"] for v in found] == ["1"]

    path = f"{API}/registered-models/search?filter=name%20%3D%20'{name}'%20AND%20tag.%60mlflow.prompt.is_prompt%60"
    assert len(ok(server, "GET", f"{path}%20!%3D%20'true'")["registered_models"]) == 1
    assert ok(server, "GET", f"{path}%20%3D%20'true'")["registered_models"] == []
    strange = f"{API}/registered-models/search?filter=colour%3D'x'"
    assert "filter" in failed(server, 400, "INVALID_PARAMETER_VALUE", "GET", strange)

    mine = fresh("mlflow-model")
    ok(server, "POST", f"{API}/registered-models/create", {"name": mine, "tags": [{"key": "a", "value": "b"}]})
    source = {"name": mine, "source": "s3://bucket/model", "run_id": version["run_id"]}
    assert ok(server, "POST", f"{API}/model-versions/create", source)["model_version"]["version"] == "1"
    shown = ok(server, "GET", f"/api/registeredmodels/v1/{mine}")
    assert (shown["latestVersion"], shown["tags"]) == (1, {"a": "b"})
