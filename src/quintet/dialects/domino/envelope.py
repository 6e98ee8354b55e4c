"""What every answer of this dialect is wrapped in, how its lists are paged, and how its words are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from quintet.dialects.kit.call import Call
from quintet.dialects.kit.times import to_rfc3339
from quintet.domain.errors import Invalid, NotFound
from quintet.domain.ids import Id, parse_id
from quintet.domain.page import MAX_PAGE, PageRequest

V = TypeVar("V")
JsonObject = dict[str, Any]


class Body(msgspec.Struct, rename="camel", kw_only=True):
    """A body of a request: its fields are in camel case on the wire."""


def metadata(call: Call, pagination: Mapping[str, Any] | None = None) -> JsonObject:
    """MetadataV1, with pagination where the answer is a page."""
    shown: JsonObject = {"requestId": call.request_id, "notices": []}
    if pagination is not None:
        shown["pagination"] = dict(pagination)
    return shown


def enveloped(call: Call, **fields: Any) -> JsonObject:
    return {**fields, "metadata": metadata(call)}


def wanted_page(call: Call, default: int = 10) -> PageRequest:
    """`offset` and `limit` of the query; more than a page can hold is cut to a page."""
    limit, offset = call.query.get("limit"), call.query.get("offset")
    limit = default if limit is None else limit
    if limit < 1:
        raise Invalid("expected a number of at least 1", field="limit")
    return PageRequest(limit=min(limit, MAX_PAGE), offset=offset or 0)


def paged(call: Call, name: str, items: Sequence[Any], total: int, page: PageRequest) -> JsonObject:
    """One page of a list under `name`."""
    about = {"offset": page.offset, "limit": page.limit, "totalCount": total}
    return {name: list(items), "metadata": metadata(call, about)}


def cut(items: Sequence[V], page: PageRequest) -> Sequence[V]:
    """The page of a list that is in memory."""
    return items[page.offset : page.offset + page.limit]


def when(us: int | None) -> str | None:
    return None if us is None else to_rfc3339(us)


def chosen(text: str, choices: Mapping[str, V], field: str) -> V:
    """The choice that `text` names, in any case and with or without `_`, `-` and blanks."""
    wanted = _plain(text)
    for name, value in choices.items():
        if _plain(name) == wanted:
            return value
    raise Invalid(f"expected one of {', '.join(choices)}", field=field)


def choices(names: Iterable[str]) -> dict[str, str]:
    return {name: name for name in names}


def _plain(text: str) -> str:
    return "".join(c for c in text.casefold() if c not in "_- ")


def own_id(text: str, kind: str) -> Id:
    """An id as this API spells it; NotFound for what cannot be one."""
    found = parse_id(text)
    if found is None:
        raise NotFound.of(kind, text)
    return found


def path_id(call: Call, name: str, kind: str) -> Id:
    return own_id(call.path[name], kind)
