"""Upload sessions: which parts of a file that comes in pieces are there."""

from __future__ import annotations

from sqlalchemy import delete, insert, select, update

from quintet.domain.data import Upload
from quintet.domain.ids import Id
from quintet.storage import tables as t
from quintet.storage.mapping import Mapper
from quintet.storage.sql import for_update
from quintet.storage.tx import ReadTx, WriteTx

_map = Mapper(Upload, t.uploads)


def insert_upload(tx: WriteTx, item: Upload) -> None:
    tx.write(insert(t.uploads), _map.dump(item))


def save_upload(tx: WriteTx, item: Upload) -> None:
    tx.write(update(t.uploads).where(t.uploads.c.id == item.id), _map.dump(item))


def find_upload(tx: ReadTx, space_id: Id, upload_id: Id, *, lock: bool = False) -> Upload | None:
    c = t.uploads.c
    query = select(t.uploads).where(c.space_id == space_id, c.id == upload_id)
    row = tx.one(for_update(query, tx.kind) if lock else query)
    return _map.load(row) if row else None


def delete_upload(tx: WriteTx, upload_id: Id) -> None:
    tx.write(delete(t.uploads).where(t.uploads.c.id == upload_id))


def older_than(tx: ReadTx, space_id: Id, moment: int) -> list[Upload]:
    c = t.uploads.c
    return [_map.load(r) for r in tx.all(select(t.uploads).where(c.space_id == space_id, c.created_at < moment))]
