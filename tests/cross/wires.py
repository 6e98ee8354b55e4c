"""Making, finding and reading the nouns that dialects share, each on its own public wire.

Makers and readers of a noun by dialect. A maker answers with the facts that it was told by its own dialect; a reader
finds the same thing by what only it understands (its spelling of the id, or the name) and answers with the same facts.
"""

from __future__ import annotations

import json

from quintet.app.models.versions import RegisterVersion, register_version
from quintet.domain.ids import Id, Kind, from_hex32, from_prefixed, from_uuid, parse_id, to_hex32, to_prefixed, to_uuid
from quintet.domain.models import ModelFormat
from tests.cross.world import Maker, Reader, Thing, World, core_id, fresh

# -- projects -----------------------------------------------------------------------------------------------------


def _adaptive_project(w: World) -> Thing:
    name = fresh("Project of adaptive")
    made = w.gql(
        "mutation($n: String!, $k: String!) { createUseCase(input: {name: $n, key: $k, description: \"words\"})"
        " { id name description } }", n=name, k=fresh("case"),
    )["createUseCase"]  # fmt: skip
    return _project(from_uuid(made["id"], Kind.PROJECT), made["name"], made["description"])


def _project(ident: Id | None, name: str, description: str) -> Thing:
    return Thing(core_id(ident, name), name, {"description": description})


def _clearml_project(w: World) -> Thing:
    name = fresh("Project of clearml")
    made = w.clearml("projects.create", name=name, description="words")
    return _project(from_hex32(made["id"], Kind.PROJECT), name, "words")


def _domino_project(w: World) -> Thing:
    made = w.domino("POST", "/api/projects/beta/projects", {"name": fresh("Project-of-domino"), "description": "words"})
    return _project(parse_id(made["project"]["id"]), made["project"]["name"], made["project"]["description"])


def _mlflow_project(w: World) -> Thing:
    name = fresh("Experiment of mlflow")
    return _project(parse_id(w.mlflow("POST", "experiments/create", {"name": name})["experiment_id"]), name, "")


def _project_in_adaptive(w: World, made: Thing) -> Thing:
    query = "query($i: IdOrKey!) { useCase(idOrKey: $i) { id name description } }"
    found = w.gql(query, i=to_uuid(made.id, Kind.PROJECT))["useCase"]
    listed = w.gql("{ useCases(filter: {}) { id } }")["useCases"]
    assert found["id"] in [item["id"] for item in listed]
    return _project(from_uuid(found["id"], Kind.PROJECT), found["name"], found["description"] or "")


def _project_in_clearml(w: World, made: Thing) -> Thing:
    found = w.clearml("projects.get_by_id", project=to_hex32(made.id, Kind.PROJECT))["project"]
    named = w.clearml("projects.get_all", name=f"^{made.name}$")["projects"]
    assert [item["id"] for item in named] == [found["id"]]
    return _project(from_hex32(found["id"], Kind.PROJECT), found["name"], found["description"])


def _project_in_domino(w: World, made: Thing) -> Thing:
    found = w.domino("GET", f"/api/projects/v1/projects/{made.id}")["project"]
    listed = w.domino("GET", "/api/projects/beta/projects?limit=1000")["projects"]
    assert found in listed
    return _project(parse_id(found["id"]), found["name"], found["description"])


def _project_in_mlflow(w: World, made: Thing) -> Thing:
    found = w.mlflow("GET", f"experiments/get?experiment_id={made.id}")["experiment"]
    # An experiment has no description; what it must say is that it is there and alive.
    assert found["lifecycle_stage"] == "active"
    return _project(parse_id(found["experiment_id"]), found["name"], made.facts["description"])


# -- runs ---------------------------------------------------------------------------------------------------------

QUEUED = "queued"


def _run(ident: Id | None, name: str, state: str) -> Thing:
    """`state` is the core's word; what dialects say is looked up in `STATES`."""
    return Thing(core_id(ident, name), name, {"state": state})


STATES: dict[str, dict[str, str]] = {
    "queued": {
        "adaptive": "PENDING", "clearml": "queued", "domino": "Queued", "mlflow": "SCHEDULED",
        "llama_stack": "scheduled", "inference": "queued",
    },
    "running": {
        "adaptive": "RUNNING", "clearml": "in_progress", "domino": "Running", "mlflow": "RUNNING",
        "llama_stack": "in_progress", "inference": "running",
    },
    "stopped": {
        "adaptive": "CANCELED", "clearml": "stopped", "domino": "Stopped", "mlflow": "KILLED",
        "llama_stack": "cancelled", "inference": "cancelled",
    },
}  # fmt: skip
"""What every dialect calls a state."""


