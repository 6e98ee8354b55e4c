"""Chat completions to an instant mock upstream: what the way through each gateway costs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from support import (
    GATEWAY,
    PEERS,
    PYTHON,
    await_http,
    call,
    cpu_seconds,
    environment,
    free_port,
    keep,
    peer_environment,
    quintet,
    stop,
)

ASK = {"model": "mock", "messages": [{"role": "user", "content": "hello there, how are you?"}], "max_tokens": 16}
SECONDS = 8.0


def load(url: str, headers: dict[str, str], connections: int, body: dict[str, Any] | None = None) -> dict[str, Any]:
    given = {
        "url": url, "body": json.dumps(body or ASK), "headers": {"Content-Type": "application/json", **headers},
        "connections": connections, "seconds": SECONDS,
    }  # fmt: skip
    done = subprocess.run(
        [PYTHON, str(Path(__file__).parent / "load.py")], input=json.dumps(given), capture_output=True, text=True,
        check=True, env=environment(),
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measured(url: str, headers: dict[str, str], pid: int, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Alone, then at 32 connections with the requests per second of one core's time."""
    alone = load(url, headers, 1, body)
    before, started = cpu_seconds(pid), time.perf_counter()
    busy = load(url, headers, 32, body)
    cores = (cpu_seconds(pid) - before) / (time.perf_counter() - started)
    return {
        "alone_median_ms": round(alone["median_ms"], 3),
        "at_32_per_second": round(busy["per_second"]),
        "cores": round(cores, 2),
        "per_second_per_core": round(busy["per_second"] / max(cores, 1e-9)),
        "p99_ms": round(busy["p99_ms"], 1),
        "errors": alone["errors"] + busy["errors"],
    }


def main() -> None:
    port = free_port()
    upstream = subprocess.Popen([PYTHON, str(Path(__file__).parent / "upstream.py"), str(port)], text=True)
    base = f"http://127.0.0.1:{port}/v1"
    results: dict[str, Any] = {}
    try:
        await_http(f"http://127.0.0.1:{port}/health", upstream)
        results["direct"] = measured(f"{base}/chat/completions", {}, upstream.pid)
        results["quintet"] = through_quintet(base)
        for name, start in (("litellm", litellm), ("mlflow", mlflow)):
            results[name] = start(base)
    finally:
        stop(upstream)
    ours = results["quintet"]
    ours["added_median_ms"] = round(ours["alone_median_ms"] - results["direct"]["alone_median_ms"], 3)
    for name in ("litellm", "mlflow"):
        if "per_second_per_core" in results[name]:
            results[name]["quintet_is_times"] = round(ours["at_32_per_second"] / results[name]["at_32_per_second"], 2)
    keep("gateway", results)


def through_quintet(base: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, quintet(Path(folder) / "data") as server:
        made = {
            "endpointName": "mock", "endpointType": "llm/v1/chat", "modelProvider": "openai", "modelName": "mock",
            "modelConfig": {"openai_api_base": base, "openai_api_key": "sk-bench"},
            "endpointPermissions": {"isEveryoneAllowed": True, "userIds": []},
        }  # fmt: skip
        call(f"{server.url}/api/aigateway/v1/endpoints", made, key=server.key)
        found = measured(
            f"{server.url}/v1/chat/completions", {"Authorization": f"Bearer {server.key}"}, server.process.pid
        )
        logged = call(f"{server.url}/inference/v1/inference-logs?page_size=1", key=server.key)["count"]
        return {**found, "interactions_logged": logged}


def litellm(base: str) -> dict[str, Any]:
    """The LiteLLM proxy with a master key, one worker, no logging."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(
            "model_list:\n  - model_name: mock\n    litellm_params:\n      model: openai/mock\n"
            f"      api_base: {base}\n      api_key: sk-bench\n"
            "general_settings:\n  master_key: sk-master\n"
        )
        process = subprocess.Popen(
            [f"{PEERS}/litellm", "--config", str(config), "--host", "127.0.0.1", "--port", str(port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
            env=peer_environment(),
        )  # fmt: skip
        try:
            await_http(f"http://127.0.0.1:{port}/health/liveliness", process)
            url = f"http://127.0.0.1:{port}/v1/chat/completions"
            return measured(url, {"Authorization": "Bearer sk-master"}, process.pid)
        finally:
            stop(process)


def mlflow(base: str) -> dict[str, Any]:
    """MLflow's gateway, one worker; it asks for no key and logs nothing. 3.4 is the last line that still starts one."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(
            "endpoints:\n  - name: mock\n    endpoint_type: llm/v1/chat\n    model:\n      provider: openai\n"
            f"      name: mock\n      config:\n        openai_api_key: sk-bench\n        openai_api_base: {base}\n"
        )
        process = subprocess.Popen(
            [f"{GATEWAY}/mlflow", "gateway", "start", "--config-path", str(config), "--host", "127.0.0.1",
             "--port", str(port), "--workers", "1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True, env=peer_environment(), start_new_session=True,
        )  # fmt: skip
        try:
            await_http(f"http://127.0.0.1:{port}/health", process)
            body = {"messages": ASK["messages"], "max_tokens": 16}
            return measured(f"http://127.0.0.1:{port}/gateway/mock/invocations", {}, _busiest(process.pid), body)
        finally:
            # The launcher leaves its workers behind when it is stopped alone; the session is theirs and ours.
            os.killpg(process.pid, signal.SIGTERM)
            stop(process)


def _busiest(pid: int) -> int:
    """The worker below a launcher: the youngest descendant that is a process of its own."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return _busiest(int(children[-1])) if children else pid


if __name__ == "__main__":
    main()
