"""One server for all tests of the dialect; each test makes what it needs."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.support.servers import Reply, ServerHandle, running_server


@dataclass(frozen=True)
class Api:
    """Calls endpoints as clients do: GET with a JSON body, under a version."""

    server: ServerHandle

    def reply(self, name: str, body: Any = None, *, version: str = "v2.23/", **options: Any) -> Reply:
        return self.server.call("GET", f"/{version}{name}", {} if body is None else body, **options)

    def __call__(self, name: str, /, **fields: Any) -> Any:
        """The `data` of a call that must succeed."""
        reply = self.reply(name, fields)
        assert reply.status == 200, reply.body
        meta = reply.json["meta"]
        assert meta["result_code"] == 200
        assert meta["endpoint"]["name"] == name
        return reply.json["data"]

    def refused(self, name: str, /, **fields: Any) -> tuple[int, int]:
        """(code, subcode) of a call that must fail."""
        reply = self.reply(name, fields)
        meta = reply.json["meta"]
        assert reply.status == meta["result_code"] != 200, reply.body
        return meta["result_code"], meta["result_subcode"]

    def task(self, name: str = "a task", /, **fields: Any) -> str:
        return str(self("tasks.create", **{"name": name, "type": "training", **fields})["id"])

    def running(self, **fields: Any) -> str:
        task = self.task(**fields)
        self("tasks.started", task=task)
        return task

    def get(self, task: str) -> dict[str, Any]:
        return dict(self("tasks.get_by_id", task=task)["task"])

    def batch(self, *events: dict[str, Any]) -> Any:
        return self.lines("\n".join(json.dumps(e) for e in events).encode())

    def lines(self, raw: bytes) -> Any:
        reply = self.raw_batch(raw)
        assert reply.status == 200, reply.body
        return reply.json["data"]

    def raw_batch(self, raw: bytes, **headers: str) -> Reply:
        sent = {"Content-Type": "application/json-lines", **headers}
        return self.server.call("POST", "/v2.23/events.add_batch", raw=raw, headers=sent)


def basic(access: str, secret: str) -> dict[str, str]:
    """The header of a key pair."""
    return {"Authorization": "Basic " + base64.b64encode(f"{access}:{secret}".encode()).decode()}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerHandle]:
    with running_server(tmp_path_factory.mktemp("clearml")) as handle:
        yield handle


@pytest.fixture
def api(server: ServerHandle) -> Api:
    return Api(server)
