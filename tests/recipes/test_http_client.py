"""The HTTP client against a small real server: paths, bodies, files, errors, and trying again."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from quintet.domain.errors import Invalid, NotFound, Precondition, Unavailable
from quintet.recipes.http_client import HttpRunClient


class Server(ThreadingHTTPServer):
    """Answers from `plan` (status and body), one entry a call, then `{}`; notes every call in `seen`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan: list[tuple[int, Any] | None] = []
        self.seen: list[tuple[str, str, bytes]] = []
        self.tokens: set[str] = set()
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, body))
        self.server.tokens.add(self.headers["Authorization"])
        planned = self.server.plan.pop(0) if self.server.plan else (200, {})
        if planned is None:  # hang up without an answer, as a server that is killed does
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        status, value = planned
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = answer  # noqa: N815 - names that http.server looks for

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def client(server: Server, waits: list[float]) -> HttpRunClient:
    return HttpRunClient(server.url, "secret", sleep=waits.append)


def test_calls_carry_the_token_over_one_kept_connection(client: HttpRunClient, server: Server) -> None:
    server.plan = [(200, {"id": "r1"})]
    assert client.run() == {"id": "r1"}
    client.metrics([{"metric": "loss", "iter": 1}])
    client.progress([], 0.5)
    assert [(method, path) for method, path, _ in server.seen] == [
        ("GET", "/runner/v1/run"), ("POST", "/runner/v1/metrics"), ("POST", "/runner/v1/progress")
    ]  # fmt: skip
    assert json.loads(server.seen[1][2]) == {"points": [{"metric": "loss", "iter": 1}]}
    assert server.tokens == {"Bearer secret"}
    assert server.connections == 1


def test_references_are_escaped(client: HttpRunClient, server: Server) -> None:
    client.model("use case/m?", 3)
    client.dataset_rows("a/b", 10, 5)
    assert server.seen[0][1] == "/runner/v1/models/use%20case%2Fm%3F?version=3"
    assert server.seen[1][1] == "/runner/v1/datasets/a%2Fb/rows?start=10&limit=5"


def test_files_go_up_and_come_down_whole(client: HttpRunClient, server: Server, tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    source, target = tmp_path / "in.bin", tmp_path / "deep" / "out.bin"
    source.write_bytes(data)
    server.plan = [(200, {"sha256": hashlib.sha256(data).hexdigest()}), (200, data)]
    assert client.put_file("models/a b/w.bin", source)["sha256"] == hashlib.sha256(data).hexdigest()
    assert server.seen[0] == ("PUT", "/runner/v1/blobs/models/a%20b/w.bin", data)
    client.model_file("m", 2, "w.bin", target)
    assert target.read_bytes() == data
    assert [p.name for p in target.parent.iterdir()] == ["out.bin"]
    assert server.connections == 1


def test_a_download_that_breaks_off_is_begun_again(client: HttpRunClient, server: Server, tmp_path: Path) -> None:
    server.plan = [None, (503, {}), (200, b"whole")]
    client.get_file("x", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"whole"


def test_a_restart_is_waited_for_with_growing_pauses(client: HttpRunClient, server: Server, waits: list[float]) -> None:
    server.plan = [(503, {}), None, (502, {}), (504, {}), (200, {"id": "r1"})]
    assert client.run() == {"id": "r1"}
    assert len(waits) == 4
    assert waits == sorted(waits)


def test_patience_ends(server: Server, waits: list[float]) -> None:
    client = HttpRunClient(server.url, "t", sleep=waits.append, patience=30)
    server.plan = [(503, {"error": {"code": "unavailable", "message": "starting", "field": None}})] * 100
    with pytest.raises(Unavailable, match="starting"):
        client.run()
    assert 30 <= sum(waits) < 45


def test_a_model_is_never_registered_twice(client: HttpRunClient, server: Server, waits: list[float]) -> None:
    server.plan = [None]
    with pytest.raises(Unavailable):
        client.register_model({"name": "m"})
    assert len(server.seen) == 1
    assert waits == []


def test_a_model_is_registered_when_the_server_is_back(waits: list[float]) -> None:
    server = Server()
    server.server_close()  # the port is known and nobody listens

    def come_back(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            again = Server.__new__(Server)
            again.plan, again.seen, again.tokens, again.connections = [(200, {"version": 1})], [], set(), 0
            ThreadingHTTPServer.__init__(again, server.server_address, Handler)
            threading.Thread(target=again.handle_request, daemon=True).start()

    client = HttpRunClient(server.url, "t", sleep=come_back)
    assert client.register_model({"name": "m"}) == {"version": 1}
    assert len(waits) == 2


@pytest.mark.parametrize(
    ("status", "body", "kind", "says"),
    [
        (404, {"error": {"code": "not_found", "message": "no model 'x'", "field": "ref"}}, NotFound, "no model 'x'"),
        (400, {"error": {"code": "invalid", "message": "bad", "field": "a"}}, Invalid, "bad"),
        (412, {"error": {"code": "precondition", "message": "lease lost", "field": None}}, Precondition, "lease lost"),
        (404, b"<html>", NotFound, "answered 404"),
    ],
)
def test_errors_come_as_errors_of_the_family(
    client: HttpRunClient, server: Server, status: int, body: object, kind: type[Exception], says: str
) -> None:
    server.plan = [(status, body)]
    with pytest.raises(kind, match=says):
        client.run()
    assert len(server.seen) == 1


def test_without_a_worker_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUINTET_URL", raising=False)
    monkeypatch.setenv("QUINTET_RUN_TOKEN", "t")
    with pytest.raises(Invalid, match="QUINTET_URL"):
        HttpRunClient.from_env()


def test_threads_do_not_share_a_connection(client: HttpRunClient, server: Server) -> None:
    done: list[Callable[[], Any]] = []
    barrier = threading.Barrier(4)

    def call() -> None:
        barrier.wait()
        for _ in range(10):
            client.run()
        done.append(call)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(done) == 4
    assert server.connections == 4
