"""The history of the schema, on both databases: it leads to the tables in the code, and back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from quintet.domain.errors import Precondition
from quintet.storage import migrate, sql, tables
from quintet.storage.database import Database, raw_engine
from quintet.storage.schema import create_all
from quintet.storage.tables import metadata
from tests.support.databases import Cluster
from tests.support.factories import NOW, make_run, make_world
from tests.support.make_migration import MIGRATIONS, dump


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without a table, of each kind."""
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path / 'empty.db'}")
        yield database
        database.close()
    else:
        cluster: Cluster = request.getfixturevalue("postgres")
        url = cluster.clone(empty=True)
        database = Database(url)
        yield database
        database.close()
        cluster.drop(url)


def table_names(database: Database) -> set[str]:
    with raw_engine(database).connect() as connection:
        return {n for n in inspect(connection).get_table_names() if not n.startswith("interactions_fts")}


def ours(thing: Any, name: str | None, kind: str, reflected: bool, compare_to: Any) -> bool:
    """Leaves out what tables.py cannot say: the text index, of which a test of its own makes sure."""
    return name not in ("search", "ix_interactions_search") and not str(name).startswith("interactions_fts")


def test_the_migrated_schema_is_the_one_in_the_code(empty: Database) -> None:
    migrate.upgrade(empty)
    options = {"compare_type": True, "include_object": ours}
    with raw_engine(empty).connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    assert table_names(empty) == {*metadata.tables, "alembic_version"}


def test_tests_run_on_the_schema_that_servers_have(empty: Database, db: Database) -> None:
    if empty.kind is db.kind:
        migrate.upgrade(empty)
        assert lines(dump(empty)) == lines(dump(db))


def lines(schema: str) -> list[str]:
    """Without the order of constraints within a table, which says nothing."""
    return sorted(line.strip().rstrip(",") for line in schema.splitlines())


def test_the_checked_in_dump_is_the_migrated_schema(empty: Database) -> None:
    migrate.upgrade(empty)
    checked_in = (MIGRATIONS / f"schema.{empty.kind.replace('postgresql', 'postgres')}.sql").read_text()
    assert dump(empty) == checked_in, "run `make schema`"


def test_up_down_up(empty: Database) -> None:
    migrate.upgrade(empty)
    first = dump(empty)
    migrate.downgrade(empty, "base")
    assert table_names(empty) <= {"alembic_version"}
    assert dump(empty).strip() in ("", ";")
    migrate.upgrade(empty)
    assert dump(empty) == first
    world = make_world(empty)
    row = {"id": "0" * 24, "space_id": world.space_id, "created_at": NOW, "completion": "a purple walrus"}
    empty.write(lambda tx: tx.write(tables.interactions.insert(), row))
    found = tables.interactions.select()
    assert len(empty.read(lambda tx: tx.all(found.where(sql.fulltext(tx, "walrus"))))) == 1


@pytest.mark.parametrize("revision", migrate.revisions())
def test_each_revision_goes_down_and_up_again(empty: Database, revision: str) -> None:
    migrate.upgrade(empty, revision)
    before = dump(empty)
    migrate.downgrade(empty, "-1")
    migrate.upgrade(empty, revision)
    assert dump(empty) == before


def test_migrating_twice_changes_nothing_and_keeps_rows(empty: Database) -> None:
    assert not migrate_current(empty)
    assert migrate.upgrade(empty)
    world = make_world(empty)
    run = make_run(empty, world)
    assert not migrate.upgrade(empty)
    assert migrate_current(empty)
    assert empty.read(lambda tx: tx.scalar(text("SELECT id FROM runs"))) == run.id


def migrate_current(database: Database) -> bool:
    return migrate.is_current(database)


def test_a_newer_database_is_refused_and_left_alone(empty: Database) -> None:
    migrate.upgrade(empty)
    empty.write(lambda tx: tx.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    for look in (migrate.upgrade, migrate.is_current):
        with pytest.raises(Precondition, match="newer version of Quintet \\(revision 9999\\)"):
            look(empty)
    assert migrate.current(empty) == "9999"


def test_servers_that_start_together_migrate_once(empty: Database) -> None:
    others = [Database(empty.url) for _ in range(3)]
    failures: list[BaseException] = []

    def start(database: Database) -> None:
        try:
            migrate.upgrade(database)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=start, args=(d,)) for d in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for database in others:
        database.close()
    assert failures == []
    assert migrate.is_current(empty)


def test_a_migration_that_fails_leaves_the_schema_as_it_was(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import op

    made = op.create_table

    def breaks(name: str, *columns: Any) -> Any:
        if name == "runs":
            raise RuntimeError("the power went away")
        return made(name, *columns)

    monkeypatch.setattr(op, "create_table", breaks)
    with pytest.raises(RuntimeError):
        migrate.upgrade(empty)
    monkeypatch.undo()
    assert "projects" not in table_names(empty)
    migrate.upgrade(empty)
    assert migrate.is_current(empty)


def test_a_migration_imports_nothing_of_ours() -> None:
    for path in sorted((MIGRATIONS / "versions").glob("*.py")):
        assert "quintet" not in path.read_text(), f"{path.name} would change its meaning with the code"


def test_migrations_are_one_line_of_numbers() -> None:
    numbers = migrate.revisions()
    assert numbers == [f"{n:04}" for n in range(1, len(numbers) + 1)]


def test_making_all_tables_at_once_is_for_empty_databases(empty: Database) -> None:
    create_all(empty)
    assert not migrate.is_current(empty)
    assert table_names(empty) == set(metadata.tables)
