"""Trainings: from the request to the arguments of a recipe, and from the run back."""

from __future__ import annotations

from typing import Any

import pytest
from tests.dialects.llama_stack.support import Worker, dataset, registered
from tests.support.servers import Reply, ServerHandle

from quintet.app.datasets.fill import create_with_rows
from quintet.app.datasets.manage import CreateDataset
from quintet.app.projects.manage import find_project
from quintet.app.queues.entries import submit_run
from quintet.app.runs.create import CreateRun
from quintet.app.training.start import find_training
from quintet.app.work.leases import Outcome
from quintet.domain.ids import Kind, to_uuid
from quintet.domain.runs import RunKind
from quintet.recipes import catalog
from quintet.recipes.schema import parse_config

BASE = "/v1alpha/post-training"
ROW = {"messages": [{"role": "user", "content": "1 May"}], "completion": "05-01"}


@pytest.fixture(scope="module", autouse=True)
def material(server: ServerHandle) -> None:
    registered(server, "small")
    project = server.core.read_now(server.admin, find_project, "team")
    cmd = CreateDataset("lessons", "lessons", project.id)
    create_with_rows(server.core, server.admin, cmd, [ROW] * 10)
    dataset(server, "checks", [ROW])


def config(**fields: Any) -> dict[str, Any]:
    data = {"dataset_id": "lessons", "batch_size": 2, "shuffle": True, "data_format": "instruct"}
    optimizer = {"optimizer_type": "adamw", "lr": 1e-3, "weight_decay": 0.01, "num_warmup_steps": 2}
    return {
        "n_epochs": 3, "max_steps_per_epoch": 0, "gradient_accumulation_steps": 1, "data_config": data,
        "optimizer_config": optimizer, "dtype": "float32", **fields,
    }  # fmt: skip


def sft(server: ServerHandle, job: str, training: dict[str, Any] | None = None, **fields: Any) -> Reply:
    body = {
        "job_uuid": job, "model": "small", "training_config": training or config(), "hyperparam_search_config": {},
        "logger_config": {}, "checkpoint_dir": None, **fields,
    }  # fmt: skip
    return server.call("POST", f"{BASE}/supervised-fine-tune", {k: v for k, v in body.items() if v is not ...})


def dpo(server: ServerHandle, job: str, model: str, **algorithm: Any) -> Reply:
    body = {
        "job_uuid": job, "finetuned_model": model, "algorithm_config": {"beta": 0.2, **algorithm},
        "training_config": config(), "hyperparam_search_config": {}, "logger_config": {},
    }  # fmt: skip
    return server.call("POST", f"{BASE}/preference-optimize", body)


def status(server: ServerHandle, job: str) -> Any:
    return server.call("GET", f"{BASE}/job/status?job_uuid={job}").json


def args_of(server: ServerHandle, job: str) -> dict[str, Any]:
    run = server.core.read_now(server.admin, find_training, "llama_stack", job)
    # What the dialect writes must be what the recipe takes: it refuses arguments that it does not know.
    parse_config(catalog.load(str(run.recipe)).config, run.args)
    return run.args


def cancel(server: ServerHandle, job: str) -> Reply:
    return server.call("POST", f"{BASE}/job/cancel", {"job_uuid": job})


def test_a_job_goes_from_scheduled_to_a_model_of_its_name(server: ServerHandle) -> None:
    assert sft(server, "tuned").json == {"job_uuid": "tuned"}
    waiting = status(server, "tuned")
    assert (waiting["status"], waiting["started_at"], waiting["checkpoints"]) == ("scheduled", None, [])
    leased = Worker(server).train()
    assert leased.run.name == "tuned"
    project = server.core.read_now(server.admin, find_project, "team")
    assert leased.run.project_id == project.id
    done = status(server, "tuned")
    assert done["status"] == "completed"
    assert done["scheduled_at"] <= done["started_at"] <= done["completed_at"]
    (checkpoint,) = done["checkpoints"]
    assert (checkpoint["identifier"], checkpoint["post_training_job_id"]) == ("step-2", "tuned")
    metrics = {"epoch": 1, "train_loss": 0.5, "validation_loss": 0.6, "perplexity": 1.8}
    assert checkpoint["training_metrics"] == metrics
    artifacts = server.call("GET", f"{BASE}/job/artifacts?job_uuid=tuned").json
    assert artifacts == {"job_uuid": "tuned", "checkpoints": [checkpoint]}
    assert "tuned" in {m["identifier"] for m in server.call("GET", "/v1/models").json["data"]}
    assert dpo(server, "preferred", "tuned").json == {"job_uuid": "preferred"}
    assert args_of(server, "preferred")["model"] == "tuned"
    cancel(server, "preferred")


def test_settings_become_arguments_of_the_recipe(server: ServerHandle) -> None:
    data = {"dataset_id": "lessons", "batch_size": 4, "shuffle": True, "data_format": "dialog",
            "validation_dataset_id": "checks"}  # fmt: skip
    sft(server, "settings", config(data_config=data, gradient_accumulation_steps=2))
    args = args_of(server, "settings")
    assert (args["epochs"], args["batch_size"], args["gradient_accumulation_steps"]) == (3, 4, 2)
    assert (args["learning_rate"], args["weight_decay"], args["warmup_steps"]) == (1e-3, 0.01, 2)
    assert args["output_model"] == "settings"
    assert "lora" not in args
    assert "validation_dataset" in args
    cancel(server, "settings")


