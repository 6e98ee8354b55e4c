"""Starts the pretraining as a job through adaptive-sdk, and reads its loss through the clearml SDK."""

import time

from adaptive_sdk import Adaptive
from clearml import Task
from protocol import arguments, progress, result

ENDED = {"COMPLETED", "FAILED", "CANCELED"}


def main() -> None:
    given = arguments()
    client = Adaptive(given["url"], api_key=given["key"])
    client.use_cases.create(key="base-models", name="Base models")
    client.set_default_use_case("base-models")
    job = client.jobs.run(recipe_key="pretrain", args=given["args"], num_gpus=0, name="pretrain a small language model")
    while (now := client.jobs.get(str(job.id))).status.value not in ENDED:
        stages = [s for s in now.stages if s.info is not None]
        done, total = 0, 1
        for stage in stages:
            if getattr(stage.info, "total_num_samples", None):
                done, total = stage.info.processed_num_samples or 0, stage.info.total_num_samples or 1
        progress(done, total, now.status.value.lower())
        time.sleep(0.5)
    if now.status.value != "COMPLETED":
        raise SystemExit(f"the pretraining ended as {now.status.value}: {now.error}")
    # The same 128 bits in both spellings: a UUID with dashes here, 32 hex digits there.
    task_id = str(job.id).replace("-", "")
    scalars = Task.get_task(task_id=task_id).get_reported_scalars()
    loss = scalars["loss"]["train"]
    result({"job": str(job.id), "task": task_id, "loss": {"x": loss["x"], "y": loss["y"]}, "series": sorted(scalars)})


if __name__ == "__main__":
    main()