def _state(dialect: str, said: str) -> str:
    return next(core for core, words in STATES.items() if words[dialect] == said)


def _adaptive_run(w: World) -> Thing:
    made = w.gql(
        "mutation($i: JobInput!) { createJob(input: $i) { id name status } }",
        i={"recipe": "sft", "useCase": to_uuid(w.project, Kind.PROJECT), "numGpus": 0, "name": fresh("job"),
           "args": {"model": w.base, "dataset": w.rows}},
    )["createJob"]  # fmt: skip
    return _run(from_uuid(made["id"], Kind.RUN), made["name"], _state("adaptive", made["status"]))


def _clearml_run(w: World) -> Thing:
    name = fresh("task")
    made = w.clearml("tasks.create", name=name, type="training", project=to_hex32(w.project, Kind.PROJECT))["id"]
    w.clearml("tasks.enqueue", task=made)
    return _run(from_hex32(made, Kind.RUN), name, QUEUED)


def _domino_run(w: World) -> Thing:
    command = f"quintet recipe sft {json.dumps({'model': w.base, 'dataset': w.rows})}"
    body = {"projectId": w.project, "runCommand": command, "title": fresh("domino job")}
    made = w.domino("POST", "/api/jobs/v1/jobs", body)["job"]
    return _run(parse_id(made["id"]), made["title"], _state("domino", made["status"]["executionStatus"]))


def _mlflow_run(w: World) -> Thing:
    made = w.mlflow("POST", "runs/create", {"experiment_id": w.project, "run_name": fresh("mlflow-run")})["run"]["info"]
    return _run(from_hex32(made["run_id"], Kind.RUN), made["run_name"], _state("mlflow", made["status"]))


def _llama_stack_run(w: World) -> Thing:
    name = fresh("tuned")
    config = {
        "n_epochs": 1, "data_config": {"dataset_id": w.rows, "batch_size": 1, "shuffle": True, "data_format": "instruct"}
    }  # fmt: skip
    w.rest("POST", "/v1alpha/post-training/supervised-fine-tune", {
        "job_uuid": name, "model": w.base, "training_config": config})  # fmt: skip
    found = [t for t in w.clearml("tasks.get_all", name=name)["tasks"] if t["name"] == name]
    assert len(found) == 1  # the id that its client chose is no id of ours, so the name leads to it
    return _run(from_hex32(found[0]["id"], Kind.RUN), name, QUEUED)


def _inference_run(w: World) -> Thing:
    made = w.inference("POST", "/trainings", {
        "name": fresh("training"), "architecture": "sft", "configuration": {"model": w.base}, "data_model_id": "none",
        "connectors": [{"connector_id": w.rows}], "gpu_count": 0})  # fmt: skip
    return _run(parse_id(made["id"]), made["name"], _state("inference", made["status"]))


def _run_in_adaptive(w: World, made: Thing) -> Thing:
    found = w.gql("query($i: UUID!) { job(id: $i) { id name status } }", i=to_uuid(made.id, Kind.RUN))["job"]
    return _run(from_uuid(found["id"], Kind.RUN), found["name"], _state("adaptive", found["status"]))


def _run_in_clearml(w: World, made: Thing) -> Thing:
    found = w.clearml("tasks.get_by_id", task=to_hex32(made.id, Kind.RUN))["task"]
    return _run(from_hex32(found["id"], Kind.RUN), found["name"], _state("clearml", found["status"]))


def _run_in_domino(w: World, made: Thing) -> Thing:
    found = w.domino("GET", f"/api/jobs/beta/jobs/{made.id}")["job"]
    return _run(parse_id(found["id"]), found["title"], _state("domino", found["status"]["executionStatus"]))


def _run_in_mlflow(w: World, made: Thing) -> Thing:
    found = w.mlflow("GET", f"runs/get?run_id={to_hex32(made.id, Kind.RUN)}")["run"]["info"]
    return _run(from_hex32(found["run_id"], Kind.RUN), found["run_name"], _state("mlflow", found["status"]))


