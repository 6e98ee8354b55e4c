"""The tables exist on both databases and the factories fill them."""

from __future__ import annotations

from sqlalchemy import delete, func, select

from quintet.storage import sql, tables
from quintet.storage.database import Database
from tests.support.factories import NOW, make_run, make_world


def test_every_table_can_be_read(db: Database) -> None:
    counts = db.read(
        lambda tx: {t.name: tx.scalar(select(func.count()).select_from(t)) for t in tables.metadata.tables.values()}
    )
    assert set(counts.values()) == {0}


def test_factories_make_a_world_with_a_run(db: Database) -> None:
    world = make_world(db)
    run = make_run(db, world)
    row = db.read(lambda tx: tx.one(select(tables.runs).where(tables.runs.c.id == run.id)))
    assert row is not None
    assert (row["space_id"], row["state"], row["created_at"]) == (world.space_id, "running", NOW)


def test_the_text_index_forgets_deleted_interactions(db: Database) -> None:
    world = make_world(db)
    row = {
        "id": "0" * 24, "space_id": world.space_id, "created_at": NOW, "completion": "a purple walrus",
        "messages": [{"role": "user", "content": "draw"}],
    }  # fmt: skip
    found = select(tables.interactions.c.id)
    db.write(lambda tx: tx.write(tables.interactions.insert(), row))
    assert len(db.read(lambda tx: tx.all(found.where(sql.fulltext(tx, "walrus purple"))))) == 1
    assert len(db.read(lambda tx: tx.all(found.where(sql.fulltext(tx, "giraffe"))))) == 0
    db.write(lambda tx: tx.write(delete(tables.interactions)))
    db.write(lambda tx: tx.write(tables.interactions.insert(), {**row, "id": "1" * 24, "completion": "a giraffe"}))
    assert len(db.read(lambda tx: tx.all(found.where(sql.fulltext(tx, "walrus"))))) == 0
    assert len(db.read(lambda tx: tx.all(found.where(sql.fulltext(tx, "giraffe"))))) == 1
