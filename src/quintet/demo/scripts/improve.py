"""Fine-tunes, then preference-tunes, through llama-stack-client's alpha.post_training; both are real TRL trainings."""

import time
from typing import Any

from clearml import Task
from llama_stack_client import LlamaStackClient
from protocol import arguments, progress, result


def training(dataset: str, given: dict[str, Any]) -> dict[str, Any]:
    """The training configuration of the API; what it has no word for goes to `extra`, which recipes read."""
    return {
        "n_epochs": given["epochs"],
        "max_steps_per_epoch": given["max_steps"],
        "gradient_accumulation_steps": 1,
        "data_config": {"dataset_id": dataset, "batch_size": given["batch_size"], "shuffle": True,
                        "data_format": "instruct"},
        "optimizer_config": {"optimizer_type": "adamw", "lr": given["lr"], "weight_decay": 0.01,
                             "num_warmup_steps": given["warmup"]},
        "dtype": "float32",
    }  # fmt: skip


def wait(stack: LlamaStackClient, job: str, budget: float, offset: float) -> Any:
    """Until the job has ended, moving the bar by the time that training was given."""
    started = time.monotonic()
    while True:
        now = stack.alpha.post_training.job.status(job_uuid=job)
        if now is not None and now.status in ("completed", "failed", "cancelled"):
            break
        share = min(0.49, 0.5 * (time.monotonic() - started) / budget)
        progress(int(1000 * (offset + share)), 1000, f"{job}: {now.status if now else 'waiting'}")
        time.sleep(1.0)
    if now.status != "completed":
        raise SystemExit(f"{job} ended as {now.status}")
    return now


def curves(model: str) -> dict[str, Any]:
    """The loss series of the run, as the clearml SDK reads them."""
    task = Task.get_task(project_name="Dates", task_name=model, allow_archived=False)
    scalars = task.get_reported_scalars()
    return {"task": task.id, "series": {m: {v: [s["x"], s["y"]] for v, s in vs.items()} for m, vs in scalars.items()}}


def main() -> None:
    given = arguments()
    stack = LlamaStackClient(base_url=given["url"], api_key=given["key"], timeout=120)
    stack.alpha.post_training.supervised_fine_tune(
        job_uuid="dates-sft", model=given["model"], training_config=training("date-answers", given["sft"]),
        hyperparam_search_config={}, logger_config={},
    )  # fmt: skip
    sft = wait(stack, "dates-sft", given["sft"]["budget"], 0.0)
    stack.alpha.post_training.preference_optimize(
        job_uuid="dates-dpo", finetuned_model="dates-sft", algorithm_config={"beta": given["dpo"]["beta"]},
        training_config=training("date-preferences", given["dpo"]), hyperparam_search_config={}, logger_config={},
    )  # fmt: skip
    dpo = wait(stack, "dates-dpo", given["dpo"]["budget"], 0.5)
    artifacts = stack.alpha.post_training.job.artifacts(job_uuid="dates-sft")
    progress(1000, 1000, "done")
    result({
        "sft": {**curves("dates-sft"), "checkpoints": [c.identifier for c in sft.checkpoints]},
        "dpo": {**curves("dates-dpo"), "checkpoints": [c.identifier for c in dpo.checkpoints]},
        "artifacts": [c.identifier for c in artifacts.checkpoints],
        "jobs": [j.job_uuid for j in stack.alpha.post_training.job.list()],
        "models": sorted(str(getattr(m, "identifier", None) or m.id) for m in stack.models.list()),
    })  # fmt: skip


if __name__ == "__main__":
    main()
