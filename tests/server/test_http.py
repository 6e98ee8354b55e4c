"""What every request gets, whichever dialect answers: an id, compression, a limit, and JSON where nothing is."""

from __future__ import annotations

import gzip
import json
import re
import socket
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.servers import ServerHandle, running_server

from quintet import __version__
from quintet.app.identity import accounts
from quintet.app.identity.accounts import CreateUser
from quintet.domain.errors import Unavailable
from quintet.server.asgi import GZIP_FROM

ID = re.compile(r"[0-9a-f]{24}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerHandle]:
    with running_server(tmp_path_factory.mktemp("http"), body_limit=100_000) as handle:
        yield handle


def test_health_needs_no_key_and_says_the_version(server: ServerHandle) -> None:
    reply = server.call("GET", "/health", key=None)
    assert (reply.status, reply.json) == (200, {"status": "OK", "version": __version__})


def test_health_is_503_while_the_database_does_not_answer(
    server: ServerHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def aread(work: Any) -> None:
        raise Unavailable("the database connection was lost; try again")

    monkeypatch.setattr(server.core.db, "aread", aread)
    reply = server.call("GET", "/health", key=None)
    assert reply.status == 503
    assert reply.json == {"status": "unavailable", "reason": "the database connection was lost; try again"}


def test_metrics_are_prometheus_text_and_count(server: ServerHandle) -> None:
    def answered() -> float:
        text = server.call("GET", "/metrics", key=None).body.decode()
        found = re.search(r'^quintet_requests_total\{dialect="server",status="404"\} (\S+)$', text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    before = answered()
    server.call("GET", "/nothing")
    assert answered() == before + 1
    reply = server.call("GET", "/metrics", key=None)
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "# TYPE quintet_request_seconds histogram" in reply.body.decode()


@pytest.mark.parametrize("given", ["abc-123", "A" * 64, "01.2_x"])
def test_a_request_id_is_echoed(server: ServerHandle, given: str) -> None:
    assert server.call("GET", "/health", headers={"x-request-id": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "A" * 65, "a b", "a\tb", 'a"b', "<script>"])
def test_a_request_id_that_cannot_be_logged_is_replaced(server: ServerHandle, given: str) -> None:
    reply = server.call("GET", "/health", headers={"x-request-id": given} if given else {})
    assert ID.fullmatch(reply.headers["x-request-id"])


@pytest.mark.parametrize(
    "path", ["/nothing", "/v9/models", "/files2/x", "/%zz", "/%00", "/a%2fb", "/" + "x" * 5000, "/\u00e9"]
)
def test_an_unknown_path_is_404_in_json_with_the_request_id(server: ServerHandle, path: str) -> None:
    reply = server.call("GET", urllib.parse.quote(path, safe="/%"))
    assert reply.status == 404
    assert reply.json["request_id"] == reply.headers["x-request-id"]
    assert "there is nothing at" in reply.json["error"]


@pytest.mark.parametrize("path", ["/v1/nothing", "/api/v1/nothing", "/inference/v1/nothing", "/runner/v1/nothing"])
def test_an_unknown_path_of_a_dialect_is_404_in_its_own_shape(server: ServerHandle, path: str) -> None:
    reply = server.call("GET", path)
    assert reply.status == 404
    assert isinstance(reply.json, dict)
    assert "there is nothing at" in json.dumps(reply.json)


def test_a_wrong_method_is_405_and_names_the_right_one(server: ServerHandle) -> None:
    reply = server.call("DELETE", "/health")
    assert reply.status == 405
    assert "GET" in reply.json["error"]


def test_a_fault_outside_of_the_handlers_is_a_masked_500_in_json(
    server: ServerHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object, method: str, path: str) -> None:
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr("quintet.dialects.kit.trie.Trie.match", broken)
    reply = server.call("GET", "/health")
    assert reply.status == 500
    assert reply.json == {"error": "internal error", "request_id": reply.headers["x-request-id"]}


def test_large_replies_are_compressed_for_those_who_can_read_it(server: ServerHandle) -> None:
    for number in range(20):
        user = CreateUser(f"user-{number}@example.org", f"a user with a long name {number}")
        server.core.write_now(server.admin, accounts.create_user, user)
    path = "/metrics"
    plain = server.call("GET", path)
    packed = server.call("GET", path, headers={"Accept-Encoding": "gzip"})
    assert len(plain.body) > GZIP_FROM
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert len(packed.body) < len(plain.body) / 2
    assert b"quintet_requests_total" in gzip.decompress(packed.body)
    assert "content-encoding" not in server.call("GET", "/health", headers={"Accept-Encoding": "gzip"}).headers


CHAT = "/v1/chat/completions"


def test_a_body_over_the_operators_limit_is_refused_in_the_dialects_shape(server: ServerHandle) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x" * 100_000}]}
    reply = server.call("POST", CHAT, body)
    assert reply.status == 413
    assert "100000 bytes" in reply.json["error"]["message"]


def test_a_declared_length_over_the_limit_is_refused_before_the_body_is_sent(server: ServerHandle) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\n"
        "Content-Type: application/json\r\nContent-Length: 999999999\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=20) as raw:
        raw.sendall(head.encode())
        assert raw.recv(20).startswith(b"HTTP/1.1 413")


def test_a_body_that_ends_early_harms_nobody(server: ServerHandle) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\nContent-Length: 50\r\n\r\n{{"
    with socket.create_connection((host, int(port)), timeout=20) as raw:
        raw.sendall(head.encode())
    assert server.call("GET", "/health").status == 200


def test_sign_in_that_is_off_takes_any_credentials(tmp_path: Path) -> None:
    with running_server(tmp_path, auth="none") as open_server:
        for key in (None, "whatever"):
            assert open_server.call("GET", "/v1/models", key=key).status == 200


@pytest.mark.parametrize("key", [None, "qk_AAAAAAAAAAAAAAAAAAAA.x", "nonsense", "run.a.b.c", "\u00e9"])
def test_without_a_right_key_nothing_is_told(server: ServerHandle, key: str | None) -> None:
    sent = None if key is None else key.encode().decode("latin-1")
    assert server.call("GET", "/v1/models", key=sent).status == 401


def test_a_browser_is_told_where_the_clients_connect(server: ServerHandle) -> None:
    page = server.call("GET", "/", key=None)
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    text = page.body.decode()
    for path in ("/v1", "/mlflow", "/inference/v1"):
        assert f"{server.parts.settings.url}{path}" in text
