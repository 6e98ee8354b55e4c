"""The row of a run as reporting needs it: a few columns, for a path that runs many times a second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import select, update

from quintet.domain.ids import Id
from quintet.domain.runs import RunState
from quintet.storage import tables as t
from quintet.storage.sql import for_update
from quintet.storage.tx import ReadTx, WriteTx

_c = t.runs.c


class Reporter(NamedTuple):
    space_id: Id
    state: RunState
    last_iteration: int


def lock_reporter(tx: WriteTx, run_id: Id) -> Reporter | None:
    """The run, held until the transaction ends: it cannot be published or reset under a report."""
    query = select(_c.space_id, _c.state, _c.last_iteration).where(_c.id == run_id)
    row = tx.execute(for_update(query, tx.kind)).first()
    return Reporter(row[0], RunState(row[1]), row[2]) if row else None


def mark_reported(tx: WriteTx, run_id: Id, now: int, last_iteration: int) -> None:
    tx.write(update(t.runs).where(_c.id == run_id).values(updated_at=now, last_iteration=last_iteration))


def in_space(tx: ReadTx, space_id: Id, run_ids: Sequence[Id]) -> set[Id]:
    """Those of the runs that are in the space."""
    rows = tx.execute(select(_c.id).where(_c.space_id == space_id, _c.id.in_(list(run_ids))))
    return {row[0] for row in rows}
