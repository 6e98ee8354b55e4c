"""Every dialect as a list of operations that can be called, and its errors as one record.

What is said of all dialects at once (a key is needed, what is not served says so, who may only read changes nothing)
is generated from the contracts through this, so a new operation is tested before anybody writes a test for it.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from graphql import GraphQLNonNull, get_named_type, is_composite_type, is_required_argument
from tests.support.servers import Reply, ServerHandle

from quintet.dialects.adaptive import mount as adaptive_mount
from quintet.dialects.adaptive.binder import GRAPHQL, graph
from quintet.dialects.adaptive.binder import rest as adaptive_rest
from quintet.dialects.clearml import mount as clearml_mount
from quintet.dialects.clearml.binder import rpc
from quintet.dialects.domino import mount as domino_mount
from quintet.dialects.domino.binder import binder as domino_binder
from quintet.dialects.domino.binder import mlflow_binder
from quintet.dialects.inference import mount as inference_mount
from quintet.dialects.inference.binder import binder as inference_binder
from quintet.dialects.kit.rest import Coverage, RestBinder
from quintet.dialects.llama_stack import mount as llama_stack_mount
from quintet.dialects.llama_stack.binder import binder as llama_stack_binder
from quintet.dialects.runner import mount as runner_mount
from quintet.dialects.runner.binder import binder as runner_binder

__all__ = ["COVERAGE", "OPERATIONS", "Connection", "Operation", "Refusal", "refusal", "variables"]

COVERAGE: dict[str, Callable[[], Coverage]] = {
    "adaptive": adaptive_mount.coverage,
    "clearml": rpc.coverage,
    "domino": domino_mount.coverage,
    "llama_stack": llama_stack_binder.coverage,
    "inference": inference_binder.coverage,
}
MOUNTS = (adaptive_mount, clearml_mount, domino_mount, inference_mount, llama_stack_mount, runner_mount)
"""Importing a mount binds its handlers."""

NOWHERE = "zz9"
"""What fills a parameter that nobody cares about; no route has it as a literal."""

_PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")


@dataclass(frozen=True, slots=True)
class Operation:
    """`shape` names how its errors look; `body` is the type that a bound one decodes."""

    dialect: str
    shape: str
    id: str
    method: str
    path: str
    bound: bool
    public: bool = False
    body: Any = None
    document: str = ""
    query: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.dialect}: {self.id}"

    def filled(self, values: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None) -> str:
        """The path with its parameters; those without a value are nowhere."""
        known = values or {}
        path = _PARAMETER.sub(lambda found: known.get(found[1], NOWHERE), self.path)
        return f"{path}?{urlencode(query)}" if query else path


def _rest(dialect: str, shape: str, binder: RestBinder) -> Iterator[Operation]:
    for item in binder.contract.operations.values():
        bound = binder._bound.get(item.id)
        required = tuple(p.name for p in item.query if p.required)
        yield Operation(
            dialect, shape, item.id, item.method, item.path, bound is not None, bound is not None and bound.public,
            bound.body if bound else None, query=required,
        )  # fmt: skip


def _clearml() -> Iterator[Operation]:
    for name, endpoint in rpc.endpoints.items():
        bound = rpc._bound.get(name)
        path = f"/v{rpc.newest}/{name}"
        kind = bound[0].body if bound and bound[0].content == "json" else None
        yield Operation("clearml", "clearml", name, "POST", path, bool(bound), endpoint.auth != "required", kind)


def _graphql() -> Iterator[Operation]:
    """Root fields with their arguments as variables, and of what they answer the type's name."""
    schema = graph.build()
    for verb, root, name in graph._operations():
        field_ = schema.type_map[root].fields[name]  # type: ignore[attr-defined]
        given = {n: a for n, a in field_.args.items() if is_required_argument(a)}
        head = ", ".join(f"${n}: {a.type}" for n, a in given.items())
        passed = ", ".join(f"{n}: ${n}" for n in given)
        below = " { __typename }" if is_composite_type(get_named_type(field_.type)) else ""
        text = f"{verb}{f'({head})' if head else ''} {{ {name}{f'({passed})' if passed else ''}{below} }}"
        bound = (root, name) in graph._bound
        yield Operation("adaptive", "graphql", f"{verb} {name}", "POST", GRAPHQL, bound, document=text, body=given)


OPERATIONS: tuple[Operation, ...] = (
    *_rest("adaptive", "adaptive", adaptive_rest),
    *_graphql(),
    *_clearml(),
    *_rest("domino", "domino", domino_binder),
    *_rest("domino", "mlflow", mlflow_binder),
    *_rest("llama_stack", "llama_stack", llama_stack_binder),
    *_rest("inference", "inference", inference_binder),
    *_rest("runner", "runner", runner_binder),
)


# -- bodies -------------------------------------------------------------------------------------------------------


SCALARS = {
    "Int": 1, "Float": 1.0, "Boolean": True, "JSON": {}, "JsObject": {}, "UUID": "0" * 8 + "-0000" * 3 + "-" + "0" * 12,
}  # fmt: skip


