"""ClearML's spelling of ids: 32 hex digits, of which the last eight tell the kind and prove that we made it."""

from __future__ import annotations

from collections.abc import Iterable

from quintet.domain.errors import NotFound
from quintet.domain.ids import Id, Kind, from_hex32, to_hex32

NAMES = {
    Kind.RUN: "task",
    Kind.PROJECT: "project",
    Kind.MODEL: "model",
    Kind.QUEUE: "queue",
    Kind.USER: "user",
    Kind.SPACE: "company",
}
"""What the dialect calls each kind in its messages."""


def task_id(ident: Id) -> str:
    return to_hex32(ident, Kind.RUN)


def project_id(ident: Id) -> str:
    return to_hex32(ident, Kind.PROJECT)


def model_id(ident: Id) -> str:
    return to_hex32(ident, Kind.MODEL)


def queue_id(ident: Id) -> str:
    return to_hex32(ident, Kind.QUEUE)


def user_id(ident: Id) -> str:
    return to_hex32(ident, Kind.USER)


def company_id(ident: Id) -> str:
    return to_hex32(ident, Kind.SPACE)


def optional(ident: Id | None, kind: Kind) -> str | None:
    """The spelling of an id that may be missing."""
    return None if ident is None else to_hex32(ident, kind)


def parse(text: str, kind: Kind, field: str = "") -> Id:
    """The id; NotFound where the text is not an id of that kind, which is all that a caller may learn."""
    found = from_hex32(text, kind)
    if found is None:
        name = NAMES[kind]
        raise NotFound(f"{name} '{text[:100]}' was not found", field=field or name, kind=name, id=text[:100])
    return found


def parse_optional(text: str | None, kind: Kind, field: str = "") -> Id | None:
    """As `parse`; None for null and for the empty string, with which clients clear a reference."""
    return parse(text, kind, field) if text else None


def known(texts: Iterable[str], kind: Kind) -> tuple[Id, ...]:
    """The ids among the texts, for filters: what is no id of that kind matches nothing and is left out."""
    return tuple(dict.fromkeys(i for i in (from_hex32(text, kind) for text in texts) if i is not None))
