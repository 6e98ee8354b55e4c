"""Who may only read changes nothing: every operation of every dialect that could, tried with a read-only key."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from tests.dialects.matrix import World, changing, make_world, request
from tests.dialects.wires import Connection, Operation, refusal
from tests.support.servers import Reply, ServerHandle

EXCEPTIONS = {
    "PUT /me": "everybody may change their own name and role",
    "auth.create_credentials": "everybody may have keys, which can do no more than their user",
    "auth.login": "gives a token of the same rights for the key that is sent",
    "auth.logout": "takes the caller's own cookie away",
    "POST /api/registeredmodels/v1/access/{projectId}": "asks for what everybody has, so nothing changes",
}
"""State-changing by name or method, and open to those who may only read."""

OWN = {"auth.create_credentials": ["api_keys"]}
"""The tables that the exceptions change."""

EARLIER = {
    "DELETE /v1alpha/eval/benchmarks/{benchmark_id}/jobs/{job_id}": (409, "the job has ended, whoever asks"),
    "mutation createDataset": (200, "the file must come as a part; tested by itself below"),
}
"""Refused for another reason before the role matters."""


@pytest.fixture(scope="module")
def world(server: ServerHandle) -> World:
    return make_world(server)


def _held(server: ServerHandle) -> dict[str, list[str]]:
    """Everything that the database keeps, but for when keys were used last."""
    path = Path(server.parts.settings.data) / "quintet.db"
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    found = {}
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        if "fts" in table or table.startswith("sqlite_"):
            continue
        rows = [dict(row) for row in connection.execute(f'SELECT * FROM "{table}"')]
        for row in rows:
            row.pop("last_used_at", None)
        found[table] = sorted(json.dumps(row, default=repr, sort_keys=True) for row in rows)
    connection.close()
    return found


def _refused(operation: Operation, reply: Reply) -> bool:
    """Whether the answer is that this caller may not."""
    if operation.shape == "graphql":
        return "errors" in reply.json and refusal("graphql", reply).code == "forbidden"
    if operation.id.endswith("_many") and reply.status == 200:
        told = reply.json["data"]
        return not told["succeeded"] and all(f["error"]["codes"] == [403, 20] for f in told["failed"])
    return reply.status == 403


def test_who_may_only_read_changes_nothing(server: ServerHandle, world: World) -> None:
    wire = Connection(server)
    held = _held(server)
    open_to_readers = []
    for operation in changing():
        path, body = request(operation, world)
        reply = wire.ask(operation.method, path, body, key=world.read_only)
        if operation.id in EARLIER:
            assert reply.status == EARLIER[operation.id][0], (str(operation), reply.body)
        elif not _refused(operation, reply):
            assert operation.id in EXCEPTIONS, (
                f"{operation} answers {reply.status} to a read-only key: {reply.body[:300]!r}; it was asked {body}. "
                "Where the request itself was wrong, give it a body in matrix.BODIES."
            )
            open_to_readers.append(operation.id)
        now = _held(server)
        changed = [table for table in now if now[table] != held[table]]
        assert changed == OWN.get(operation.id, []), f"{operation} changed {changed} for a read-only key"
        held = now
    assert sorted(open_to_readers) == sorted(EXCEPTIONS), "an exception that is none any more"


def test_who_may_only_read_uploads_nothing(server: ServerHandle, world: World) -> None:
    query = 'mutation($file: Upload!) { createDataset(input: {useCase: "matrix", name: "d"}, file: $file) { id } }'
    parts = {
        'name="operations"': json.dumps({"query": query, "variables": {"file": None}}),
        'name="map"': '{"0": ["variables.file"]}',
        'name="0"; filename="rows"': '{"messages": [], "completion": "b"}',
    }
    raw = "".join(f"--x\r\nContent-Disposition: form-data; {k}\r\n\r\n{v}\r\n" for k, v in parts.items()) + "--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    held = _held(server)
    reply = server.call("POST", "/api/graphql", raw=raw.encode(), headers=headers, key=world.read_only)
    assert refusal("graphql", Reply(reply.status, {"content-type": "application/json"}, reply.body)).code == "forbidden"
    assert _held(server) == held


def test_the_same_requests_are_not_forbidden_to_an_administrator(server: ServerHandle, world: World) -> None:
    """What was refused above was refused for the role, and not because nobody may do it."""
    wire, key = Connection(server), server.key_for("admin")
    for operation in changing():
        if operation.dialect == "runner" or operation.id in EXCEPTIONS:
            continue  # a run's own token is asked for there; keys are revoked here
        path, body = request(operation, world)
        reply = wire.ask(operation.method, path, body, key=key)
        assert not _refused(operation, reply), (str(operation), reply.body)
        assert reply.status not in (401, 500), (str(operation), reply.body)
