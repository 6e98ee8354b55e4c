"""When runs ran: what they cost is computed from this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select

from quintet.domain.ids import Id
from quintet.domain.runs import RunState
from quintet.storage import tables as t
from quintet.storage.tx import ReadTx


@dataclass(frozen=True, slots=True)
class RunTime:
    """One run: from when to when (None: it is still running), on which hardware (what its `runtime` says)."""

    run_id: Id
    project_id: Id | None
    started_at: int
    ended_at: int | None
    hardware: dict[str, Any]


def run_times(tx: ReadTx, space_id: Id, since: int, until: int) -> list[RunTime]:
    """The runs of a space that ran at some time in `since` ≤ time < `until` (µs)."""
    c = t.runs.c
    running = (c.state == RunState.RUNNING.value) & c.ended_at.is_(None)
    query = (
        select(c.id, c.project_id, c.started_at, c.ended_at, c.runtime)
        .where(c.space_id == space_id, c.started_at.is_not(None), c.started_at < until)
        .where(or_(running, c.ended_at > since))
        .order_by(c.id)
    )
    found = []
    for row in tx.all(query):
        hardware = row["runtime"].get("hardware") if isinstance(row["runtime"], dict) else None
        found.append(
            RunTime(
                row["id"], row["project_id"], row["started_at"], row["ended_at"],
                hardware if isinstance(hardware, dict) else {},
            )
        )  # fmt: skip
    return found


def run_numbers(tx: ReadTx, space_id: Id, project_ids: Sequence[Id], run_ids: Sequence[Id]) -> dict[Id, int]:
    """Which of its project's runs each run is, counted from 1 in the order of their making."""
    if not run_ids:
        return {}
    c = t.runs.c
    number = func.row_number().over(partition_by=c.project_id, order_by=c.id).label("number")
    of_project = select(c.id, number).where(c.space_id == space_id, c.project_id.in_(list(project_ids))).subquery()
    rows = tx.all(select(of_project.c.id, of_project.c.number).where(of_project.c.id.in_(list(run_ids))))
    return {r["id"]: int(r["number"]) for r in rows}
