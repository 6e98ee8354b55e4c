"""A server to speak to in every dialect, and what makes a thing the same thing in all of them."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from quintet.domain.ids import Id
from tests.support.servers import ServerHandle

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Thing:
    """`id` is the core's; `facts` is what every dialect that shows the noun must say of it."""

    id: Id
    name: str
    facts: Mapping[str, Any]


Maker = Callable[["World"], Thing]
Reader = Callable[["World", Thing], Thing]


def fresh(prefix: str) -> str:
    """A name that no other test has."""
    return f"{prefix}-{next(_numbers)}"


def core_id(found: Id | None, text: object) -> Id:
    """The id that a dialect's spelling stands for; AssertionError where it is not of the kind that it should be."""
    assert found is not None, f"{text!r} is not an id of that kind"
    return found


@dataclass(frozen=True)
class World:
    """A server and what everything else needs: a project, a model with weights, rows, and something that answers."""

    server: ServerHandle
    project: Id
    base: str = "base"
    rows: str = "rows"
    answers: str = "upper"

    def rest(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The JSON of an answer that must be good."""
        reply = self.server.call(method, path, body, **options)
        assert reply.status < 300, (method, path, reply.status, reply.body)
        return reply.json if reply.body else None

    def gql(self, query: str, **variables: Any) -> Any:
        answer = self.rest("POST", "/api/graphql", {"query": query, "variables": variables})
        assert "errors" not in answer, answer
        return answer["data"]

    def clearml(self, name: str, /, **fields: Any) -> Any:
        pair = base64.b64encode(f"{self.server.access_key}:{self.server.secret_key}".encode()).decode()
        return self.rest("POST", f"/v2.23/{name}", fields, key=None, headers={"Authorization": f"Basic {pair}"})["data"]

    def domino(self, method: str, path: str, body: Any = None) -> Any:
        return self.rest(method, path, body, key=None, headers={"X-Domino-Api-Key": self.server.key})

    def mlflow(self, method: str, path: str, body: Any = None) -> Any:
        return self.rest(method, f"/api/2.0/mlflow/{path}", body)

    def inference(self, method: str, path: str, body: Any = None) -> Any:
        return self.rest(method, f"/inference/v1{path}", body)
