"""Writes the first migration, and a dump of the schema for each database, from the tables in the code.

Run by `make schema` while there is no release. The migration it writes stands by itself: it imports nothing of
ours, so that what it makes never changes with the code. After the first release a change of tables is a new
revision written by hand, and only the dumps are made again (`--dumps`).
"""

from __future__ import annotations

import re
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":  # as a script, this file has to find the packages by itself
    sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from quintet.storage import sql  # noqa: E402
from quintet.storage.database import Database, raw_engine  # noqa: E402
from quintet.storage.migrate import upgrade  # noqa: E402
from quintet.storage.tables import BIG, metadata  # noqa: E402
from quintet.storage.tx import EngineKind  # noqa: E402
from tests.support.databases import postgres_binaries, postgres_cluster  # noqa: E402

MIGRATIONS = ROOT / "src" / "quintet" / "storage" / "migrations"
WIDTH = 116

ROOM = 12
"""Tables in one function of the migration: keeps each on a screen."""

UNBROKEN = "\0"
"""Stands for a space inside of an item, where no line should end."""

HEAD = '''"""The first schema: every table, and the full-text index of interactions as each database spells it."""

from typing import Any

from alembic import op
from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, Integer, LargeBinary, String, Text
from sqlalchemy import ForeignKeyConstraint as Foreign
from sqlalchemy import PrimaryKeyConstraint as Primary
from sqlalchemy import UniqueConstraint as Unique

revision = "0001"
down_revision = None

ID = String(24)
ROW = BigInteger().with_variant(Integer(), "sqlite")


def need(name: str, kind: Any = ID, default: str | None = None) -> Column[Any]:
    """A column that always has a value: an id, or what `kind` says."""
    return Column(name, kind, nullable=False, server_default=default)


def at(name: str) -> Column[Any]:
    """A time in microseconds."""
    return need(name, BigInteger())


def count(name: str, default: str = "0") -> Column[Any]:
    return need(name, BigInteger(), default)


def words(name: str, default: str = "") -> Column[Any]:
    return need(name, Text(), default)


def tree(name: str, default: str = "{}") -> Column[Any]:
    return need(name, JSON(), default)


def index(table: str, *columns: str, name: str = "") -> None:
    op.create_index(name or f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def upgrade() -> None:
'''

SHORT: dict[tuple[str, bool], tuple[str, str | None]] = {
    ("ID", True): ("need", None),
    ("BigInteger()", True): ("at", None),
    ("BigInteger()", False): ("count", "0"),
    ("Text()", False): ("words", ""),
    ("JSON()", False): ("tree", "{}"),
}
"""(type, without default): the function in HEAD that makes such a column, and its usual default."""


def migration() -> str:
    """The text of `0001_first.py`."""
    tables = metadata.sorted_tables
    rooms = [tables[i : i + ROOM] for i in range(0, len(tables), ROOM)]
    parts = [HEAD, *(f"    _tables_{n}()\n" for n in range(1, len(rooms) + 1)), "    _search()\n"]
    for number, room in enumerate(rooms, 1):
        parts.append(f"\n\ndef _tables_{number}() -> None:\n")
        parts += [_create(table) for table in room]
    parts += ["\n\ndef _search() -> None:\n", *_search(), "\n\ndef downgrade() -> None:\n"]
    parts.append('    if op.get_bind().dialect.name == "sqlite":\n        op.execute("DROP TABLE interactions_fts")\n')
    names = _wrapped([f'"{table.name}"' for table in reversed(tables)], 8)
    parts.append(f"    for table in (\n{names},\n    ):  # fmt: skip\n        op.drop_table(table)\n")
    return "".join(parts)


def _create(table: Table) -> str:
    pieces = _wrapped([f'"{table.name}"', *(_column(c) for c in table.columns), *_constraints(table)], 8)
    indexes = sorted(table.indexes, key=lambda i: str(i.name))
    return f"    op.create_table(\n{pieces},\n    )  # fmt: skip\n" + "".join(_index(i) for i in indexes)


def _wrapped(items: list[str], indent: int) -> str:
    """Items side by side, broken between two of them where that is possible."""
    pad = " " * indent
    whole = [item.replace(" ", UNBROKEN) if len(item) < WIDTH - indent else item for item in items]
    wrapper = textwrap.TextWrapper(WIDTH, initial_indent=pad, subsequent_indent=pad, break_on_hyphens=False)
    wrapper.break_long_words = False
    lines = wrapper.wrap(", ".join(whole))
    return "\n".join(lines).replace(UNBROKEN, " ")


def _column(column: Column[Any]) -> str:
    kind = _kind(column)
    if column.autoincrement is True:
        return f'Column("{column.name}", {kind}, autoincrement=True, nullable=False)'
    if column.nullable:
        return f'Column("{column.name}", {kind})'
    default = getattr(column.server_default, "arg", None)
    function, usual = SHORT.get((kind, default is None), (f"need {kind}", None))
    function, _, kind = function.partition(" ")
    given = [f'"{column.name}"', *([kind] if kind else []), *([] if default == usual else [_quoted(default)])]
    return f"{function}({', '.join(given)})"