@pytest.mark.parametrize(("per_epoch", "steps"), [(0, None), (None, None), (4, 12), (5, None), (100_000, None)])
def test_epochs_end_early_only_where_steps_run_out(
    server: ServerHandle, per_epoch: int | None, steps: int | None
) -> None:
    # Ten rows in batches of two are five steps an epoch.
    job = f"steps-{per_epoch}"
    sft(server, job, config(max_steps_per_epoch=per_epoch))
    assert args_of(server, job).get("max_steps") == steps
    cancel(server, job)


def test_lora_becomes_an_adapter(server: ServerHandle) -> None:
    algorithm = {"type": "LoRA", "rank": 4, "alpha": 8, "lora_attn_modules": ["q_proj"], "apply_lora_to_mlp": True,
                 "apply_lora_to_output": False}  # fmt: skip
    sft(server, "adapter", algorithm_config=algorithm)
    modules = ["q_proj", "gate_proj", "up_proj", "down_proj"]
    assert args_of(server, "adapter")["lora"] == {"rank": 4, "alpha": 8.0, "target_modules": modules}
    cancel(server, "adapter")


def test_preferences_have_their_own_arguments(server: ServerHandle) -> None:
    dpo(server, "aligned", "small", loss_type="ipo")
    args = args_of(server, "aligned")
    assert (args["beta"], args["loss_type"]) == (0.2, "ipo")
    cancel(server, "aligned")


def test_a_job_id_is_used_once(server: ServerHandle) -> None:
    sft(server, "once")
    again = sft(server, "once")
    assert (again.status, again.headers["x-should-retry"]) == (409, "false")
    cancel(server, "once")


def test_a_job_that_waits_is_cancelled_at_once(server: ServerHandle) -> None:
    sft(server, "unwanted")
    reply = cancel(server, "unwanted")
    assert (reply.status, reply.json) == (200, None)
    assert status(server, "unwanted")["status"] == "cancelled"
    assert cancel(server, "unwanted").status == 409


def test_a_job_that_fails_says_why(server: ServerHandle) -> None:
    sft(server, "doomed")
    worker = Worker(server)
    leased = worker.lease()
    assert status(server, "doomed")["status"] == "in_progress"
    worker.end(leased, Outcome.FAILED, "the loss is not a number")
    failed = status(server, "doomed")
    assert (failed["status"], failed["error"]) == ("failed", "the loss is not a number")


def test_trainings_of_other_dialects_are_listed(server: ServerHandle) -> None:
    cmd = CreateRun(name="elsewhere", kind=RunKind.SFT, recipe="sft")
    run = server.core.write_now(server.admin, submit_run, cmd, None)
    job = to_uuid(run.id, Kind.RUN)
    assert job in {j["job_uuid"] for j in server.call("GET", f"{BASE}/jobs").json["data"]}
    assert status(server, job)["status"] == "scheduled"
    assert cancel(server, job).status == 200


def test_an_unknown_job_is_not_found(server: ServerHandle) -> None:
    for path in ("status", "artifacts"):
        assert server.call("GET", f"{BASE}/job/{path}?job_uuid=nothing").status == 404
        assert server.call("GET", f"{BASE}/job/{path}").status == 400
    assert cancel(server, "nothing").status == 404


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": None}, 400, "model"),
        ({"model": "nothing"}, 404, "model"),
        ({"training": config(data_config=None)}, 400, "training_config.data_config"),
        ({"training": config(n_epochs=0)}, 400, "n_epochs"),
        ({"training": config(data_config={"dataset_id": "nothing", "batch_size": 1})}, 404, None),
        ({"training": config(data_config={"dataset_id": "lessons", "batch_size": 0})}, 400, "batch_size"),
        ({"training": {"n_epochs": "many"}}, 400, "training_config.n_epochs"),
        ({"algorithm_config": {"type": "QAT", "quantizer_name": "x", "group_size": 1}}, 501, None),
        ({"algorithm_config": {"type": "LoRA", "rank": 1, "alpha": 1, "use_dora": True}}, 501, None),
        ({"training": config(optimizer_config={"optimizer_type": "sgd", "lr": 1})}, 400,
         "training_config.optimizer_config.optimizer_type"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_queues_nothing(
    server: ServerHandle, fields: dict[str, Any], status: int, param: str | None
) -> None:
    reply = sft(server, "impossible", **fields)
    assert (reply.status, reply.json["error"]["param"]) == (status, param), reply.body
    assert server.call("GET", f"{BASE}/job/status?job_uuid=impossible").status == 404


def test_a_loss_that_no_recipe_has_is_refused(server: ServerHandle) -> None:
    reply = dpo(server, "impossible", "small", loss_type="kto_pair")
    assert (reply.status, reply.json["error"]["param"]) == (400, "algorithm_config.loss_type")


def test_who_may_only_read_starts_and_stops_nothing(server: ServerHandle) -> None:
    key = server.key_for("read-only")
    body = {"job_uuid": "j", "model": "small", "training_config": config()}
    assert server.call("POST", f"{BASE}/supervised-fine-tune", body, key=key).status == 403
