"""Brings a database to the schema of this version, and refuses one that is newer.

Alembic is imported only when there is something to do: a start on a current database asks one question.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import assert_never

from sqlalchemy import Engine, create_engine, event, inspect, text
from sqlalchemy.pool import NullPool

from quintet.domain.errors import Precondition
from quintet.storage.database import Database, raw_engine
from quintet.storage.tx import EngineKind

_HERE = Path(__file__).parent / "migrations"
LOCK = 7_310_446_001
"""The advisory lock of migrations on PostgreSQL: any number that nothing else uses."""


def revisions() -> list[str]:
    """Every revision of this version, oldest first."""
    return sorted(p.stem.split("_")[0] for p in (_HERE / "versions").glob("[0-9]*.py"))


def current(database: Database) -> str | None:
    """The revision of the database, or None for an empty one."""
    engine = _migration_engine(database)
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return None if found is None else str(found)


def is_current(database: Database) -> bool:
    """Whether the schema is this version's; Precondition for a database of a newer version."""
    return _known(current(database)) == revisions()[-1]


def _known(revision: str | None) -> str | None:
    if revision is not None and revision not in revisions():
        raise Precondition(
            f"the database was written by a newer version of Quintet (revision {revision}); install that version, "
            f"or restore a backup made with this one"
        )
    return revision


def upgrade(database: Database, target: str = "head") -> bool:
    """Migrates where needed and says whether it did; Precondition for a database of a newer version."""
    if target == "head" and _known(current(database)) == revisions()[-1]:
        return False
    _run(database, "upgrade", target)
    return True


def downgrade(database: Database, target: str) -> None:
    """Goes back to a revision, or to `base`; for tests and for those who must."""
    _run(database, "downgrade", target)


def _run(database: Database, direction: str, target: str) -> None:
    # Alembic tells of every plug-in, from its import on, where a server tells of what its operator did.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_HERE))
    with _migration_engine(database).connect() as connection:
        config.attributes["connection"] = connection
        match database.kind:
            case EngineKind.SQLITE:
                # One transaction around everything: a second server that starts now waits, and a power cut leaves
                # the schema as it was.
                with connection.begin():
                    getattr(command, direction)(config, target)
            case EngineKind.POSTGRES:
                connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
                connection.execute(text("SET lock_timeout = '10s'"))
                connection.commit()
                getattr(command, direction)(config, target)
                connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
                connection.commit()
            case unreachable:
                assert_never(unreachable)


def _migration_engine(database: Database) -> Engine:
    """On SQLite a connection with foreign keys off: a table that is copied and dropped would delete its children."""
    engine = raw_engine(database)
    if database.kind is EngineKind.POSTGRES:
        return engine
    own = create_engine(engine.url, poolclass=NullPool, connect_args={"timeout": 30, "isolation_level": None})
    # The driver would leave statements that make tables outside of transactions.
    event.listen(own, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return own
