"""What each client sees of one model, one dataset and one run."""

from typing import Any

from adaptive_sdk import Adaptive
from clearml import Model, Task
from llama_stack_client import LlamaStackClient
from protocol import arguments, result


def main() -> None:
    given = arguments()
    adaptive = Adaptive(given["url"], api_key=given["key"])
    stack = LlamaStackClient(base_url=given["url"], api_key=given["key"])
    name = given["model"]
    model: dict[str, Any] = {}
    found = adaptive.models.get(name)
    model["adaptive"] = {"id": str(found.id), "key": found.key, "online": found.online.value} if found else None
    tracked = list(Model.query_models(model_name=name))
    model["clearml"] = {"id": tracked[0].id, "name": tracked[0].name, "task": tracked[0].task} if tracked else None
    listed = {str(getattr(m, "identifier", None) or m.id): m for m in stack.models.list()}
    model["llama_stack"] = {"identifier": name, "type": "model"} if name in listed else None
    dataset: dict[str, Any] = {}
    kept = adaptive.datasets.get("date-answers", use_case="dates")
    dataset["adaptive"] = {"id": str(kept.id), "records": kept.records, "kind": kept.kind.value} if kept else None
    read = stack.datasets.retrieve("date-answers")
    dataset["llama_stack"] = {"identifier": read.identifier, "purpose": read.purpose}
    task = Task.get_task(task_id=given["task"])
    jobs = {j.name: j for j in adaptive.jobs.list(use_case="dates").nodes}
    status = stack.alpha.post_training.job.status(job_uuid=name)
    run = {
        "clearml": {"id": task.id, "name": task.name, "status": task.get_status()},
        "adaptive": {"id": str(jobs[name].id), "status": jobs[name].status.value} if name in jobs else None,
        "llama_stack": {"job_uuid": name, "status": status.status},
    }
    result({"model": model, "dataset": dataset, "run": run})


if __name__ == "__main__":
    main()
