"""Makes all tables at once in an empty database, for tests and benchmarks; a server's own are made by migrations."""

from __future__ import annotations

from quintet.storage import sql
from quintet.storage.database import Database, raw_engine
from quintet.storage.tables import metadata


def create_all(database: Database) -> None:
    """Creates every table, index and trigger. The database must be empty."""
    with raw_engine(database).begin() as connection:
        metadata.create_all(connection, checkfirst=False)
        for statement in sql.extra_ddl(database.kind):
            connection.exec_driver_sql(statement)
