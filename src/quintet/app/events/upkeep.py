"""Keeps what runs reported compact: a service calls `fold_due` every few seconds while the server is up."""

from __future__ import annotations

from functools import partial

from quintet.storage import logs, series
from quintet.storage.database import Database
from quintet.storage.tx import WriteTx

SERIES_AT_ONCE = 20
"""Series folded in one transaction: about 20 ms, which is how long a request that writes may have to wait."""


def fold_due(db: Database, now: int, *, limit: int = 400) -> int:
    """Folds up to `limit` tails of series, and logs of many small chunks; how many of both were due.

    Each transaction is short and complete, so it does no harm to be stopped, or to run in two processes.
    """
    due = db.read(lambda tx: series.due(tx, now, limit))
    for start in range(0, len(due), SERIES_AT_ONCE):
        _fold(db, due[start : start + SERIES_AT_ONCE])
    runs = db.read(logs.logs_due)
    for run_id in runs:
        db.write(partial(logs.fold_log, run_id=run_id))
    return len(due) + len(runs)


def _fold(db: Database, series_ids: list[int]) -> None:
    def work(tx: WriteTx) -> None:
        # In the order in which appends hold them, so that the two never wait for each other in a circle.
        for series_id in sorted(series_ids):
            series.fold(tx, series_id)

    db.write(work)
