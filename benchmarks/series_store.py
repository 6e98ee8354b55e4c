"""What the series store takes and gives, measured at the level of storage: no HTTP, no JSON.

    python benchmarks/series_store.py [--points 10000000] [--url sqlite:////tmp/bench.db]

Stores `--points` scalars of runs with 20 series of 5,000 points each, in batches of 1,000 points (50 for each
series, as a client that reports every few seconds sends them), each batch its own durable transaction, some
of them waiting for the same commit as the server's requests do. Then times the three reads people wait for.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import insert

from quintet.domain.ids import Id, new_id
from quintet.domain.series import PointBatch, PointRow
from quintet.storage import series, series_read, tables
from quintet.storage.database import Database
from quintet.storage.schema import create_all
from quintet.storage.tx import WriteTx

SERIES, POINTS, SHARE = 20, 5_000, 50
NOW = 1_700_000_000_000_000


def batches(rng: random.Random) -> Iterator[list[PointRow]]:
    """The batches of one run: 20 noisy curves, times about a second apart."""
    noise = [rng.gauss(0, 0.05) for _ in range(10_007)]
    for start in range(0, POINTS, SHARE):
        rows: list[PointRow] = []
        for i in range(start, start + SHARE):
            at = NOW + i * 1_000_000 + rng.randrange(50) * 1_000
            for number in range(SERIES):
                value = math.exp(-i / 2_000) + noise[(i * 31 + number * 977) % 10_007]
                rows.append((f"metric {number // 4}", f"variant {number % 4}", i * 10, at, value))
        yield rows


def ingest(db: Database, runs: list[Id], writers: int) -> tuple[int, float]:
    """(points stored, seconds), without the time it takes to make the points up."""
    stored, seconds = 0, 0.0
    pool = ThreadPoolExecutor(writers)
    for position in range(0, len(runs), writers):
        group = runs[position : position + writers]
        for parts in zip(*(batches(random.Random(run)) for run in group), strict=True):

            def store(run: Id, rows: list[PointRow]) -> None:
                db.write(lambda tx: series.append_points(tx, run, PointBatch.of(rows), NOW))

            start = time.perf_counter()
            list(pool.map(store, group, parts))
            seconds += time.perf_counter() - start
            stored += sum(map(len, parts))
    pool.shutdown()
    return stored, seconds


def small_appends(db: Database, run: Id, writers: int) -> float:
    """Requests in a second that add one point to each of 20 series, some waiting for the same commit."""
    requests = 3_000

    def store(i: int) -> None:
        rows = [(f"metric {n // 4}", f"variant {n % 4}", 1_000_000 + i, NOW + i, 0.5) for n in range(SERIES)]
        db.write(lambda tx: series.append_points(tx, run, PointBatch.of(rows), NOW))

    start = time.perf_counter()
    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(store, range(requests)))
    return requests / (time.perf_counter() - start)


def replay(db: Database, run: Id) -> float:
    """Points in a second when all of a run's points come a second time, in the same batches."""
    again = [PointBatch.of(rows) for rows in list(batches(random.Random(run)))[:20]]
    start = time.perf_counter()
    stored = 0
    for batch in again:
        db.write(lambda tx, one=batch: series.append_points(tx, run, one, NOW))  # type: ignore[misc]
        stored += len(batch)
    return stored / (time.perf_counter() - start)


def timed(what: str, goal_ms: float, work: Callable[[], object], times: int = 20) -> None:
    work()
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        spent.append((time.perf_counter() - start) * 1_000)
    print(f"{what:<58} median {statistics.median(spent):7.1f} ms, worst {max(spent):7.1f} (goal {goal_ms:.0f})")


def fold_all(db: Database) -> tuple[int, float]:
    """(points, seconds) of folding every tail, 100 series in a transaction, as the background does."""
    folded, start = 0, time.perf_counter()
    while ids := db.read(lambda tx: series.due(tx, NOW + 2 * series.IDLE_US)):

        def fold_some(tx: WriteTx, some: list[int] = ids) -> int:
            return sum(series.fold(tx, series_id) for series_id in some)

        folded += db.write(fold_some)
    return folded, time.perf_counter() - start


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--points", type=int, default=10_000_000)
    arguments.add_argument("--writers", type=int, default=4, help="callers that report at the same time")
    arguments.add_argument("--url", default="", help="an empty database; a new SQLite file if left out")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "series.db"
        db = Database(given.url or f"sqlite:///{path}")
        create_all(db)
        space, runs = new_id(), [new_id() for _ in range(max(1, given.points // (SERIES * POINTS)))]
        row = {"space_id": space, "name": "run", "created_at": 0, "updated_at": 0, "changed_at": 0}
        db.write(lambda tx: tx.write(insert(tables.spaces), {"id": space, "created_at": 0}))
        db.write(lambda tx: tx.write(insert(tables.runs), [{**row, "id": run} for run in runs]))
        stored, seconds = ingest(db, runs, given.writers)
        print(f"stored {stored:,} points in {seconds:.1f} s: {stored / seconds:,.0f} points/s (goal 200,000)")
        one, hundred = runs[len(runs) // 2], runs[:100]
        for state in ("as appended", "folded"):
            if state == "folded":
                folded, seconds = fold_all(db)
                print(f"folded {folded:,} points in {seconds:.1f} s")
            size = sum(db.read(lambda tx: series_read.stored_bytes(tx, runs)).values())
            print(f"-- {state}: {size / stored:.1f} bytes a point in blocks and tails")
            timed(
                f"one run, {SERIES} series x {POINTS} points, sampled to 2,000", 50,
                lambda: db.read(lambda tx: series_read.sample(tx, [one])),
            )  # fmt: skip
            timed("the same over time", 50, lambda: db.read(lambda tx: series_read.sample(tx, [one], axis="ts")), 5)
            timed("the same, min/max/mean in 1,000", 50, lambda: db.read(lambda tx: series_read.chart(tx, [one])))
            timed(
                f"last, min, max, mean of {min(2_000, len(hundred) * SERIES):,} series", 20,
                lambda: db.read(lambda tx: series_read.rollups(tx, hundred)),
            )  # fmt: skip
        print(f"points that come again: {replay(db, runs[0]):,.0f} points/s")
        print(f"requests of one point for each of 20 series: {small_appends(db, runs[-1], 32):,.0f}/s")
        if not given.url:
            print(f"file: {path.stat().st_size / 1e6:.0f} MB")
        db.close()


if __name__ == "__main__":
    main()
