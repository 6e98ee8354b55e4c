"""Relay connections over the core's keyset pages: first/after forwards, last/before backwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from quintet.domain.errors import Invalid
from quintet.domain.page import MAX_PAGE, Page, PageRequest

T = TypeVar("T")

DEFAULT_SIZE = 50
"""What a page holds where nobody says; the contract does not."""


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a list that is asked for. `flipped` means: counted from the end of the list.

    `size` 0 asks for no items, only for what is known of the whole.
    """

    size: int
    after: str | None
    before: str | None
    flipped: bool

    def request(self) -> PageRequest:
        return PageRequest(limit=max(self.size, 1), after=self.after, before=self.before)


def window(page: Mapping[str, Any]) -> Window:
    """The arguments of a connection. Invalid for negative or too large sizes, and for both directions at once."""
    first, last = _size(page, "first"), _size(page, "last")
    after, before = page.get("after") or None, page.get("before") or None
    if first is not None and last is not None:
        raise Invalid("give one of 'first' and 'last', not both", field="page")
    if after is not None and before is not None:
        raise Invalid("give one of 'after' and 'before', not both", field="page")
    if last is not None and after is not None:
        raise Invalid("'after' goes with 'first', 'before' with 'last'", field="page")
    if before is not None and first is not None:
        raise Invalid("'after' goes with 'first', 'before' with 'last'", field="page")
    size = first if first is not None else last if last is not None else DEFAULT_SIZE
    return Window(size, after, before, flipped=last is not None and before is None)


def _size(page: Mapping[str, Any], name: str) -> int | None:
    value = page.get(name)
    if value is None:
        return None
    if value < 0:
        raise Invalid(f'The "{name}" parameter must be a non-negative number', field=name)
    if value > MAX_PAGE:
        raise Invalid(f"a page holds at most {MAX_PAGE} items", field=name)
    return int(value)


class Connection(Generic[T]):
    """One page as GraphQL shows it: `edges`, `nodes` and `pageInfo`."""

    def __init__(self, page: Page[T], asked: Window, node: Callable[[T], Any], cursor: Callable[[T], str]) -> None:
        items: Sequence[T] = page.items if asked.size else ()
        ordered = list(reversed(items)) if asked.flipped else list(items)
        self.nodes = [node(item) for item in ordered]
        cursors = [cursor(item) for item in ordered]
        self.edges = [{"node": n, "cursor": c} for n, c in zip(self.nodes, cursors, strict=True)]
        more = page.next_cursor is not None
        self.pageInfo = {
            "hasNextPage": False if asked.flipped else more,
            "hasPreviousPage": more if asked.flipped else page.has_previous,
            "startCursor": cursors[0] if cursors else None,
            "endCursor": cursors[-1] if cursors else None,
        }


def first_order(
    order: Sequence[Mapping[str, Any]], fields: Sequence[str], default: tuple[str, bool]
) -> tuple[str, bool]:
    """(field, descending) of the first pair; Invalid for a field that the list cannot be sorted by."""
    if not order:
        return default
    name = str(order[0]["field"])
    if name not in fields:
        raise Invalid(f"the list is sorted by one of: {', '.join(fields)}", field="order")
    return name, order[0]["order"] == "DESC"
