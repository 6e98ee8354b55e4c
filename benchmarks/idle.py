"""A server without work: cold start to the first answer, memory, and CPU over twenty seconds."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from support import call, cpu_seconds, keep, median, quintet, resident_mb

SECONDS = 20.0


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        with quintet(data) as first:
            fresh = first.start_seconds
        starts = []
        for _ in range(5):
            with quintet(data) as server:
                starts.append(server.start_seconds)
        with quintet(data) as server:
            call(f"{server.url}/inference/v1/me", key=server.key)
            time.sleep(2)
            before = cpu_seconds(server.process.pid)
            time.sleep(SECONDS)
            used = cpu_seconds(server.process.pid) - before
            keep("idle", {
                "cold_start_fresh_folder_s": round(fresh, 2), "cold_start_median_s": round(median(starts), 2),
                "memory_mb": round(resident_mb(server.process.pid), 1),
                "cpu_share_of_a_core": round(used / SECONDS, 4),
            })  # fmt: skip


if __name__ == "__main__":
    main()
