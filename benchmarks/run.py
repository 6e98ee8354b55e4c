"""`make bench`: runs every benchmark (or those named) and writes `RESULTS.md` from what they kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from support import HERE, PEERS, PYTHON, RESULTS, environment, machine, version

ALL = ("idle", "ingest", "curves", "gateway", "interactions", "training")


def main() -> int:
    wanted = sys.argv[1:] or list(ALL)
    failed = []
    for name in wanted:
        print(f"== {name}", flush=True)
        done = subprocess.run([PYTHON, str(HERE / f"{name}.py")], check=False, env=environment())
        if done.returncode:
            failed.append(name)
    write()
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def write() -> None:
    """`RESULTS.md` holds the goals, what was reached, and the raw figures."""
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    rows = "\n".join(f"| {what} | {goal} | {got} | {verdict} |" for what, goal, got, verdict in table(found))
    peers = f"{PEERS}/python"
    versions = ", ".join(
        f"{p} {version(p, python)}"
        for p, python in (
            ("starlette", PYTHON), ("msgspec", PYTHON), ("uvicorn", PYTHON), ("sqlalchemy", PYTHON), ("aiohttp", PYTHON),
            ("torch", PYTHON), ("trl", PYTHON), ("mlflow", peers), ("litellm", peers),
        )
    )  # fmt: skip
    extra = (HERE / "NOTES.md").read_text() if (HERE / "NOTES.md").exists() else ""
    Path(HERE / "RESULTS.md").write_text(
        f"# Results\n\nMachine: {machine()}\n\nVersions: {versions}\n\n"
        f"| what | must reach | reached | |\n|---|---|---|---|\n{rows}\n\n{extra}\n"
        f"## Raw figures\n\n```json\n{json.dumps(found, indent=2)}\n```\n"
    )


def table(found: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """(what, goal, reached, met or missed); what was not measured says so."""
    rows: list[tuple[str, str, str, str]] = []

    def add(what: str, goal: str, bench: str, got: Any, met: Any) -> None:
        if bench not in found:
            rows.append((what, goal, "not measured", ""))
            return
        try:
            rows.append((what, goal, str(got(found[bench])), "met" if met(found[bench]) else "**missed**"))
        except (KeyError, TypeError) as error:
            rows.append((what, goal, f"not measured ({error})", ""))

    add("scalar points/s through `events.add_batch`", "200,000", "ingest",
        lambda b: f"{b['quintet']['points_per_second']:,}", lambda b: b["quintet"]["points_per_second"] >= 200_000)
    add("the same against `mlflow server`", "20×", "ingest", lambda b: f"{b['quintet']['times_mlflow']}×",
        lambda b: b["quintet"]["times_mlflow"] >= 20)
    add("one run, 20 × 5,000 points sampled to 2,000, 10 M stored", "50 ms", "curves",
        lambda b: f"{b['one_run_median_ms']} ms", lambda b: b["one_run_median_ms"] < 50)
    add("last/min/max/mean of 2,000 series", "20 ms", "curves",
        lambda b: f"{b['rollups_of_2000_series_use_case_median_ms']} ms (as whole tasks over HTTP "
                  f"{b['rollups_of_2000_series_through_tasks_get_all_median_ms']} ms)",
        lambda b: b["rollups_of_2000_series_use_case_median_ms"] < 20)
    add("chat completion, added median alone", "2 ms", "gateway", lambda b: f"{b['quintet']['added_median_ms']} ms",
        lambda b: b["quintet"]["added_median_ms"] <= 2)
    add("chat completions per core at 32 connections", "800/s", "gateway",
        lambda b: f"{b['quintet']['per_second_per_core']}/s", lambda b: b["quintet"]["per_second_per_core"] >= 800)
    add("the same against the LiteLLM proxy", "10×", "gateway", lambda b: f"{b['litellm']['quintet_is_times']}×",
        lambda b: b["litellm"]["quintet_is_times"] >= 10)
    add("the same against MLflow's gateway", "1×", "gateway", lambda b: f"{b['mlflow']['quintet_is_times']}×",
        lambda b: b["mlflow"]["quintet_is_times"] >= 1)
    add("list 50 of 1 M interactions by filter and cursor", "10 ms", "interactions",
        lambda b: f"{max(b['list_50_median_ms'], b['list_50_at_page_200_median_ms'], b['list_50_by_label_median_ms'])} ms",
        lambda b: max(b["list_50_median_ms"], b["list_50_at_page_200_median_ms"], b["list_50_by_label_median_ms"]) < 10)
    add("full-text search over them", "50 ms", "interactions",
        lambda b: f"{max(v for k, v in b.items() if k.startswith('search'))} ms",
        lambda b: max(v for k, v in b.items() if k.startswith("search")) < 50)
    add("idle server: memory", "150 MB", "idle", lambda b: f"{b['memory_mb']} MB", lambda b: b["memory_mb"] <= 150)
    add("idle server: CPU", "1 % of a core", "idle", lambda b: f"{b['cpu_share_of_a_core']:.2%}",
        lambda b: b["cpu_share_of_a_core"] < 0.01)
    add("cold start to first answer", "2 s", "idle", lambda b: f"{b['cold_start_median_s']} s",
        lambda b: b["cold_start_median_s"] <= 2)
    add("fine-tuning through the platform against TRL alone", "1.05×", "training", lambda b: f"{b['times']}×",
        lambda b: b["times"] <= 1.05)
    return rows  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