def graphql_value(kind: Any, name: str, known: Mapping[str, Any]) -> Any:
    """A value of an input type: what is known by the field's name, else the least that is valid."""
    if isinstance(kind, GraphQLNonNull):
        kind = kind.of_type
    if isinstance(known.get(name), dict):
        return known[name]
    if hasattr(kind, "of_type"):
        return [graphql_value(kind.of_type, name, known)]
    if hasattr(kind, "fields"):
        one_of = getattr(kind, "is_one_of", False)
        wanted = {n: f for n, f in kind.fields.items() if isinstance(f.type, GraphQLNonNull) or n in known}
        if one_of and not wanted:
            wanted = dict(list(kind.fields.items())[:1])
        return {n: graphql_value(f.type, n, known) for n, f in wanted.items()}
    if name in known:
        return known[name]
    if hasattr(kind, "values"):
        return next(iter(kind.values))
    return SCALARS.get(kind.name, "some-text")


# -- asking -------------------------------------------------------------------------------------------------------


class Connection:
    """One connection that is kept: thousands of requests take seconds that way."""

    def __init__(self, server: ServerHandle) -> None:
        place = urlsplit(server.url)
        self._http = http.client.HTTPConnection(str(place.hostname), place.port, timeout=30)
        self.server = server

    def ask(
        self, method: str, path: str, body: Any = None, *, key: str | None = "", raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:  # fmt: skip
        """As `ServerHandle.call`."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        if key is not None:
            sent.setdefault("Authorization", f"Bearer {key or self.server.key}")
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        self._http.request(method, path, data, sent)
        reply = self._http.getresponse()
        return Reply(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())

    def oversized(self, method: str, path: str, size: int) -> Reply:
        """Announces a body of `size` bytes and sends none."""
        place = urlsplit(self.server.url)
        other = http.client.HTTPConnection(str(place.hostname), place.port, timeout=30)
        other.putrequest(method, path)
        for name, value in (
            ("Authorization", f"Bearer {self.server.key}"), ("Content-Type", "application/json"),
            ("Content-Length", str(size)),
        ):  # fmt: skip
            other.putheader(name, value)
        other.endheaders()
        reply = other.getresponse()
        found = Reply(reply.status, dict(reply.getheaders()), reply.read())
        other.close()
        return found

    def call(self, operation: Operation, key: str | None = "") -> Reply:
        """The operation with nothing in it but what names it."""
        body: Any = None
        if operation.document:
            body = {"query": operation.document, "variables": variables(operation, {})}
        elif operation.method not in ("GET", "DELETE"):
            body = {}
        return self.ask(operation.method, operation.filled(), body, key=key)


def variables(operation: Operation, known: Mapping[str, Any]) -> dict[str, Any]:
    """Values for the arguments of a root field."""
    return {name: graphql_value(argument.type, name, known) for name, argument in operation.body.items()}


# -- errors -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as any dialect says it. `field` is "" where the shape has no place for one but the text."""

    status: int
    text: str
    code: str = ""
    field: str = ""

    def names(self, name: str) -> bool:
        """Whether the refusal says which field is wrong."""
        return self.field == name or (not self.field and name in self.text)


def refusal(shape: str, reply: Reply) -> Refusal:
    """The error of a reply; AssertionError where it does not have the shape of its dialect."""
    assert reply.headers.get("content-type", reply.headers.get("Content-Type")) == "application/json", reply
    body = reply.json
    match shape:
        case "graphql":
            first = body["errors"][0]
            assert set(first) <= {"message", "extensions", "locations", "path"}, body
            about = first["extensions"]
            return Refusal(reply.status, first["message"], about["code"], about.get("field", ""))
        case "adaptive":
            assert set(body) == {"error", "code", "request_id"}, body
            return Refusal(reply.status, body["error"], body["code"])
        case "clearml":
            meta = body["meta"]
            assert body["data"] == {}
            assert meta["result_code"] == reply.status
            return Refusal(
                reply.status, meta["result_msg"], str(meta["result_subcode"]), meta["error_data"].get("field", "")
            )
        case "domino":
            if set(body) == {"message"}:
                return Refusal(reply.status, body["message"])
            assert set(body) == {"requestId", "errors"}, body
            return Refusal(reply.status, body["errors"][0])
        case "mlflow":
            assert set(body) == {"error_code", "message"}, body
            return Refusal(reply.status, body["message"], body["error_code"])
        case "llama_stack":
            assert set(body) == {"status", "title", "detail", "instance", "error"}, body
            assert body["status"] == reply.status
            error = body["error"]
            assert set(error) == {"message", "type", "param", "code"}, body
            return Refusal(reply.status, body["detail"], error["code"], error["param"] or "")
        case "inference":
            assert set(body) <= {"error", "code", "request_id", "field"}, body
            return Refusal(reply.status, body["error"], body["code"], body.get("field", ""))
        case "runner":
            assert set(body) == {"error", "request_id"}, body
            error = body["error"]
            return Refusal(reply.status, error["message"], error["code"], error["field"] or "")
    raise AssertionError(f"no shape is known as {shape}")
