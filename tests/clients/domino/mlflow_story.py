"""Run by the environment of the clients: an unmodified MLflow client tracks, registers and asks the gateway."""

from __future__ import annotations

import os
import sys

import mlflow
from mlflow import MlflowClient
from mlflow.deployments import get_deploy_client


def track() -> str:
    mlflow.set_experiment("real client")
    with mlflow.start_run(run_name="first") as run:
        mlflow.log_param("lr", 0.1)
        mlflow.log_params({"a": 1, "b": "x"})
        for step in range(5):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"val/acc": 0.5}, step=4)
        mlflow.set_tag("note", "good")
    return str(run.info.run_id)


def read(run_id: str) -> None:
    client = MlflowClient()
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"lr": "0.1", "a": "1", "b": "x"}
    assert run.data.metrics == {"loss": 0.2, "val/acc": 0.5}
    assert run.data.tags["note"] == "good"
    assert [m.step for m in client.get_metric_history(run_id, "loss")] == [0, 1, 2, 3, 4]
    experiment = client.get_experiment_by_name("real client")
    found = client.search_runs([experiment.experiment_id], "metrics.loss < 0.5 and params.b = 'x'")
    assert [r.info.run_id for r in found] == [run_id]
    client.delete_run(run_id)
    assert client.search_runs([experiment.experiment_id]) == []
    client.restore_run(run_id)
    client.set_terminated(client.create_run(experiment.experiment_id).info.run_id, "KILLED")


def register(run_id: str) -> None:
    client = MlflowClient()
    client.create_registered_model("real-model", tags={"k": "v"}, description="d")
    version = client.create_model_version("real-model", "s3://bucket/model", run_id)
    client.transition_model_version_stage("real-model", version.version, "Staging")
    assert client.get_model_version("real-model", "1").current_stage == "Staging"
    assert [m.tags for m in client.search_registered_models("name = 'real-model'")] == [{"k": "v"}]
    assert [v.run_id for v in client.search_model_versions("name='real-model'")] == [run_id]


def call() -> None:
    client = get_deploy_client(os.environ["MLFLOW_TRACKING_URI"] + "/mlflow-deployments")
    assert [e.name for e in client.list_endpoints()] == ["gate"]
    assert client.get_endpoint("gate").endpoint_type == "llm/v1/chat"
    reply = client.predict(endpoint="gate", inputs={"messages": [{"role": "user", "content": "hi"}]})
    assert reply["choices"][0]["message"]["content"]


if __name__ == "__main__":
    tracked = track()
    read(tracked)
    register(tracked)
    call()
    print("all of the story happened")
    sys.exit(0)
