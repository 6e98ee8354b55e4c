"""The only place that knows which database it is: the few statements that the two spell differently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, assert_never

from sqlalchemy import ColumnElement, Select, String, Table, cast, exists, func, select
from sqlalchemy import text as sql_text
from sqlalchemy.dialects import postgresql, sqlite

from quintet.storage.tx import EngineKind, ReadTx, WriteTx


def upsert(
    tx: WriteTx,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    keys: Sequence[str],
    update: Sequence[str] | None = None,
    add: Sequence[str] = (),
) -> None:
    """Inserts rows, or on the same `keys` sets `update` (all others by default) and adds up `add`.

    Duplicates within `rows` are the caller's to merge: PostgreSQL refuses to touch a row twice in a statement.
    """
    if not rows:
        return
    names = tuple(rows[0])
    chosen = tuple(n for n in names if n not in keys and n not in add) if update is None else tuple(update)
    tx.execute(_upsert(tx.kind, table, tuple(keys), chosen, tuple(add)), [dict(r) for r in rows])


@lru_cache(maxsize=256)
def _upsert(kind: EngineKind, table: Table, keys: tuple[str, ...], update: tuple[str, ...], add: tuple[str, ...]) -> Any:
    """Built once: making the statement costs more than running it, and the path of every model call runs one."""
    statement: Any
    match kind:
        case EngineKind.SQLITE:
            statement = sqlite.insert(table)
        case EngineKind.POSTGRES:
            statement = postgresql.insert(table)
        case unreachable:
            assert_never(unreachable)
    setters: dict[str, Any] = {n: statement.excluded[n] for n in update}
    setters.update({n: table.c[n] + statement.excluded[n] for n in add})
    if setters:
        return statement.on_conflict_do_update(index_elements=list(keys), set_=setters)
    return statement.on_conflict_do_nothing(index_elements=list(keys))


def skip_locked(query: Select[Any], kind: EngineKind, of: Table | None = None) -> Select[Any]:
    """Locks the chosen rows (of a join, those of the table `of`) and passes over what another transaction holds."""
    match kind:
        case EngineKind.SQLITE:
            return query  # single writer: nothing to skip
        case EngineKind.POSTGRES:
            return query.with_for_update(skip_locked=True, of=of)
        case unreachable:
            assert_never(unreachable)


def for_update(query: Select[Any], kind: EngineKind) -> Select[Any]:
    """Holds the chosen rows until the transaction ends, so that what was decided on them still holds."""
    match kind:
        case EngineKind.SQLITE:
            return query  # a write transaction holds the whole database already
        case EngineKind.POSTGRES:
            return query.with_for_update()
        case unreachable:
            assert_never(unreachable)


def json_text(tx: ReadTx, column: ColumnElement[Any], *path: str) -> ColumnElement[str | None]:
    """The value at `path` of a JSON column, as text (NULL where there is none)."""
    match tx.kind:
        case EngineKind.SQLITE:
            quoted = "$" + "".join('."' + p.replace('"', '\\"') + '"' for p in path)
            return cast(func.json_extract(column, quoted), String)
        case EngineKind.POSTGRES:
            return func.json_extract_path_text(column, *path)
        case unreachable:
            assert_never(unreachable)


def json_has(tx: ReadTx, column: ColumnElement[Any], value: str) -> ColumnElement[bool]:
    """Whether a JSON array column holds the string `value`."""
    match tx.kind:
        case EngineKind.SQLITE:
            found = func.json_each(column).table_valued("value", name=f"each_{abs(hash((str(column), value)))}")
            return exists(select(1).select_from(found).where(found.c.value == value))
        case EngineKind.POSTGRES:
            return cast(column, postgresql.JSONB).op("?")(value)
        case unreachable:
            assert_never(unreachable)


def fulltext(tx: ReadTx, words: str) -> ColumnElement[bool]:
    """Whether an interaction's text holds all of `words` (any text: it is quoted, never parsed as a query)."""
    match tx.kind:
        case EngineKind.SQLITE:
            clause = "interactions.seq IN (SELECT rowid FROM interactions_fts WHERE interactions_fts MATCH :words)"
        case EngineKind.POSTGRES:
            clause = "interactions.search @@ plainto_tsquery('simple', :words)"
        case unreachable:
            assert_never(unreachable)
    return sql_text(clause).bindparams(words=_fulltext_query(tx, words))  # type: ignore[return-value]


def fulltext_rows(tx: ReadTx, words: str, most: int) -> list[int] | None:
    """The row numbers of interactions with all of `words`, of every space; None where there are more than `most`."""
    match tx.kind:
        case EngineKind.SQLITE:
            clause = "SELECT rowid FROM interactions_fts WHERE interactions_fts MATCH :words LIMIT :most"
        case EngineKind.POSTGRES:
            clause = "SELECT seq FROM interactions WHERE search @@ plainto_tsquery('simple', :words) LIMIT :most"
        case unreachable:
            assert_never(unreachable)
    given = {"words": _fulltext_query(tx, words), "most": most + 1}
    found = [int(row[0]) for row in tx.execute(sql_text(clause), given)]
    return found if len(found) <= most else None


def _fulltext_query(tx: ReadTx, words: str) -> str:
    terms = "".join(c if c.isalnum() else " " for c in words).split()
    match tx.kind:
        case EngineKind.SQLITE:
            return " ".join(f'"{t}"' for t in terms) or '""'
        case EngineKind.POSTGRES:
            return " ".join(terms)
        case unreachable:
            assert_never(unreachable)


def extra_ddl(kind: EngineKind) -> list[str]:
    """What `tables.py` cannot say: the full-text index over interactions."""
    match kind:
        case EngineKind.SQLITE:
            return [
                "CREATE VIRTUAL TABLE interactions_fts USING fts5("
                "body, content='', tokenize='unicode61')",
                "CREATE TRIGGER interactions_fts_insert AFTER INSERT ON interactions BEGIN "
                "INSERT INTO interactions_fts(rowid, body) VALUES (new.seq, new.messages || ' ' || new.completion); END",
                "CREATE TRIGGER interactions_fts_delete AFTER DELETE ON interactions BEGIN "
                # An index without content forgets a row when it is told the row's text again: SQLite before 3.43,
                # which current distributions ship, knows no other way.
                "INSERT INTO interactions_fts(interactions_fts, rowid, body) "
                "VALUES ('delete', old.seq, old.messages || ' ' || old.completion); END",
            ]
        case EngineKind.POSTGRES:
            return [
                "ALTER TABLE interactions ADD COLUMN search tsvector GENERATED ALWAYS AS "
                "(to_tsvector('simple', left(messages::text || ' ' || completion, 500000))) STORED",
                "CREATE INDEX ix_interactions_search ON interactions USING gin (search)",
            ]
        case unreachable:
            assert_never(unreachable)


def json_path(tx: ReadTx, column: ColumnElement[Any], *path: str) -> ColumnElement[Any]:
    """The JSON value at `path` of a JSON column, still JSON."""
    match tx.kind:
        case EngineKind.SQLITE:
            return func.json_extract(column, "$" + "".join('."' + p.replace('"', '\\"') + '"' for p in path))
        case EngineKind.POSTGRES:
            return func.json_extract_path(column, *path)
        case unreachable:
            assert_never(unreachable)
