"""The operations of the Inference API contract, served under one prefix so that they collide with nothing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from quintet.dialects.kit.contracts import read_json
from quintet.dialects.kit.query import Param
from quintet.dialects.kit.rest import Operation, RestContract

PREFIX = "/inference"
"""Stands before the contract's own base path."""


@cache
def rest() -> RestContract:
    """All operations; ids are "METHOD path" with the path relative to the base, e.g. "POST /chats"."""
    document = read_json("inference", "inference.json")
    base, enums = PREFIX + document["base_path"], document["enums"]
    return RestContract(_operation(entry, base, enums) for entry in document["operations"])


@cache
def objects() -> Mapping[str, Mapping[str, Any]]:
    """The contract's objects by name, as it describes them."""
    described: Mapping[str, Mapping[str, Any]] = read_json("inference", "inference.json")["objects"]
    return described


def _operation(entry: Mapping[str, Any], base: str, enums: Mapping[str, Any]) -> Operation:
    fields = (entry["body"] or {}).get("fields", {})
    return Operation(
        id=f"{entry['method']} {entry['path']}",
        method=entry["method"],
        path=base + entry["path"],
        summary=entry["tag"],
        query=tuple(_param(param, enums) for param in entry["query"]),
        body_required=any(described.get("required") for described in fields.values()),
        aliases=tuple(_alias(alias, base) for alias in entry["aliases"]),
    )


def _alias(alias: str, base: str) -> tuple[str, str]:
    method, _, path = alias.partition(" ")
    return method, base + path


def _param(param: Mapping[str, Any], enums: Mapping[str, Any]) -> Param:
    kind = param["type"]
    enum = param.get("enum") or ()
    if isinstance(enum, str):
        named = enums[enum]
        enum = named["values"] if isinstance(named, dict) else named
    return Param(
        name=param["name"],
        required=bool(param.get("required")),
        type=kind.removesuffix("[]"),
        default=param.get("default"),
        array=kind.endswith("[]"),
        enum=tuple(enum),
    )
