"""The operations of the Domino contract, and those of MLflow, which Domino leaves its clients to call."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from quintet.dialects.kit.contracts import read_json
from quintet.dialects.kit.query import Param, parse_bool
from quintet.dialects.kit.rest import Operation, RestContract

MLFLOW_PREFIXES = ("", "/mlflow")
"""Where MLflow's routes are mounted: at the root, and under the prefix of Domino's AI gateway."""


@cache
def rest() -> RestContract:
    """The documented operations; ids are "METHOD path" as the document writes it."""
    return RestContract(_operation(entry) for entry in read_json("domino", "domino.json")["endpoints"])


@cache
def model_serving() -> RestContract:
    """Model APIs, deployments and deployment targets, which the document leaves out and clients know."""
    return RestContract(
        Operation(
            id=f"{entry['method']} {entry['path']}",
            method=entry["method"],
            path=entry["path"],
            summary=entry["tag"],
            query=tuple(
                Param(name, type="integer" if name in ("offset", "limit") else "string") for name in entry["query"]
            ),
            body_required="body" in entry,
        )
        for entry in read_json("domino", "domino.json")["hidden_group_endpoints"]
    )


@cache
def mlflow() -> RestContract:
    """MLflow's endpoints; ids are "METHOD /api/<version><path>", every mirror of it is an alias."""
    document = read_json("domino", "mlflow-endpoints.json")
    return RestContract(_mlflow_operation(entry) for entry in document["endpoints"])


@cache
def models() -> Mapping[str, Mapping[str, Any]]:
    """The contract's models by name, as it describes them."""
    return {model["name"]: model for model in read_json("domino", "domino.json")["models"]}


def _operation(entry: Mapping[str, Any]) -> Operation:
    return Operation(
        id=f"{entry['method']} {entry['path']}",
        method=entry["method"],
        # The rest of a file's path; clients send its slashes both raw and encoded.
        path=entry["path"].replace("{path}", "{path:path}"),
        summary=entry["tag"],
        query=tuple(_param(param) for param in entry["params"] if param["in"] == "query"),
        body_required=entry["body"] is not None,
    )


def _param(param: Mapping[str, Any]) -> Param:
    array = param["type"] == "array"
    kind = "string" if array else param["type"]
    default: object = param.get("default")
    if isinstance(default, str) and kind == "integer":
        default = int(default)
    if isinstance(default, str) and kind == "boolean":
        default = parse_bool(default, param["name"])
    return Param(param["name"], param["required"], kind, default, array)


def _mlflow_operation(entry: Mapping[str, Any]) -> Operation:
    method, path = entry["method"], entry["path"]
    pattern = path.replace("<path:artifact_path>", "{artifact_path:path}")
    version = entry["api_version"]
    places = [f"{prefix}/{root}/{version}{pattern}" for prefix in MLFLOW_PREFIXES for root in ("api", "ajax-api")]
    return Operation(
        id=f"{method} /api/{version}{path}",
        method=method,
        path=places[0],
        summary=entry["rpc"],
        aliases=tuple((method, place) for place in places[1:]),
    )