def _run_in_llama_stack(w: World, made: Thing) -> Thing:
    """A training that was started elsewhere is listed by the UUID of its run."""
    listed = [item["job_uuid"] for item in w.rest("GET", "/v1alpha/post-training/jobs")["data"]]
    names = [item for item in (made.name, to_uuid(made.id, Kind.RUN)) if item in listed]
    assert names, f"{made.name} is not listed"
    job = names[0]
    found = w.rest("GET", f"/v1alpha/post-training/job/status?job_uuid={job}")
    ident = made.id if job == made.name else from_uuid(found["job_uuid"], Kind.RUN)
    return _run(ident, made.name, _state("llama_stack", found["status"]))


def _run_in_inference(w: World, made: Thing) -> Thing:
    found = w.inference("GET", f"/trainings/{made.id}")
    return _run(parse_id(found["id"]), found["name"], _state("inference", found["status"]))


# -- models -------------------------------------------------------------------------------------------------------


def _model(ident: Id | None, name: str) -> Thing:
    return Thing(core_id(ident, name), name, {})


def _adaptive_model(w: World) -> Thing:
    data = {"openAI": {"apiKey": "k", "externalModelId": "GPT4O"}}
    made = w.gql(
        "mutation($i: AddExternalModelInput!) { addExternalModel(input: $i) { id key } }",
        i={"name": fresh("external"), "provider": "OPEN_AI", "providerData": data},
    )["addExternalModel"]  # fmt: skip
    case = to_uuid(w.project, Kind.PROJECT)
    w.gql("mutation($i: AttachModel!) { attachModel(input: $i) { id } }", i={"useCase": case, "model": made["key"]})
    return _model(from_uuid(made["id"], Kind.MODEL), made["key"])


def _clearml_model(w: World) -> Thing:
    name = fresh("clearml-model")
    made = w.clearml("models.create", name=name, uri="file:///weights.pkl", framework="scikit-learn")
    return _model(from_hex32(made["id"], Kind.MODEL), name)


def _domino_model(w: World) -> Thing:
    name = fresh("domino-model")
    w.domino("POST", "/api/registeredmodels/v1", {"modelName": name})
    return _by_name(w, name)


def _mlflow_model(w: World) -> Thing:
    name = fresh("mlflow-model")
    w.mlflow("POST", "registered-models/create", {"name": name})
    return _by_name(w, name)


def _by_name(w: World, name: str) -> Thing:
    """Models have no id where they are called by name; another dialect tells it."""
    found = w.clearml("models.get_all", name=f"^{name}$")["models"]
    assert len(found) == 1
    return _model(from_hex32(found[0]["id"], Kind.MODEL), name)


def _recipe_model(w: World) -> Thing:
    """A model with weights, as the recipes register what they trained."""
    cmd = RegisterVersion(fresh("trained"), ModelFormat.TRANSFORMERS)
    made = w.server.core.write_now(w.server.admin, register_version, cmd)[0]
    return _model(made.id, made.key)


def _model_in_adaptive(w: World, made: Thing) -> Thing:
    query = "query($i: IdOrKey!) { model(idOrKey: $i) { id key } }"
    found = w.gql(query, i=to_uuid(made.id, Kind.MODEL))["model"]
    assert w.gql(query, i=made.name)["model"] == found
    return _model(from_uuid(found["id"], Kind.MODEL), found["key"])


def _model_in_clearml(w: World, made: Thing) -> Thing:
    found = w.clearml("models.get_by_id", model=to_hex32(made.id, Kind.MODEL))["model"]
    return _model(from_hex32(found["id"], Kind.MODEL), found["name"])


def _model_in_domino(w: World, made: Thing) -> Thing:
    found = w.domino("GET", f"/api/registeredmodels/v1/{made.name}")
    return _model(made.id, found["name"])


def _model_in_mlflow(w: World, made: Thing) -> Thing:
    found = w.mlflow("GET", f"registered-models/get?name={made.name}")["registered_model"]
    return _model(made.id, found["name"])


def _model_in_llama_stack(w: World, made: Thing) -> Thing:
    found = w.rest("GET", f"/v1/models/{made.name}")
    assert found["id"] in [item["id"] for item in w.rest("GET", "/v1/models")["data"]]
    return _model(made.id, found["identifier"])


def _model_in_inference(w: World, made: Thing) -> Thing:
    named = [item for item in w.inference("GET", "/models")["data"] if item["name"] == made.name]
    assert named, f"{made.name} is not listed"
    found = named[0]
    return _model(parse_id(found["id"]), found["name"])


# -- datasets -----------------------------------------------------------------------------------------------------

ROWS = [{"messages": [{"role": "user", "content": f"question {n}"}], "completion": f"answer {n}"} for n in range(3)]


