"""Scalar points accepted over HTTP, durable, on SQLite: `events.add_batch` beside MLflow's `log-batch`."""

from __future__ import annotations

import http.client
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from support import PEERS, Server, await_http, call, cpu_seconds, free_port, keep, peer_environment, quintet, stop

SERIES = 20
PER_BATCH = 10_000
BATCHES = 120
CONNECTIONS = 2


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, quintet(Path(folder) / "data") as server:
        ours = through_clearml(server)
    theirs = through_mlflow()
    ours["times_mlflow"] = round(ours["points_per_second"] / theirs["points_per_second"], 1)
    keep("ingest", {"quintet": ours, "mlflow": theirs})


def make_task(server: Server, name: str) -> str:
    """A run that takes events."""
    project = call(f"{server.url}/projects.create", {"name": f"bench {name}", "description": ""}, key=server.key)
    body = {"name": name, "type": "training", "project": project["data"]["id"]}
    task = call(f"{server.url}/tasks.create", body, key=server.key)["data"]["id"]
    call(f"{server.url}/tasks.started", {"task": task}, key=server.key)
    return str(task)


def batch(task: str, number: int) -> bytes:
    """One body of `PER_BATCH` points over `SERIES` series, in the SDK's own form."""
    start = number * (PER_BATCH // SERIES)
    lines = [
        json.dumps({
            "timestamp": 1_795_213_598_260 + i, "type": "training_stats_scalar", "task": task, "iter": i,
            "metric": f"metric {s // 4}", "variant": f"variant {s % 4}", "value": (i * 7919 % 1000) / 997.0,
            "allow_locked": False, "model_event": False, "method": "get",
        })
        for i in range(start, start + PER_BATCH // SERIES)
        for s in range(SERIES)
    ]
    return "\n".join(lines).encode()


def through_clearml(server: Server) -> dict[str, Any]:
    """Bodies are made before the clock starts; every acknowledged one is on the disk."""
    from concurrent.futures import ThreadPoolExecutor

    tasks = [make_task(server, f"ingest {n}") for n in range(CONNECTIONS)]
    bodies = [[batch(t, n) for n in range(BATCHES // CONNECTIONS)] for t in tasks]

    def send(which: int) -> None:
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=120)
        headers = {"Content-Type": "application/json-lines", "Authorization": f"Bearer {server.key}"}
        for body in bodies[which]:
            connection.request("POST", "/v2.23/events.add_batch", body, headers)
            reply = connection.getresponse()
            answer = json.loads(reply.read())
            assert answer["data"]["added"] == PER_BATCH, answer["meta"]
        connection.close()

    before = cpu_seconds(server.process.pid)
    started = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        list(threads.map(send, range(CONNECTIONS)))
    seconds = time.perf_counter() - started
    points = BATCHES * PER_BATCH
    used = cpu_seconds(server.process.pid) - before
    return {
        "points": points,
        "points_per_second": round(points / seconds),
        "cores": round(used / seconds, 2),
        "points_per_core_second": round(points / used),
    }


def through_mlflow() -> dict[str, Any]:
    """`log-batch` of 1,000 metrics, its largest, to one server process."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [f"{PEERS}/mlflow", "server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination",
             f"{folder}/artifacts", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True, env=peer_environment(), cwd=folder,
        )  # fmt: skip
        base = f"http://127.0.0.1:{port}"
        try:
            await_http(f"{base}/health", process)
            run = call(f"{base}/api/2.0/mlflow/runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            bodies = [json.dumps({"run_id": run, "metrics": [
                {"key": f"metric {s}", "value": i / 7.0, "timestamp": 1_795_213_598_260 + i, "step": i}
                for i in range(n * 50, n * 50 + 50) for s in range(20)
            ]}).encode() for n in range(40)]  # fmt: skip
            started = time.perf_counter()
            for body in bodies:
                connection.request("POST", "/api/2.0/mlflow/runs/log-batch", body, {"Content-Type": "application/json"})
                reply = connection.getresponse()
                reply.read()
                assert reply.status == 200, reply.status
            seconds = time.perf_counter() - started
            return {"points": len(bodies) * 1_000, "points_per_second": round(len(bodies) * 1_000 / seconds)}
        finally:
            stop(process)


if __name__ == "__main__":
    main()
