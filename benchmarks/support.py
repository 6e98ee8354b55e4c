"""What every benchmark shares: servers as separate processes, a load generator, and where results go."""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
PYTHON = str(ROOT / ".venv/bin/python")
PEERS = str(ROOT / ".venv-peers/bin")
GATEWAY = str(ROOT / ".venv-gateway/bin")
RESULTS = HERE / "results.json"


def environment() -> dict[str, str]:
    """The shell's environment without what would slow starts down."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def peer_environment() -> dict[str, str]:
    """For peers: without their calls to the outside, which this machine may not make and which would only delay them."""
    quiet = {
        "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR",
    }  # fmt: skip
    return {**environment(), **quiet}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Server:
    """A running `quintet up`."""

    url: str
    key: str
    access_key: str
    secret_key: str
    process: subprocess.Popen[str]
    data: Path
    start_seconds: float


@contextmanager
def quintet(data: Path, *flags: str) -> Iterator[Server]:
    """A server process on a data folder, without workers; its keys are made by the command line."""
    port = free_port()
    started = time.perf_counter()
    workers = [] if "--workers" in flags else ["--workers", "0"]
    command = [PYTHON, "-m", "quintet.cli.main", "up", "--data", str(data), "--port", str(port), *workers]
    process = subprocess.Popen(
        [*command, "--log-level", "warning", *flags], stdout=subprocess.PIPE, text=True, env=environment()
    )
    url = f"http://127.0.0.1:{port}"
    try:
        await_http(f"{url}/health", process)
        seconds = time.perf_counter() - started
        made = subprocess.run(
            [PYTHON, "-m", "quintet.cli.main", "key", "create", "--data", str(data), "--label", "bench", "--json"],
            capture_output=True, text=True, check=True, env=environment(),
        )  # fmt: skip
        keys = json.loads(made.stdout)
        yield Server(url, keys["key"], keys["access_key"], keys["secret_key"], process, data, seconds)
    finally:
        stop(process)


def stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def await_http(url: str, process: subprocess.Popen[str], seconds: float = 120.0) -> None:
    """Until the URL answers at all."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the process behind {url} ended with {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"{url} did not answer within {seconds} s")


def call(url: str, body: Any = None, *, key: str | None = None, method: str | None = None) -> Any:
    """One JSON request."""
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method or ("POST" if data else "GET"))
    with urllib.request.urlopen(request, timeout=120) as reply:
        return json.loads(reply.read() or b"null")


def timed(work: Callable[[], Any], times: int) -> list[float]:
    """Milliseconds of each run."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append((time.perf_counter() - started) * 1000)
    return taken


def median(values: list[float]) -> float:
    return statistics.median(values)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def machine() -> str:
    """The machine and versions that belong beside every figure."""
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())  # fmt: skip
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1]) / 1e6  # type: ignore[index]
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GB, Linux {platform.release()}, Python {sys.version.split()[0]}"


def version(package: str, python: str) -> str:
    done = subprocess.run(
        [python, "-c", f"import importlib.metadata as m; print(m.version('{package}'))"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() or "not installed"


def keep(name: str, values: dict[str, Any]) -> None:
    """Adds one benchmark's figures to the results."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    known[name] = {**values, "at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())}
    RESULTS.write_text(json.dumps(known, indent=2) + "\n")
    print(name, json.dumps(values))