def _dataset(ident: Id | None, name: str, rows: int) -> Thing:
    return Thing(core_id(ident, name), name, {"rows": rows})


def _adaptive_dataset(w: World) -> Thing:
    name = fresh("adaptive-rows")
    query = (
        "mutation($input: DatasetCreate!, $file: Upload!) { createDataset(input: $input, file: $file) { id key records } }"
    )
    case = to_uuid(w.project, Kind.PROJECT)
    operations = {"query": query, "variables": {"input": {"useCase": case, "name": name, "key": name}, "file": None}}
    parts = {
        'name="operations"': json.dumps(operations),
        'name="map"': '{"0": ["variables.file"]}',
        'name="0"; filename="rows.jsonl"': "\n".join(json.dumps(row) for row in ROWS),
    }
    head = "--x\r\nContent-Disposition: form-data; "
    raw = "".join(f"{head}{about}\r\n\r\n{text}\r\n" for about, text in parts.items()) + "--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    made = w.rest("POST", "/api/graphql", raw=raw.encode(), headers=headers)["data"]["createDataset"]
    return _dataset(from_uuid(made["id"], Kind.DATASET), made["key"], made["records"])


def _domino_dataset(w: World) -> Thing:
    name = fresh("domino-files")
    made = w.domino("POST", "/api/datasetrw/v1/datasets", {"name": name, "projectId": w.project})["dataset"]
    return _dataset(parse_id(made["id"]), made["name"], 0)


def _llama_stack_dataset(w: World) -> Thing:
    name = fresh("stack-rows")
    source = {"type": "rows", "rows": ROWS}
    w.rest("POST", "/v1beta/datasets", {
        "purpose": "post-training/messages", "source": source, "dataset_id": name})  # fmt: skip
    listed = w.domino("GET", "/api/datasetrw/v1/datasets?limit=1000")["datasets"]
    return _dataset(parse_id(next(item["id"] for item in listed if item["name"] == name)), name, len(ROWS))


def _dataset_in_adaptive(w: World, made: Thing) -> Thing:
    """A dataset is asked for in its use case; one made elsewhere is in the project that it was given."""
    cases = [item["id"] for item in w.gql("{ useCases(filter: {}) { id } }")["useCases"]]
    query = "query($c: IdOrKey!) { datasets(useCase: $c) { id key records kind } }"
    found = [d for c in cases for d in w.gql(query, c=c)["datasets"] if d["id"] == to_uuid(made.id, Kind.DATASET)]
    assert found, f"{made.name} is not listed"
    return _dataset(from_uuid(found[0]["id"], Kind.DATASET), found[0]["key"], found[0]["records"])


def _dataset_in_domino(w: World, made: Thing) -> Thing:
    found = w.domino("GET", f"/api/datasetrw/v1/datasets/{made.id}")["dataset"]
    listed = w.domino("GET", f"/api/datasetrw/v1/datasets?limit=1000&projectId={found['projectId']}")["datasets"]
    assert found in listed
    # Of rows nothing is said there; a dataset is what its snapshots hold.
    return _dataset(parse_id(found["id"]), found["name"], made.facts["rows"])


def _dataset_in_llama_stack(w: World, made: Thing) -> Thing:
    found = w.rest("GET", f"/v1beta/datasets/{made.name}")
    by_id = w.rest("GET", f"/v1beta/datasets/{made.id}")
    assert by_id["identifier"] == found["identifier"]
    rows = w.rest("GET", f"/v1beta/datasetio/iterrows/{made.name}")["data"]
    assert [row["completion"] for row in rows] == [row["completion"] for row in ROWS[: made.facts["rows"]]]
    return _dataset(made.id, found["identifier"], len(rows))


# -- interactions -------------------------------------------------------------------------------------------------

SAID = "HOW ARE YOU"
ASKED = [{"role": "user", "content": "how are you"}]


def _interaction(ident: Id | None, answer: str) -> Thing:
    return Thing(core_id(ident, answer), answer, {})


def _adaptive_interaction(w: World) -> Thing:
    made = w.rest("POST", "/api/v1/chat/completions", {"model": w.answers, "messages": ASKED})["choices"][0]
    return _interaction(from_uuid(made["completion_id"], Kind.INTERACTION), made["message"]["content"])


