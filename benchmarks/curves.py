"""Curves over HTTP with 10 M points stored: one run sampled, and the roll-ups of 2,000 series."""

from __future__ import annotations

import http.client
import json
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ingest import make_task

from support import Server, call, keep, median, quintet, timed

RUNS, SERIES, POINTS = 100, 20, 5_000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, quintet(Path(folder) / "data") as server:
        tasks = fill(server)
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=120)

        def ask(path: str, body: dict[str, Any]) -> Any:
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {server.key}"}
            connection.request("POST", path, json.dumps(body), headers)
            return connection.getresponse().read()

        def sampled(number: int) -> Any:
            body = {"task": tasks[number % RUNS], "samples": 2000}
            return ask("/v2.23/events.scalar_metrics_iter_histogram", body)

        answer = json.loads(sampled(0))["data"]
        assert sum(len(v) for v in answer.values()) == SERIES, list(answer)
        counter = iter(range(10_000))
        one_run = timed(lambda: sampled(next(counter)), 60)
        body = {"id": tasks, "only_fields": ["last_metrics"], "page_size": 500, "page": 0}
        rolled = json.loads(ask("/v2.23/tasks.get_all", body))["data"]["tasks"]
        found = sum(len(v) for t in rolled for v in t["last_metrics"].values())
        assert found == RUNS * SERIES, found
        many = timed(lambda: ask("/v2.23/tasks.get_all", body), 30)
        latest = timed(
            lambda: ask("/v2.23/events.get_task_single_value_metrics", {"tasks": tasks[:1]}), 10
        )
        size = sum(f.stat().st_size for f in (Path(folder) / "data").glob("quintet.db*"))
        keep("curves", {
            "points": RUNS * SERIES * POINTS, "database_mb": round(size / 1e6, 1),
            "one_run_median_ms": round(median(one_run), 1), "one_run_max_ms": round(max(one_run), 1),
            "rollups_of_2000_series_through_tasks_get_all_median_ms": round(median(many), 1),
            "single_values_median_ms": round(median(latest), 1),
            "rollups_of_2000_series_use_case_median_ms": round(storage_rollups(Path(folder) / "data", tasks), 2),
        })


def storage_rollups(data: Path, tasks: list[str]) -> float:
    """The use case itself, in this process: what the figure is without JSON and HTTP."""
    from quintet.app.events.read import get_rollups
    from quintet.domain.ids import Kind, from_hex32
    from quintet.server.composition import open_parts
    from quintet.server.settings import load_settings

    parts = open_parts(load_settings({"data": str(data)})[0], create=False)
    ids = [i for t in tasks if (i := from_hex32(t, Kind.RUN))]
    try:
        return median(timed(lambda: parts.core.read_now(parts.admin, get_rollups, ids), 30))
    finally:
        parts.close()


def fill(server: Server) -> list[str]:
    """100 runs × 20 series × 5,000 points, through the same door as everybody's."""
    tasks = []
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=120)
    headers = {"Content-Type": "application/json-lines", "Authorization": f"Bearer {server.key}"}
    template = [
        json.dumps({
            "timestamp": 1_795_213_598_260 + i, "type": "training_stats_scalar", "task": "TASK", "iter": i,
            "metric": f"metric {s // 4}", "variant": f"v{s % 4}", "value": (i * 7919 % 1000) / 997.0,
        })
        for i in range(POINTS)
        for s in range(SERIES)
    ]
    for number in range(RUNS):
        task = make_task(server, f"curve {number:03}")
        tasks.append(task)
        for start in range(0, len(template), 20_000):
            body = "\n".join(template[start : start + 20_000]).replace("TASK", task)
            connection.request("POST", "/v2.23/events.add_batch", body.encode(), headers)
            assert json.loads(connection.getresponse().read())["data"]["added"] == 20_000
    call(f"{server.url}/health")
    return tasks


if __name__ == "__main__":
    main()
