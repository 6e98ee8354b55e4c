"""Pages: keyset cursors for lists that grow, offsets only where a dialect's contract has them."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from quintet.domain.errors import Invalid

T = TypeVar("T")

MAX_PAGE = 1_000
"""The most items one page may hold: bounds the memory of a request; every contract's own cap is below it."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items and where the next ones begin. `total` is None where counting would need a scan."""

    items: Sequence[T]
    next_cursor: str | None = None
    has_previous: bool = False
    total: int | None = None


@dataclass(frozen=True, slots=True)
class PageRequest:
    """How many items, and after or before which cursor (at most one of the two)."""

    limit: int = 50
    after: str | None = None
    before: str | None = None
    offset: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MAX_PAGE:
            raise Invalid(f"a page holds 1 to {MAX_PAGE} items, not {self.limit}", field="limit")
        if self.offset < 0:
            raise Invalid("an offset is never negative", field="offset")
        if self.after and self.before:
            raise Invalid("give one of 'after' and 'before', not both", field="after")


def encode_cursor(*values: str | int | float | None) -> str:
    """An opaque cursor over the values of the sort key, the id last."""
    return base64.urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, length: int) -> list[str | int | float | None]:
    """The values in a cursor; Invalid where it was not made by `encode_cursor` with that many values."""
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, UnicodeDecodeError) as error:
        raise Invalid("the cursor is not one that this server gave", field="cursor") from error
    scalars = (str, int, float, type(None))
    if not isinstance(values, list) or len(values) != length or not all(isinstance(v, scalars) for v in values):
        raise Invalid("the cursor is not one that this server gave", field="cursor")
    return values