def _llama_stack_interaction(w: World) -> Thing:
    made = w.rest("POST", "/v1/chat/completions", {"model": w.answers, "messages": ASKED})
    return _interaction(from_prefixed(made["id"], "chatcmpl-"), made["choices"][0]["message"]["content"])


def _inference_interaction(w: World) -> Thing:
    made = w.inference("POST", "/chats", {"model": w.answers, "messages": ASKED})["choices"][0]["message"]
    return _interaction(parse_id(made["id"]), made["content"])


def _domino_interaction(w: World) -> Thing:
    made = w.domino("POST", f"/endpoints/{w.answers}/invocations", {"messages": ASKED})
    return _interaction(from_prefixed(made["id"], "chatcmpl-"), made["choices"][0]["message"]["content"])


def _interaction_in_adaptive(w: World, made: Thing) -> Thing:
    """A completion is asked for in its use case: that of the model, or the first one of the space."""
    query = "query($c: IdOrKey!, $i: UUID!) { completion(useCase: $c, id: $i) { id completion chatMessages { content } } }"
    cases = [item["id"] for item in w.gql("{ useCases(filter: {}) { id } }")["useCases"]]
    every = [w.gql(query, c=c, i=to_uuid(made.id, Kind.INTERACTION))["completion"] for c in cases]
    (found,) = [item for item in every if item is not None]
    assert [m["content"] for m in found["chatMessages"]][:1] == ["how are you"]
    return _interaction(from_uuid(found["id"], Kind.INTERACTION), found["completion"])


def _interaction_in_llama_stack(w: World, made: Thing) -> Thing:
    found = w.rest("GET", f"/v1/chat/completions/{to_prefixed(made.id, 'chatcmpl-')}")
    listed = w.rest("GET", f"/v1/chat/completions?model={w.answers}&limit=100")["data"]
    assert found["id"] in [item["id"] for item in listed]
    assert found["input_messages"][0]["content"] == "how are you"
    return _interaction(from_prefixed(found["id"], "chatcmpl-"), found["choices"][0]["message"]["content"])


def _interaction_in_inference(w: World, made: Thing) -> Thing:
    logs = w.inference("GET", f"/inference-logs?model={w.answers}&limit=100")["data"]
    found = next(item for item in logs if item["id"] == made.id)
    assert found["status"] == "success"
    assert found["request"]["messages"] == ASKED
    return _interaction(parse_id(found["id"]), found["response"]["content"])


# -- the tables ---------------------------------------------------------------------------------------------------

MAKERS: dict[str, dict[str, Maker]] = {
    "project": {
        "adaptive": _adaptive_project, "clearml": _clearml_project, "domino": _domino_project,
        "mlflow": _mlflow_project,
    },
    "run": {
        "adaptive": _adaptive_run, "clearml": _clearml_run, "domino": _domino_run, "mlflow": _mlflow_run,
        "llama_stack": _llama_stack_run, "inference": _inference_run,
    },
    "model": {
        "adaptive": _adaptive_model, "clearml": _clearml_model, "domino": _domino_model, "mlflow": _mlflow_model,
        "recipe": _recipe_model,
    },
    "dataset": {
        "adaptive": _adaptive_dataset, "domino": _domino_dataset, "llama_stack": _llama_stack_dataset,
    },
    "interaction": {
        "adaptive": _adaptive_interaction, "domino": _domino_interaction, "llama_stack": _llama_stack_interaction,
        "inference": _inference_interaction,
    },
}  # fmt: skip

READERS: dict[str, dict[str, Reader]] = {
    "project": {
        "adaptive": _project_in_adaptive, "clearml": _project_in_clearml, "domino": _project_in_domino,
        "mlflow": _project_in_mlflow,
    },
    "run": {
        "adaptive": _run_in_adaptive, "clearml": _run_in_clearml, "domino": _run_in_domino, "mlflow": _run_in_mlflow,
        "llama_stack": _run_in_llama_stack, "inference": _run_in_inference,
    },
    "model": {
        "adaptive": _model_in_adaptive, "clearml": _model_in_clearml, "domino": _model_in_domino,
        "mlflow": _model_in_mlflow, "llama_stack": _model_in_llama_stack, "inference": _model_in_inference,
    },
    "dataset": {
        "adaptive": _dataset_in_adaptive, "domino": _dataset_in_domino, "llama_stack": _dataset_in_llama_stack,
    },
    "interaction": {
        "adaptive": _interaction_in_adaptive, "llama_stack": _interaction_in_llama_stack,
        "inference": _interaction_in_inference,
    },
}  # fmt: skip
