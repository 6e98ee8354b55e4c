"""Dotted paths into documents, and the projections that `only_fields` asks for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from copy import copy
from typing import Any
from urllib.parse import unquote

from quintet.domain.errors import Invalid

Document = dict[str, Any]

NEVER_MISSING = {"runtime": dict, "execution": dict, "hyperparams": dict, "configuration": dict, "last_metrics": dict}
"""Objects that stay in a projection even where nothing that was asked for is in them: clients read through them."""


class Projection:
    """Which fields of a document an answer carries; `id` always."""

    def __init__(self, only_fields: Sequence[str] | None, known: Collection[str]) -> None:
        """Invalid (14) for a field that documents of this kind do not have. `known` are names at the top."""
        given = [f for f in only_fields or () if f]
        self._paths = [split_path(f) for f in given if not f.startswith("-")]
        self._without = [split_path(f[1:]) for f in given if f.startswith("-")]
        for path in (*self._paths, *self._without):
            if path[0] not in known:
                raise Invalid(f"there is no field '{path[0]}'", field="only_fields", subcode=14)
        self.heads = {p[0] for p in self._paths} or set(known)
        self.heads -= {p[0] for p in self._without if len(p) == 1}

    def wants(self, *path: str) -> bool:
        """Whether anything at or below `path` is asked for."""
        if path[0] not in self.heads:
            return False
        return not self._paths or any(p[: len(path)] == path[: len(p)] for p in self._paths if p)

    def apply(self, document: Document) -> Document:
        """The part of the document that was asked for."""
        out = document if not self._paths else self._chosen(document)
        for path in self._without:
            out = _without(out, path)
        return out

    def _chosen(self, document: Document) -> Document:
        out: Document = {"id": document["id"]}
        for path in self._paths:
            place, source = out, document
            for depth, step in enumerate(path):
                if depth == 0 and step in NEVER_MISSING and len(path) > 1:
                    source = {step: source.get(step) or NEVER_MISSING[step](), **source}
                if not isinstance(source, Mapping) or step not in source:
                    break
                if depth == len(path) - 1:
                    place[step] = source[step]
                    break
                source = source[step]
                if isinstance(source, list):
                    # Below a list the whole list is given: its items have no names to choose by.
                    place[step] = source
                    break
                place = place.setdefault(step, {})
        return out


def split_path(text: str) -> tuple[str, ...]:
    """The steps of a dotted path; `%2E` is a dot inside a step."""
    return tuple(unquote(step) if "%" in step else step for step in text.split("."))


def dig(document: Any, path: Sequence[str]) -> Any:
    """The value at a path, None where there is none; on the way through a list the values of all its items."""
    for depth, step in enumerate(path):
        if isinstance(document, list):
            return [v for item in document if (v := dig(item, path[depth:])) is not None]
        if not isinstance(document, Mapping):
            return None
        document = document.get(step)
    return document


def _without(document: Document, path: Sequence[str]) -> Document:
    if path[0] not in document:
        return document
    out = copy(document)
    if len(path) == 1:
        del out[path[0]]
    elif isinstance(out[path[0]], dict):
        out[path[0]] = _without(out[path[0]], path[1:])
    return out
