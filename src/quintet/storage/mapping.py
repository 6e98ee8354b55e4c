"""Rows to dataclasses and back, typed and explicit where it matters: enums and tuples.

One small mapper per table, made once: a field of the dataclass with the name of a column takes its value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from enum import Enum
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from sqlalchemy import Table

T = TypeVar("T")


class Mapper(Generic[T]):
    """Turns rows of `table` into `type_` and back. A field without a column is left at its default."""

    def __init__(self, type_: type[T], table: Table) -> None:
        self.type = type_
        self.table = table
        hints = get_type_hints(type_)
        names = [f.name for f in fields(type_) if f.name in table.c]  # type: ignore[arg-type]
        self._plain = [n for n in names if _reader(hints[n]) is None]
        self._read = [(n, r) for n in names if (r := _reader(hints[n])) is not None]
        self._names = names

    def load(self, row: Mapping[str, Any]) -> T:
        values = {n: row[n] for n in self._plain}
        for name, read in self._read:
            value = row[name]
            values[name] = None if value is None else read(value)
        return self.type(**values)

    def dump(self, item: T) -> dict[str, Any]:
        """A row: enums as their value, tuples and sets as lists."""
        return {n: _plain(getattr(item, n)) for n in self._names}


def _reader(hint: Any) -> Callable[[Any], Any] | None:
    """How a stored value becomes a field of this type; None where it already is one."""
    for option in get_args(hint) if get_origin(hint) is not tuple else ():
        if get_origin(option) is tuple or (isinstance(option, type) and issubclass(option, Enum)):
            hint = option
    if get_origin(hint) is tuple:
        return tuple
    if get_origin(hint) is frozenset:
        inner = get_args(hint)[0]
        return lambda v: frozenset(inner(x) for x in v)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple | frozenset | set):
        return [_plain(v) for v in value]
    return value
