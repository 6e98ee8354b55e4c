"""Transactions as types: a function that takes a `ReadTx` cannot write, and mypy says so.

A `WriteTx` is a `ReadTx`; the reverse is an error. Nobody commits but the runner in `database.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import Connection, Executable
from sqlalchemy.exc import IntegrityError

from quintet.domain.errors import Conflict


class EngineKind(StrEnum):
    """Which database it is. Only `sql.py` and `database.py` look at this."""

    SQLITE = "sqlite"
    POSTGRES = "postgres"


Rows = Sequence[Mapping[str, Any]]


class ReadTx:
    """One consistent view of the database."""

    __slots__ = ("connection", "kind")

    def __init__(self, connection: Connection, kind: EngineKind) -> None:
        self.connection = connection
        self.kind = kind

    def execute(self, statement: Executable, parameters: Any = None) -> Any:
        """Runs a statement; a broken uniqueness or reference becomes Conflict, here and nowhere else."""
        try:
            return self.connection.execute(statement, parameters)
        except IntegrityError as error:
            raise Conflict("something with this name or id is there already, or what it refers to is not") from error

    def one(self, statement: Executable, parameters: Any = None) -> Mapping[str, Any] | None:
        """The first row as a mapping, or None."""
        return cast("Mapping[str, Any] | None", self.execute(statement, parameters).mappings().first())

    def all(self, statement: Executable, parameters: Any = None) -> Rows:
        return cast("Rows", self.execute(statement, parameters).mappings().all())

    def scalar(self, statement: Executable, parameters: Any = None) -> Any:
        return self.execute(statement, parameters).scalar()


class WriteTx(ReadTx):
    """A view that may change things; its changes are seen by others after the commit."""

    __slots__ = ()

    def write(self, statement: Executable, parameters: Any = None) -> int:
        """Runs a statement that changes rows and says how many it changed."""
        return int(self.execute(statement, parameters).rowcount)
