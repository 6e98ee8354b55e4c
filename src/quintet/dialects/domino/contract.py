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

BESIDE = (
    "GET /version",
    "GET /v4/projects/{projectId}/billingtag",
    "POST /v4/projects/{projectId}/billingtag",
    "DELETE /v4/projects/{projectId}/billingtag",
    "GET /v4/cost/billingtagSettings/mode",
    "GET /v4/projects/billingtags/projects",
    "POST /v4/projects/billingtags/projects",
    "GET /v4/gateway/projects",
    "GET /v4/gateway/projects/findProjectByOwnerAndName",
    "GET /v4/users",
    "GET /v4/jobs",
    "GET /v4/jobs/{jobId}",
    "POST /v4/jobs/start",
    "POST /v4/jobs/stop",
    "GET /api/2.0/endpoints",
    "GET /api/2.0/endpoints/{name}",
    "POST /endpoints/{name}/invocations",
)
"""A legacy Domino route, or one of MLflow's gateway, as "METHOD path"."""

GATEWAY_PREFIX = "/mlflow-deployments"
"""Where Domino mounts MLflow's gateway; its routes are at the root too."""

LEGACY_COST = "/v4/cost"
"""Older clients reach the billing tags below this instead of `/api/cost/v1`."""


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
def beside() -> tuple[Operation, ...]:
    """Routes that clients call and the document leaves out; ids are "METHOD path"."""
    return tuple(_beside(line) for line in BESIDE)


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


def _beside(line: str) -> Operation:
    method, _, path = line.partition(" ")
    gateway = "endpoints" in path
    return Operation(line, method, path, aliases=((method, GATEWAY_PREFIX + path),) if gateway else ())


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
