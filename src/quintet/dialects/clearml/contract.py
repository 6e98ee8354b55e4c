"""The endpoints of the ClearML contract, read from its table."""

from __future__ import annotations

from functools import cache
from typing import cast

from quintet.dialects.kit.contracts import read_text
from quintet.dialects.kit.rpc import AuthMode, Endpoint

NEWEST = "2.34"
"""The version of the contract, which unversioned paths mean."""

_AUTH_MODES = ("required", "none", "optional")


@cache
def endpoints() -> tuple[Endpoint, ...]:
    """All endpoints, in the order of the table."""
    header, *rows = read_text("clearml", "endpoints.tsv").splitlines()
    names = header.split("\t")
    return tuple(_endpoint(dict(zip(names, row.split("\t"), strict=True))) for row in rows if row)


def _endpoint(row: dict[str, str]) -> Endpoint:
    if row["auth"] not in _AUTH_MODES:
        raise ValueError(f"{row['endpoint']}: unknown auth mode {row['auth']}")
    return Endpoint(
        name=row["endpoint"],
        versions=tuple(row["versions"].split(",")),
        auth=cast(AuthMode, row["auth"]),
        roles=() if row["roles"] == "*" else tuple(row["roles"].split(",")),
        required=tuple(name for name in row["required_fields"].split(",") if name),
        request=_fields(row["request_fields"]),
        response=_fields(row["response_fields"]),
    )


def _fields(text: str) -> dict[str, str]:
    """`name:type; name:type` as a mapping; a type that stands alone, for a whole body, has the name ""."""
    fields: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, colon, kind = part.partition(":")
        fields[name.strip() if colon else ""] = (kind if colon else name).strip()
    return fields
