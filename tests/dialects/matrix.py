"""Requests that would change something, one for each bound operation, about real things of a running server.

Bodies are generated from the types that handlers decode; what the generator cannot guess stands in `BODIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import inspect
from tests.dialects.wires import OPERATIONS, Connection, Operation, variables
from tests.support.servers import ServerHandle

from quintet.app.datasets.fill import create_with_rows
from quintet.app.datasets.manage import CreateDataset
from quintet.app.feedback.manage import CreateMetric, create_metric
from quintet.app.identity.accounts import create_team
from quintet.app.models.versions import RegisterVersion, register_version
from quintet.app.projects.manage import CreateProject, create_project
from quintet.app.queues.manage import CreateQueue, create_queue
from quintet.app.runs.create import CreateRun, create_run
from quintet.app.serving.deployments import CreateEndpoint, create_endpoint
from quintet.domain.ids import Kind, to_hex32, to_uuid
from quintet.domain.models import ModelFormat

Names = Mapping[str, Any]

READING = {
    # Everything is a POST in ClearML, and in the others what is asked may need a body.
    "debug.ping", "server.info", "events.debug_images", "events.plots", "tasks.validate", "login.supported_modes",
    "events.scalar_metrics_iter_histogram", "events.multi_task_scalar_metrics_iter_histogram", "queues.peek_task",
    "auth.fixed_users_mode", "POST /v1alpha/inference/rerank", "POST /v1/scoring/score", "uploadStatus",
    "PUT /api/registeredmodels/v1/{modelName}/versions/{version}/stages/validation",
}  # fmt: skip
"""Operations that change nothing, whatever their method."""

TAKES = "queues.get_next_task"
"""Is called as if it read, and takes what it gives."""

MESSAGES = [{"role": "user", "content": "hello"}]
CONFIG = {"eval_candidate": {"type": "model", "model": "echo"}}
TRAINING = {
    "n_epochs": 1,
    "data_config": {"dataset_id": "rows", "batch_size": 1, "shuffle": True, "data_format": "instruct"},
    "optimizer_config": {"optimizer_type": "adamw", "lr": 0.1, "weight_decay": 0.0, "num_warmup_steps": 0},
}


@dataclass(frozen=True)
class World:
    """By shape of errors: what fields and parameters of a name hold; and the key of somebody who may only read."""

    names: Mapping[str, Names]
    read_only: str


def changing() -> list[Operation]:
    """Bound operations that change something for those who may."""
    return [o for o in OPERATIONS if o.bound and not o.public and o.id not in READING and _changes(o)]


def _changes(operation: Operation) -> bool:
    if operation.shape == "graphql":
        return operation.id.startswith("mutation ")
    if operation.shape == "clearml":
        return operation.id == TAKES or not operation.id.partition(".")[2].startswith("get_")
    return operation.method != "GET" and not operation.path.endswith("/search")


def request(operation: Operation, world: World) -> tuple[str, Any]:
    """The path and body of a request that a caller may mean."""
    known = world.names.get(operation.shape, {})
    noun = operation.path.split("/")[3:4]
    if operation.shape == "inference" and noun and "{id}" in operation.path:
        known = {**known, "id": known.get(noun[0], known["documents"].get(noun[0], ""))}
    path = operation.filled(
        {name: str(value) for name, value in known.items()}, {name: str(known.get(name, 1)) for name in operation.query}
    )
    if operation.id in BODIES:
        return path, BODIES[operation.id](known)
    if operation.document:
        known = {**known, **VARIABLES.get(operation.id, {})}
        return path, {"query": operation.document, "variables": variables(operation, known)}
    if operation.body is None:
        return path, None if operation.method == "DELETE" else {}
    if operation.body in (dict, dict[str, Any]):
        return path, {k: v for k, v in known.items() if k not in ("id", "documents")}
    return path, _least(inspect.type_info(operation.body), "", known)


def _least(kind: Any, name: str, known: Names) -> Any:
    """The least value of a type, with what is known by the names of fields."""
    if name in known:
        return known[name]
    match kind:
        case inspect.StructType():
            wanted = [f for f in kind.fields if f.required or f.encode_name in known]
            return {f.encode_name: _least(f.type, f.encode_name, known) for f in wanted}
        case inspect.UnionType():
            return _least(next(t for t in kind.types if not isinstance(t, inspect.NoneType)), name, known)
        case inspect.ListType():
            return [_least(kind.item_type, name, known)]
        case inspect.DictType() | inspect.AnyType():
            return {}
        case inspect.IntType():
            return 1
        case inspect.FloatType():
            return 1.0
        case inspect.BoolType():
            return True
        case inspect.LiteralType():
            return kind.values[0]
    return "some text"


def _with(*names: str, **more: Any) -> Callable[[Names], Any]:
    """A body of what is known by these names, and more."""
    return lambda known: {**{name: known[name] for name in names}, **more}


VARIABLES: dict[str, Names] = {
    "mutation deleteDataset": {"idOrKey": "rows"},
    "mutation addExternalModel": {"providerData": {"openAI": {"apiKey": "k", "externalModelId": "GPT4O"}}},
}
"""What names mean in one mutation and in no other."""


def _many(name: str) -> Callable[[Names], Any]:
    return lambda known: {"ids": [known[name]]}


_LOG = _with("task", type="log", msg="said", timestamp=1_700_000_000_000)

BODIES: dict[str, Callable[[Names], Any]] = {
    # adaptive
    "chatCompletions": _with(model="echo", messages=MESSAGES),
    "addInteractions": _with("use_case", messages=MESSAGES, completion="said"),
    "addFeedback": _with("metric", "completion_id", value=True),
    "addComparison": _with("metric", "preferred_completion", "other_completion"),
    "addOutcome": _with("metric", "session_id", value=True),
    # clearml
    "events.add": _LOG,
    "events.add_batch": _LOG,
    "tasks.add_or_update_model": _with("task", "model", name="m", type="output"),
    "tasks.delete_models": _with("task", models=[{"name": "m", "type": "output"}]),
    "tasks.edit_hyper_params": _with("task", hyperparams=[{"section": "Args", "name": "lr", "value": "1"}]),
    "models.archive_many": _many("model"),
    "models.unarchive_many": _many("model"),
    "models.delete_many": _many("model"),
    "tasks.archive_many": _many("task"),
    "tasks.unarchive_many": _many("task"),
    "tasks.stop_many": _many("task"),
    # domino
    "POST /api/datasetrw/v1/datasets": _with("projectId", name="a dataset"),
    "POST /api/aigateway/v1/endpoints": _with(
        endpointName="e", endpointType="llm/v1/chat", modelProvider="openai", modelName="m",
        modelConfig={"openai_api_key": "k"},
    ),
    "POST /api/registeredmodels/v1": _with(modelName="another"),
    "POST /api/registeredmodels/v1/{modelName}/versions/{version}/reviews": _with(
        targetStage="Staging", reviewers=[]
    ),
    "POST /api/projects/v1/projects/{projectId}/shared-datasets": lambda k: {"datasetId": k["otherDatasetId"]},
    "POST /endpoints/{name}/invocations": _with(messages=MESSAGES),
    # mlflow
    "POST /api/2.0/mlflow/runs/log-metric": _with("run_id", key="loss", value=0.5, timestamp=1, step=1),
    "POST /api/2.0/mlflow/runs/log-batch": _with("run_id", params=[{"key": "a", "value": "b"}]),
    # llama_stack
    "POST /v1/chat/completions": _with(model="echo", messages=MESSAGES),
    "POST /v1beta/datasets": _with(
        purpose="eval/messages-answer", source={"type": "rows", "rows": [{"a": 1}]}, dataset_id="fresh"
    ),
    "POST /v1beta/datasetio/append-rows/{dataset_id}": _with(rows=[{"a": 1}]),
    "POST /v1alpha/eval/benchmarks/{benchmark_id}/evaluations": _with(
        input_rows=[{"input_query": "a", "expected_answer": "b"}], scoring_functions=["basic::equality"],
        benchmark_config=CONFIG,
    ),
    "POST /v1alpha/eval/benchmarks/{benchmark_id}/jobs": _with(benchmark_config=CONFIG),
    "POST /v1alpha/post-training/supervised-fine-tune": _with(
        job_uuid="other", model="base", training_config=TRAINING
    ),
    "POST /v1alpha/post-training/preference-optimize": _with(
        job_uuid="other", finetuned_model="base", algorithm_config={"beta": 0.1}, training_config=TRAINING
    ),
    # inference
    "POST /actions": _with(name="a", description="b", type="c", priority="low"),
    "POST /personas": _with(name="a", birthdate="2000-01-01", notes="n"),
    "POST /chats": _with(model="echo", messages=MESSAGES),
    "POST /benchmarks": _with(
        name="fresh", description="d", task="t", metrics=["accuracy"], connectors=[{"connector_id": "rows"}]
    ),
    "PUT /benchmarks/{id}": _with(name="other"),
    "POST /evaluations": _with(benchmark_id="held-out", checkpoint_id="base", gpu_count=0),
    "POST /trainings": _with(
        name="t", architecture="sft", configuration={"model": "base"}, data_model_id="x", gpu_count=0,
        connectors=[{"connector_id": "rows"}],
    ),
}  # fmt: skip


def make_world(server: ServerHandle) -> World:
    """One thing of each kind, and how every dialect names it."""
    made = _made(server)
    common = {"name": "fresh-name", "key": "fresh-key", "description": "words", "tags": ["new"]}
    names = {
        "adaptive": {"use_case": "matrix", **made["calls"], "metric": "good"},
        "graphql": {**common, **_graphql(made)},
        "clearml": {**common, **_clearml(made)},
        "domino": {**common, **made["domino"]},
        "mlflow": {
            "run_id": to_hex32(made["run"], Kind.RUN), "experiment_id": made["project"], "name": "a-model",
            "new_name": "fresh-name", "key": "k", "value": "v", "version": "1", "source": "file:///x",
            "stage": "Staging", "path": "x", "alias": "a", "archive_existing_versions": False,
        },
        "llama_stack": {
            "model": "echo", "dataset_id": "rows", "benchmark_id": "held-out", "job_id": made["evaluation"],
            "job_uuid": "tuned", "scoring_functions": ["basic::equality"],
        },
        "inference": {**common, "documents": made["documents"], **made["inference"]},
        "runner": {"run_id": made["run"], "token": "t"},
    }  # fmt: skip
    return World(names, server.key_for("read-only"))


def _made(server: ServerHandle) -> dict[str, Any]:
    core, admin = server.core, server.admin

    def write(use_case: Any, *args: Any) -> Any:
        return core.write_now(admin, use_case, *args)

    project = write(create_project, CreateProject("matrix"))
    run = write(create_run, CreateRun("a run", project_id=project.id, tags=("old",)))
    rows = [{"messages": MESSAGES, "completion": "b"}]
    dataset, _ = create_with_rows(core, admin, CreateDataset("rows", "rows", project.id), rows)
    for name, form in (("base", ModelFormat.TRANSFORMERS), ("a-model", ModelFormat.NONE)):
        model = write(register_version, RegisterVersion(name, form))[0]
    write(create_endpoint, CreateEndpoint("echo", "test", "echo", engine="fake"))
    write(create_metric, CreateMetric("good", key="good"))
    found = {
        "project": project.id, "run": run.id, "dataset": dataset.id, "model": model.id, "user": admin.user_id,
        "queue": write(create_queue, CreateQueue("a queue")).id, "team": write(create_team, "a team").id,
    }  # fmt: skip
    return {**found, **_asked_for(Connection(server), found)}


def _asked_for(wire: Connection, made: Names) -> dict[str, Any]:
    """What is made on the wire, because one dialect alone has it."""

    def ask(path: str, body: Any) -> Any:
        reply = wire.ask("POST", path, body)
        assert reply.status < 300, (path, reply.body)
        return reply.json

    said = [ask("/api/v1/chat/completions", {"model": "echo", "messages": MESSAGES, "session_id": _SESSION}) for _ in "ab"]
    first, second = (reply["choices"][0]["completion_id"] for reply in said)
    ask("/v1alpha/eval/benchmarks", {
        "benchmark_id": "held-out", "dataset_id": "rows", "scoring_functions": ["basic::equality"]})  # fmt: skip
    ask("/v1alpha/post-training/supervised-fine-tune", {
        "job_uuid": "tuned", "model": "base", "training_config": TRAINING})  # fmt: skip
    evaluation = ask("/v1alpha/eval/benchmarks/held-out/jobs", {"benchmark_config": CONFIG})["job_id"]
    base = "/inference/v1"
    documents = {
        "action-groups": {"name": "a", "description": "b"},
        "actions": {"name": "a", "description": "b", "type": "c", "priority": "low"},
        "data-models": {"name": "a"},
        "experts": {"name": "a", "description": "b"},
        "personas": {"name": "a", "birthdate": "2000-01-01", "notes": "n"},
        "chats": {"model": "echo", "messages": MESSAGES},
    }
    return {
        "calls": {
            "completion_id": first, "preferred_completion": first, "other_completion": second, "session_id": _SESSION
        },
        "evaluation": evaluation,
        "documents": {noun: ask(f"{base}/{noun}", body)["id"] for noun, body in documents.items()},
        "inference": {
            "trainings": wire.ask("GET", f"{base}/trainings").json["data"][0]["id"],
            "benchmarks": wire.ask("GET", f"{base}/benchmarks").json["data"][0]["id"],
            "spaces": wire.ask("GET", f"{base}/spaces").json["data"][0]["id"],
        },
        "domino": _domino(ask, made),
    }  # fmt: skip


_SESSION = "9d4c4d0e-5a3b-4d5c-8f6e-0123456789ab"


def _domino(ask: Callable[[str, Any], Any], made: Names) -> dict[str, Any]:
    snapshot = ask(f"/api/datasetrw/v1/datasets/{made['dataset']}/snapshots", {})["snapshot"]["id"]
    ask(f"/api/datasetrw/v1/datasets/{made['dataset']}/tags", {"tagName": "old", "snapshotId": snapshot})
    environment = ask("/api/environments/beta/environments", {"name": "env", "visibility": "global"})["environment"]
    source = {"name": "bucket", "dataSourceType": "S3Config", "authType": "AWSIAMBasic", "config": {"bucket": "b"}}
    ask("/api/hardwaretiers/v1/hardwaretiers", {"id": "small"})
    ask("/api/cost/v1/billingtags", {"billingTags": ["tag"]})
    goals = f"/api/projects/v1/projects/{made['project']}/goals"
    tagged = ask(f"/api/jobs/v1/jobs/{made['run']}/tags", {"projectId": made["project"], "tagName": "other"})
    elsewhere = ask("/api/projects/beta/projects", {"name": "elsewhere"})["project"]["id"]
    other = ask("/api/datasetrw/v1/datasets", {"name": "other", "projectId": elsewhere})["dataset"]["id"]
    review = ask("/api/registeredmodels/v1/a-model/versions/1/reviews", {
        "targetStage": "Staging", "reviewers": [{"userId": made["user"]}]})  # fmt: skip
    return {
        "projectId": made["project"], "jobId": made["run"], "modelName": "a-model", "version": 1,
        "datasetId": made["dataset"], "snapshotId": snapshot, "tagName": "old", "targetId": made["user"],
        "targetRole": "DatasetRwReader", "environmentId": environment["id"],
        "revisionId": environment["latestRevision"]["id"] if environment.get("latestRevision") else "",
        "dataSourceId": ask("/api/datasource/v1/datasources", {**source, "name": "second"})["id"],
        "dataSourceType": "S3Config", "authType": "AWSIAMBasic", "hardwareTierId": "small", "tag": "tag",
        "goalId": ask(goals, {"title": "a goal"})["goal"]["id"], "tagId": tagged["tag"]["id"] if "tag" in tagged else "",
        "organizationId": made["team"], "userId": made["user"], "modelReviewId": review["modelReviewId"],
        "decision": "Approved", "stage": "Staging", "currentStage": "Staging", "branch": "main", "endpointName": "echo",
        "name": "echo", "visibility": "private", "otherDatasetId": other,
    }  # fmt: skip


def _clearml(made: Names) -> dict[str, Any]:
    spelt = {
        "task": to_hex32(made["run"], Kind.RUN), "project": to_hex32(made["project"], Kind.PROJECT),
        "model": to_hex32(made["model"], Kind.MODEL), "queue": to_hex32(made["queue"], Kind.QUEUE),
    }  # fmt: skip
    return {**spelt, "tasks": [spelt["task"]], "type": "training", "uri": "file:///x"}


def _graphql(made: Names) -> dict[str, Any]:
    case = to_uuid(made["project"], Kind.PROJECT)
    return {
        "useCase": case, "idOrKey": case, "id": to_uuid(made["run"], Kind.RUN), "model": "a-model", "metric": "good",
        "user": made["user"], "team": "a-team", "role": "member", "recipe": "sft", "provider": "OPEN_AI",
    }  # fmt: skip