def _kind(column: Column[Any]) -> str:
    kind = column.type
    if kind is BIG:
        return "ROW"
    match kind:
        case Text() | BigInteger() | Boolean() | Float() | JSON() | LargeBinary() | Integer():
            return f"{type(kind).__name__}()"
        case String():
            return "ID" if kind.length == 24 else f"String({kind.length})"
        case _:
            raise LookupError(f"{column}: this script does not know the type {kind!r}")


def _constraints(table: Table) -> Iterator[str]:
    for key in sorted(table.foreign_key_constraints, key=lambda k: k.column_keys):
        rule = f', ondelete="{key.ondelete}"' if key.ondelete else ""
        to = _plain([e.target_fullname for e in key.elements])
        yield f'Foreign([{_plain(key.column_keys)}], [{to}], name="{_name(key)}"{rule})'
    yield f'Primary({_plain(table.primary_key.columns.keys())}, name="{_name(table.primary_key)}")'
    unique = [c for c in table.constraints if isinstance(c, UniqueConstraint)]
    for constraint in sorted(unique, key=_name):
        yield f'Unique({_plain(constraint.columns.keys())}, name="{_name(constraint)}")'


def _name(constraint: Any) -> str:
    """The name that the naming convention gives it."""
    return str(sqlite.dialect().identifier_preparer.format_constraint(constraint)).strip('"')  # type: ignore[no-untyped-call]


def _index(index: Index) -> str:
    table, columns = index.table, [str(c.name) for c in index.columns]
    if index.unique or table is None:
        raise LookupError(f"{index.name}: a unique index is spelt as a constraint here")
    name = "" if index.name == f"ix_{table.name}_{'_'.join(columns)}" else f', name="{index.name}"'
    call = f'    index("{table.name}", {_plain(columns)}{name})\n'
    if len(call) < WIDTH:
        return call
    pieces = _wrapped([f'"{table.name}"', *(f'"{c}"' for c in columns), f'name="{index.name}"'], 8)
    return f"    index(\n{pieces},\n    )  # fmt: skip\n"


def _search() -> Iterator[str]:
    for kind, head in ((EngineKind.SQLITE, 'if op.get_bind().dialect.name == "sqlite"'), (EngineKind.POSTGRES, "else")):
        yield f"    {head}:\n"
        for statement in sql.extra_ddl(kind):
            lines = textwrap.wrap(statement, WIDTH - 20, break_long_words=False, drop_whitespace=False)
            pieces = "".join(f"            {_quoted(line)}\n" for line in lines)
            yield (
                f"        op.execute({pieces.strip()})\n"
                if len(lines) == 1
                else f"        op.execute(\n{pieces}        )\n"
            )


def _quoted(value: object) -> str:
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _plain(names: list[str]) -> str:
    return ", ".join(_quoted(name) for name in names)


# -- dumps --------------------------------------------------------------------------------------------------------

SHADOW = re.compile(r"interactions_fts_(data|idx|docsize|config|content)|sqlite_.*")


def sqlite_dump(connection: Connection) -> str:
    """Every statement that SQLite keeps of its schema; the shadow tables of the text index are its own affair."""
    kept = text("SELECT name, tbl_name, sql FROM sqlite_master WHERE sql != '' ORDER BY tbl_name, type DESC, name")
    found = connection.execute(kept).all()
    return _joined([s for name, table, s in found if table != "alembic_version" and not SHADOW.fullmatch(name)])


def postgres_dump(connection: Connection) -> str:
    """Tables and indexes as PostgreSQL describes them, in the words of SQLAlchemy (pg_dump's differ by version)."""
    found = MetaData()
    found.reflect(connection)
    statements = []
    for table in sorted(found.tables.values(), key=lambda t: t.name):
        if table.name != "alembic_version":
            statements.append(str(CreateTable(table).compile(connection)))
            indexes = sorted(table.indexes, key=lambda i: str(i.name))
            statements += [str(CreateIndex(i).compile(connection)) for i in indexes]
    # Said by version 15 and later, of what always was so.
    return _joined(statements).replace(" NULLS DISTINCT", "")


def _joined(statements: list[str]) -> str:
    tidy = ("\n".join(line.rstrip().replace("\t", "    ") for line in s.strip().splitlines()) for s in statements)
    return "".join(f"{statement};\n\n" for statement in tidy).rstrip() + "\n"


def dump(database: Database) -> str:
    """The schema of an open database as SQL."""
    with raw_engine(database).connect() as connection:
        return sqlite_dump(connection) if database.kind is EngineKind.SQLITE else postgres_dump(connection)


def write_dumps() -> None:
    """Migrates an empty database of each kind and writes down what came out."""
    with tempfile.TemporaryDirectory() as folder:
        _write_dump(f"sqlite:///{folder}/quintet.db", "schema.sqlite.sql")
    binaries = postgres_binaries()
    if binaries is None:
        raise SystemExit("PostgreSQL is not installed, so its dump was not made")
    with postgres_cluster(binaries) as cluster:
        _write_dump(cluster.clone(empty=True), "schema.postgres.sql")


def _write_dump(url: str, name: str) -> None:
    database = Database(url)
    try:
        upgrade(database)
        (MIGRATIONS / name).write_text(dump(database))
    finally:
        database.close()


def main() -> None:
    if "--dumps" not in sys.argv:
        (MIGRATIONS / "versions" / "0001_first.py").write_text(migration())
    write_dumps()


if __name__ == "__main__":
    main()
