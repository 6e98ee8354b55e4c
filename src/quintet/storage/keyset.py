"""Pages by keyset: the next page starts after the last row of this one, so its cost does not grow with depth.

The sort key is one column that is never NULL, and the id to make it unique; a cursor holds both values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, func, select, tuple_

from quintet.domain.errors import Invalid
from quintet.domain.page import Page, PageRequest, decode_cursor, encode_cursor
from quintet.storage.tx import ReadTx

T = TypeVar("T")


def fetch_page(
    tx: ReadTx,
    query: Select[Any],
    order: ColumnElement[Any],
    ident: ColumnElement[Any],
    load: Callable[[Mapping[str, Any]], T],
    request: PageRequest,
    *,
    descending: bool = False,
    count: bool = False,
) -> Page[T]:
    """One page of `query`, which must select the columns `order` and `ident` under their own names.

    With `count` the page says how many rows the query has in all. Invalid where the cursor is of another list.
    """
    cursor = request.after or request.before
    backwards = request.before is not None
    key = tuple_(order, ident)
    wanted = query
    if cursor is not None:
        last = _position(cursor, order)
        wanted = query.where(key > last if descending == backwards else key < last)
    downwards = descending != backwards
    sort = (order.desc(), ident.desc()) if downwards else (order.asc(), ident.asc())
    rows = list(tx.all(wanted.order_by(*sort).offset(request.offset).limit(request.limit + 1)))
    more = len(rows) > request.limit
    rows = rows[: request.limit]
    if backwards:
        rows.reverse()
    has_next = bool(rows) if backwards else more
    return Page(
        [load(row) for row in rows],
        next_cursor=encode_cursor(rows[-1][_name(order)], rows[-1][_name(ident)]) if has_next else None,
        has_previous=more if backwards else cursor is not None or request.offset > 0,
        total=int(tx.scalar(select(func.count()).select_from(query.subquery()))) if count else None,
    )


def _position(cursor: str, order: ColumnElement[Any]) -> Any:
    value, ident = decode_cursor(cursor, 2)
    if not isinstance(ident, str) or not isinstance(value, order.type.python_type):
        raise Invalid("the cursor is of a list in another order", field="cursor")
    return tuple_(value, ident)


def _name(column: ColumnElement[Any]) -> str:
    return str(column.key)
