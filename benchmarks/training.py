"""Supervised fine-tuning through the platform against the same TRL script alone, both as whole processes.

Through the platform counts everything from the request to the registered model: queue, lease, worker, logs,
curves, the upload of the result. Alone counts the process of the script.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from support import PYTHON, ROOT, Server, call, environment, keep, median, quintet

sys.path.insert(0, str(ROOT / "src"))
ROWS, STEPS, BATCH, RATE, ROUNDS = 4_000, 120, 64, 3e-3, 2


def wait(server: Server, training: str) -> dict[str, Any]:
    """Until the training has ended."""
    while True:
        now: dict[str, Any] = call(f"{server.url}/inference/v1/trainings/{training}", key=server.key)
        if now["status"] in ("completed", "failed", "cancelled"):
            if now["status"] != "completed":
                raise RuntimeError(f"{now['name']} {now['status']}")
            return now
        time.sleep(0.1)


def start(server: Server, name: str, architecture: str, configuration: dict[str, Any], dataset: str = "") -> str:
    body = {
        "name": name, "architecture": architecture, "configuration": configuration, "data_model_id": "bench",
        "connectors": [{"connector_id": dataset}] if dataset else [], "gpu_count": 0,
    }  # fmt: skip
    return str(call(f"{server.url}/inference/v1/trainings", body, key=server.key)["id"])


def main() -> None:
    from quintet.demo.dates import training_pairs

    pairs = [list(p) for p in training_pairs(ROWS, 2)]
    with tempfile.TemporaryDirectory() as folder, quintet(Path(folder) / "data", "--workers", "1") as server:
        wait(server, start(server, "base", "pretrain", {"max_steps": 20, "seed": 0}))
        rows = [{"messages": [{"role": "user", "content": p}], "completion": a} for p, a in pairs]
        registered = {"dataset_id": "pairs", "purpose": "post-training/messages", "source": {"type": "rows", "rows": rows}}
        call(f"{server.url}/v1beta/datasets", registered, key=server.key)
        listed = call(f"{server.url}/api/datasetrw/v2/datasets?limit=100", key=server.key)["datasets"]
        dataset = next(d["dataset"]["id"] for d in listed if d["dataset"]["name"] == "pairs")
        model = next((Path(folder) / "data" / "blobs").rglob("model.safetensors")).parent
        configuration = {
            "model": "base", "max_steps": STEPS, "batch_size": BATCH, "learning_rate": RATE, "warmup_steps": 0,
        }  # fmt: skip
        ours, theirs = [], []
        for number in range(ROUNDS):
            started = time.perf_counter()
            wait(server, start(server, f"tuned-{number}", "sft", configuration, dataset))
            ours.append(time.perf_counter() - started)
            theirs.append(alone(str(model), pairs, f"{folder}/alone-{number}"))
    keep("training", {
        "steps": STEPS, "batch_size": BATCH, "platform_s": [round(s, 1) for s in ours],
        "alone_s": [round(s, 1) for s in theirs], "times": round(median(ours) / median(theirs), 3),
    })  # fmt: skip


def alone(model: str, pairs: list[list[str]], out: str) -> float:
    """Seconds of the whole process, interpreter and imports included."""
    given = {"model": model, "pairs": pairs, "steps": STEPS, "batch_size": BATCH, "lr": RATE, "out": out}
    started = time.perf_counter()
    subprocess.run(
        [PYTHON, str(Path(__file__).parent / "trl_alone.py")], input=json.dumps(given), text=True, check=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(),
    )  # fmt: skip
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
