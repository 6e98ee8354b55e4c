"""The runner wire on a real server: what workers and runs say, and what is refused."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.servers import Reply, ServerHandle, running_server

from quintet.app.datasets.fill import create_with_rows
from quintet.app.datasets.manage import CreateDataset
from quintet.app.events.read import get_rollups, tail_log
from quintet.app.identity.accounts import SYSTEM
from quintet.app.models.versions import get_version
from quintet.app.queues.entries import submit_run
from quintet.app.queues.manage import CreateQueue, create_queue
from quintet.app.runs import read, state
from quintet.app.runs.create import CreateRun
from quintet.app.services import authenticator
from quintet.app.work.leases import expire_lease
from quintet.app.work.tokens import worker_token
from quintet.dialects.runner.binder import binder
from quintet.dialects.runner.errors import TABLE
from quintet.dialects.runner.mount import HANDLERS
from quintet.domain.data import DatasetKind
from quintet.domain.ids import Id
from quintet.domain.runs import Run, RunState

PREFIX = "/runner/v1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerHandle]:
    # The other dialects have no part in this, and take seconds to load.
    with running_server(tmp_path_factory.mktemp("runner"), dialects=("runner",)) as handle:
        yield handle


@pytest.fixture
def queue(request: pytest.FixtureRequest, server: ServerHandle) -> str:
    """A queue of the test's own, so that tests do not take each other's runs."""
    name = request.node.name
    server.core.write_now(server.admin, create_queue, CreateQueue(name))
    return str(name)


def submit(server: ServerHandle, queue: str, **fields: Any) -> Run:
    wanted = CreateRun(**{"name": "a run", "recipe": "sft", **fields})
    return server.core.write_now(server.admin, submit_run, wanted, queue)


def post(server: ServerHandle, path: str, body: Any, key: str | None = "") -> Reply:
    return server.call("POST", PREFIX + path, body, key=key)


def lease(server: ServerHandle, queue: str, **more: Any) -> dict[str, Any]:
    reply = post(server, "/lease", {"worker": "w", "queues": [queue], "seconds": 60, **more})
    assert reply.status == 200, reply.body
    found = reply.json["lease"]
    assert isinstance(found, dict)
    return found


def now_is(server: ServerHandle, run_id: str) -> Run:
    return server.core.read_now(server.admin, read.get_run, Id(run_id))


def test_every_operation_is_bound_and_every_error_has_a_status() -> None:
    assert HANDLERS
    assert binder.coverage()["unbound"] == []
    assert TABLE.total()


def test_a_worker_leases_beats_and_finishes(server: ServerHandle, queue: str) -> None:
    run = submit(server, queue, args={"a": 1}, script={"code": {"file": "x.py", "text": "print(1)"}})
    found = lease(server, queue)
    assert {k: found[k] for k in ("run_id", "attempt", "recipe", "args", "name", "code", "command")} == {
        "run_id": run.id, "attempt": 1, "recipe": "sft", "args": {"a": 1}, "name": "a run",
        "code": {"file": "x.py", "text": "print(1)"}, "command": None,
    }  # fmt: skip
    held = {"run_id": run.id, "token": found["token"]}
    assert post(server, "/heartbeat", held).json == {"stop": False}
    server.core.write_now(server.admin, state.request_stop, run.id)
    assert post(server, "/heartbeat", held).json == {"stop": True}
    assert post(server, "/logs", {**held, "lines": [{"ts": 1_000, "msg": "hello"}]}).json == {"lines": 1}
    [line] = server.core.read_now(server.admin, tail_log, run.id)
    assert (line.ts, line.msg, line.worker, line.level) == (1_000_000, "hello", "w", "info")
    assert post(server, "/finish", {**held, "outcome": "stopped"}).json == {"state": "stopped"}


def test_a_stale_token_is_412_and_changes_nothing(server: ServerHandle, queue: str) -> None:
    run = submit(server, queue)
    lease(server, queue)
    before = now_is(server, run.id)
    held = {"run_id": run.id, "token": "old"}
    for path, more in (
        ("/heartbeat", {}),
        ("/finish", {"outcome": "failed"}),
        ("/logs", {"lines": [{"ts": 1, "msg": "x"}]}),
    ):
        reply = post(server, path, {**held, **more})
        assert (reply.status, reply.json["error"]["code"]) == (412, "precondition")
    assert now_is(server, run.id) == before


def test_a_waiting_worker_is_woken_by_a_run(server: ServerHandle, queue: str) -> None:
    got: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: got.append(lease(server, queue, wait_seconds=20)))
    thread.start()
    deadline = time.monotonic() + 10
    while not server.core.services["waiters"]._waiting and time.monotonic() < deadline:
        time.sleep(0.005)
    started = time.monotonic()
    run = submit(server, queue)
    thread.join(10)
    # `write_now` tells listeners as `write` does, so this is the wake-up and not the slow look every 5 s.
    assert time.monotonic() - started < 3
    assert [g["run_id"] for g in got] == [run.id]


def test_waiting_in_vain_ends_with_nothing(server: ServerHandle, queue: str) -> None:
    reply = post(server, "/lease", {"worker": "w", "queues": [queue], "wait_seconds": 0.05})
    assert reply.json == {"lease": None}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/lease", {"queues": []}, "worker"),
        ("/lease", {"worker": "w", "seconds": 0}, "seconds"),
        ("/lease", {"worker": "w", "wait_seconds": 1e9}, "wait_seconds"),
        ("/heartbeat", {"run_id": "x", "token": "y"}, "run_id"),
        ("/finish", {"run_id": "0" * 24, "token": "y", "outcome": "great"}, "outcome"),
    ],
)
def test_bad_input_names_its_field(server: ServerHandle, path: str, body: Any, field: str) -> None:
    reply = post(server, path, body)
    assert (reply.status, reply.json["error"]["field"]) == (400, field)


def test_who_may_speak(server: ServerHandle, queue: str) -> None:
    submit(server, queue)
    assert post(server, "/lease", {"worker": "w", "queues": [queue]}, key=None).status == 401
    assert post(server, "/lease", {"worker": "w", "queues": [queue]}, server.key_for("member")).status == 403
    assert post(server, "/lease", {"worker": "w", "queues": [queue]}, server.key_for("worker")).json["lease"]
    assert server.call("GET", f"{PREFIX}/run").status == 403
    assert server.call("GET", f"{PREFIX}/run", key="work.x.y.z").status == 401


def test_the_servers_own_worker_serves_every_space(server: ServerHandle, queue: str) -> None:
    token = worker_token(authenticator(server.core))
    run = submit(server, queue)
    reply = post(server, "/lease", {"worker": "own", "queues": [queue]}, token)
    held = {"run_id": run.id, "token": reply.json["lease"]["token"]}
    assert post(server, "/logs", {**held, "lines": [{"ts": 1, "msg": "x"}]}, token).json == {"lines": 1}
    assert post(server, "/finish", {**held, "outcome": "requeue"}, token).json == {"state": "queued"}


# -- the run itself -----------------------------------------------------------------------------------------------


class Inside:
    """The server as a leased run sees it."""

    def __init__(self, server: ServerHandle, queue: str, **fields: Any) -> None:
        self.server = server
        self.run = submit(server, queue, **fields)
        self.lease = lease(server, queue)
        self.key = self.lease["run_token"]

    def get(self, path: str) -> Reply:
        return self.server.call("GET", PREFIX + path, key=self.key)

    def post(self, path: str, body: Any) -> Reply:
        return self.server.call("POST", PREFIX + path, body, key=self.key)

    def put(self, path: str, data: bytes) -> Reply:
        return self.server.call("PUT", f"{PREFIX}/blobs/{path}", raw=data, key=self.key)


@pytest.fixture
def inside(server: ServerHandle, queue: str) -> Inside:
    return Inside(server, queue, args={"output_model": "mine"})


def test_a_run_knows_what_to_do_and_where_it_left_off(inside: Inside) -> None:
    first = inside.get("/run").json
    assert (first["id"], first["args"], first["checkpoint"]) == (inside.run.id, {"output_model": "mine"}, None)
    assert first["output_model"] == "mine"
    assert inside.put("ckpt/1/state.bin", b"12345").json["size"] == 5
    assert inside.post("/checkpoints", {"name": "one", "step": 1, "path": "ckpt/1"}).status == 200
    assert inside.get("/run").json["checkpoint"] == {
        "name": "one", "step": 1, "path": "ckpt/1", "files": [{"path": "state.bin", "size": 5}]
    }  # fmt: skip
    assert inside.get("/blobs/ckpt/1/state.bin").body == b"12345"


def test_progress_points_results_and_artifacts_arrive(inside: Inside) -> None:
    server, run = inside.server, inside.run
    body = {"stages": [{"name": "train", "state": "running", "done": 1, "total": 4}], "progress": 0.25}
    assert inside.post("/progress", body).status == 200
    [stage] = server.core.read_now(server.admin, read.stages_of, run.id)
    assert (stage.name, stage.done, stage.total) == ("train", 1, 4)
    points = [{"metric": "loss", "variant": "train", "iter": n, "value": 0.5 * n, "ts": 1_000 + n} for n in range(3)]
    assert inside.post("/metrics", {"points": points}).json == {"points": 3}
    [series] = server.core.read_now(server.admin, get_rollups, [run.id])[run.id]
    assert (series.metric, series.count, series.last_ts) == ("loss", 3, 1_002_000)
    put = inside.put("out.txt", b"hi").json
    assert inside.post("/artifacts", {"key": "out", "path": "out.txt", "size": 2, "hash": put["sha256"]}).status == 200
    [artifact] = server.core.read_now(server.admin, read.artifacts_of, run.id)
    assert (artifact.blob, artifact.size) == (f"runs/{run.id}/out.txt", 2)
    assert inside.post("/result", {"result": {"ok": True}}).status == 200
    assert now_is(server, run.id).result == {"ok": True}


def test_a_run_registers_what_it_made_and_reads_it_back(inside: Inside) -> None:
    inside.put("model/config.json", b"{}")
    files = [{"path": "config.json", "size": 2, "sha256": "x"}]
    made = inside.post("/models", {"name": "Mine", "path": "model", "files": files, "metrics": {"loss": 1.0}})
    assert made.status == 200, made.body
    assert made.json["version"] == 1
    inside.put("second/config.json", b"[]")
    again = inside.post("/models", {"name": "Mine", "path": "second", "files": files}).json
    assert (again["model_id"], again["version"]) == (made.json["model_id"], 2)
    found = inside.get(f"/models/{made.json['key']}?version=1").json
    assert (found["version"], found["files"], found["backbone"]) == (1, [{"path": "config.json", "size": 2}], None)
    assert Path(found["local_path"], "config.json").read_text() == "{}"
    assert inside.get("/models/Mine/files/config.json?version=2").body == b"[]"
    _, version = inside.server.core.read_now(inside.server.admin, get_version, "Mine", 1)
    assert (version.run_id, version.metrics) == (inside.run.id, {"loss": 1.0})


def test_a_model_of_files_that_are_not_there_is_refused(inside: Inside) -> None:
    inside.put("model/a", b"12")
    for files in ([{"path": "a", "size": 3}], [{"path": "b", "size": 2}], [{"path": "../x", "size": 2}]):
        reply = inside.post("/models", {"name": "Broken", "path": "model", "files": files})
        assert (reply.status, reply.json["error"]["field"]) == (400, "files")


@pytest.mark.parametrize("path", ["../other/x", "a//b", "%2e%2e/x", "a/%2e%2e/%2e%2e/x"])
def test_no_path_leaves_the_folder_of_the_run(inside: Inside, path: str) -> None:
    assert inside.put(path, b"x").status in (400, 404)
    assert inside.get(f"/blobs/{path}").status in (400, 404)
    assert inside.post("/checkpoints", {"name": "c", "step": 1, "path": path.replace("%2e", ".")}).status == 400


def test_rows_come_in_pages(inside: Inside) -> None:
    rows = [{"n": n} for n in range(5)]
    wanted = CreateDataset("five", kind=DatasetKind.ROWS)
    create_with_rows(inside.server.core, inside.server.admin, wanted, rows)
    seen, start = [], 0
    while start is not None:
        page = inside.get(f"/datasets/five/rows?start={start}&limit=2").json
        seen += page["rows"]
        start = page["next"]
    assert seen == rows
    assert inside.get("/datasets/none/rows").status == 404
    assert inside.get("/datasets/five/rows?limit=0").json["error"]["field"] == "limit"


def test_a_run_whose_lease_ended_can_say_nothing_more(inside: Inside) -> None:
    server = inside.server
    assert inside.get("/run").status == 200
    server.core.write_now(server.admin, state.stop_run, inside.run.id)
    assert inside.get("/run").status == 401
    assert inside.post("/result", {"result": {"late": True}}).status == 401
    assert now_is(server, inside.run.id).result == {}


def test_the_token_of_an_attempt_does_not_serve_the_next(server: ServerHandle, queue: str) -> None:
    first = Inside(server, queue)
    real = server.core.clock
    try:
        server.core.clock = lambda: real() + 3_600_000_000
        lost = server.core.write_now(SYSTEM, expire_lease, first.run.id)
    finally:
        server.core.clock = real
    assert lost is not None
    assert lost.state is RunState.QUEUED
    second = lease(server, queue)
    assert second["run_id"] == first.run.id
    assert first.get("/run").status == 401
    assert server.call("GET", f"{PREFIX}/run", key=second["run_token"]).json["attempt"] == 2


def test_a_worker_that_hangs_up_while_it_waits_gets_no_run(server: ServerHandle, queue: str) -> None:
    waiting = server.core.services["waiters"]._waiting
    address = server.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(address[0], int(address[1]))
    body = json.dumps({"worker": "w", "queues": [queue], "wait_seconds": 30})
    connection.request("POST", f"{PREFIX}/lease", body, {"Authorization": f"Bearer {server.key}"})
    deadline = time.monotonic() + 10
    while not waiting and time.monotonic() < deadline:
        time.sleep(0.005)
    connection.close()
    while waiting and time.monotonic() < deadline:
        time.sleep(0.005)
    assert time.monotonic() < deadline - 6
    run = submit(server, queue)
    assert now_is(server, run.id).state is RunState.QUEUED
