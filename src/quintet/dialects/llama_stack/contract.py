"""The operations of the Llama Stack contract: stable, experimental, and the older paths of both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from quintet.dialects.kit.contracts import read_json
from quintet.dialects.kit.query import Param
from quintet.dialects.kit.rest import Operation, RestContract

SLASHED = frozenset({"dataset_id", "model_id", "scoring_fn_id", "toolgroup_id", "tool_name", "identifier"})
"""Ids that clients choose, may contain slashes, and send unencoded."""

_TYPES = {"limit": "integer", "start_index": "integer", "version": "integer"}
_ARRAYS = frozenset({"include", "turn_ids"})
_LENIENT = frozenset({"after", "include", "limit", "order"})
"""Paging of conversation items: the document requires it, OpenAI's own clients leave it out."""

_DEPRECATED = ("/v1/openai/v1/", "/v1/")
_SUCCESSORS = {"/v1/openai/v1/": ("/v1/",), "/v1/": ("/v1alpha/", "/v1beta/")}


@cache
def rest() -> RestContract:
    """All operations; ids are "METHOD path" as the document writes it, older paths are aliases."""
    document = read_json("llama_stack", "operations.json")
    entries = [*document["stable"], *document["experimental"]]
    known = {f"{entry['method']} {entry['path']}" for entry in entries}
    aliases: dict[str, list[tuple[str, str]]] = {}
    for entry in document["deprecated_aliases"]:
        ident = _successor(entry["method"], entry["path"], known)
        aliases.setdefault(ident, []).append((entry["method"], _pattern(entry["path"])))
    return RestContract(_operation(entry, tuple(aliases.get(_id(entry), ()))) for entry in entries)


def _id(entry: Mapping[str, Any]) -> str:
    return f"{entry['method']} {entry['path']}"


def _operation(entry: Mapping[str, Any], aliases: tuple[tuple[str, str], ...]) -> Operation:
    body = entry["body"]
    return Operation(
        id=_id(entry),
        method=entry["method"],
        path=_pattern(entry["path"]),
        query=tuple(_param(param) for param in entry["query"]),
        body_required=body is not None and any(name.endswith("*") for name in body.get("fields", ())),
        aliases=aliases,
    )


def _param(param: Mapping[str, Any]) -> Param:
    name = param["name"]
    required = bool(param["required"]) and name not in _LENIENT
    return Param(name, required, _TYPES.get(name, "string"), array=name in _ARRAYS)


def _pattern(path: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: f"{{{found[1]}:path}}" if found[1] in SLASHED else found[0], path)


def _successor(method: str, path: str, known: set[str]) -> str:
    """The id of the operation that a deprecated path stands for; ValueError where the contract has none."""
    for prefix in _DEPRECATED:
        if not path.startswith(prefix):
            continue
        for newer in _SUCCESSORS[prefix]:
            ident = f"{method} {newer}{path.removeprefix(prefix)}"
            if ident in known:
                return ident
    raise ValueError(f"{method} {path} is an alias of nothing")
