"""The API's four ways to page, all accepted on every list: limit/after, page/page_size, page/pageSize."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quintet.dialects.kit.call import Call
from quintet.domain.errors import Invalid
from quintet.domain.ids import Id, parse_id

MOST = 1_000
"""The longest page."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """`limit` items after the id `after`, or from `offset` on."""

    limit: int
    offset: int = 0
    after: Id | None = None


def wanted_page(call: Call, default: int = 10) -> Wanted:
    """What the query asks for; Invalid names the field."""
    # What was sent, not the contract's defaults: a default `limit` would hide a `page_size` that was asked for.
    given = dict(call.request.query_params)
    size_name = next((n for n in ("limit", "page_size", "pageSize") if n in given), "limit")
    limit = _whole(given.get(size_name, default), size_name, 1)
    page = _whole(given.get("page", 1), "page", 1)
    after = given.get("after")
    cursor = parse_id(str(after)) if after else None
    if after and cursor is None:
        raise Invalid("'after' is not an id of this server", field="after")
    return Wanted(min(limit, MOST), (page - 1) * min(limit, MOST), cursor)


def _whole(value: object, name: str, least: int) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = least - 1
    if number < least:
        raise Invalid(f"'{name}' must be a whole number of at least {least}", field=name)
    return number


def envelope(items: Sequence[Any], total: int, wanted: Wanted, has_more: bool | None = None) -> dict[str, Any]:
    """`count` is how many there are in all."""
    more = wanted.offset + len(items) < total if has_more is None else has_more
    return {"count": total, "data": list(items), "has_more": more}


def cut(items: Sequence[Any], ids: Sequence[str], wanted: Wanted) -> dict[str, Any]:
    """The page of a list that is in memory; `ids` are its items' ids, in the same order."""
    start = wanted.offset
    if wanted.after is not None:
        if wanted.after not in ids:
            raise Invalid("'after' is not an id of this list", field="after")
        start = list(ids).index(wanted.after) + 1
    page = items[start : start + wanted.limit]
    return envelope(page, len(items), wanted, has_more=start + len(page) < len(items))
