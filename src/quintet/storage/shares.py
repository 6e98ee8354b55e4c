"""With which teams a project is shared."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, insert, select

from quintet.domain.ids import Id
from quintet.domain.projects import Share
from quintet.storage import tables as t
from quintet.storage.mapping import Mapper
from quintet.storage.tx import ReadTx, WriteTx

_map = Mapper(Share, t.shares)


def replace_shares(tx: WriteTx, project_id: Id, shares: Sequence[Share]) -> None:
    """The project is shared with exactly these teams from now on."""
    tx.write(delete(t.shares).where(t.shares.c.project_id == project_id))
    if shares:
        tx.execute(insert(t.shares), [_map.dump(s) for s in shares])


def of_projects(tx: ReadTx, project_ids: Sequence[Id]) -> list[Share]:
    c = t.shares.c
    query = select(t.shares).where(c.project_id.in_(list(project_ids))).order_by(c.project_id, c.team_id)
    return [_map.load(r) for r in tx.all(query)]
