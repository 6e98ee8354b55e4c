"""SIGTERM: what is under way is finished and recorded, what comes later is refused, and the process ends."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tests.support.commands import Up, up

from quintet.app.identity import accounts
from quintet.app.interactions.manage import list_interactions
from quintet.app.serving.deployments import CreateEndpoint, create_endpoint
from quintet.domain.interactions import Interaction
from quintet.domain.page import PageRequest
from quintet.server.composition import open_parts
from quintet.server.serve import bound_socket
from quintet.server.settings import load_settings
from quintet.storage.interactions import InteractionFilter

WORDS = "one two three four"


def prepared(data: Path) -> str:
    """A data folder with a model that answers a word every 0.3 s, and a key."""
    parts = open_parts(load_settings({"data": str(data)})[0])
    try:
        slow = CreateEndpoint("slow", "fake", "slow", engine="fake", config={"reply": WORDS, "delay": 0.3})
        parts.core.write_now(parts.admin, create_endpoint, slow)
        return parts.core.write_now(parts.admin, accounts.create_key, "test").key
    finally:
        parts.close()


def recorded(data: Path) -> list[Interaction]:
    parts = open_parts(load_settings({"data": str(data)})[0], create=False)
    try:
        page = parts.core.read_now(parts.admin, list_interactions, InteractionFilter(), PageRequest())
        return list(page.items)
    finally:
        parts.close()


def ask(server: Up, key: str, **fields: Any) -> Any:
    body = {"model": "slow", "messages": [{"role": "user", "content": "count"}], **fields}
    request = urllib.request.Request(
        f"{server.url}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    return urllib.request.urlopen(request, timeout=30)


def in_flight(server: Up) -> int:
    text = urllib.request.urlopen(f"{server.url}/metrics", timeout=10).read().decode()
    found = re.search(r"^quintet_requests_in_flight (\d+)", text, re.MULTILINE)
    assert found is not None
    return int(found[1])


def test_requests_in_flight_are_finished_and_recorded(tmp_path: Path) -> None:
    key = prepared(tmp_path / "data")
    whole: list[str] = []
    with up(tmp_path, "--data", str(tmp_path / "data")) as server:
        asking = threading.Thread(
            target=lambda: whole.append(json.load(ask(server, key))["choices"][0]["message"]["content"])
        )
        stream = ask(server, key, stream=True)
        lines = [stream.readline()]  # the answer has begun, three more words are to come
        asking.start()
        deadline = time.monotonic() + 10
        while in_flight(server) < 3:  # the stream, the whole answer, and this question itself
            assert time.monotonic() < deadline
        server.terminate()
        lines += stream.readlines()
        asking.join(20)
        server.ended(20)
        assert "Traceback" not in server.err
    assert whole == [WORDS]
    assert lines[-2].strip() == b"data: [DONE]"
    assert [(i.completion, i.status) for i in recorded(tmp_path / "data")] == [(WORDS, "success")] * 2


def test_an_idle_server_ends_at_once_and_frees_its_port(tmp_path: Path) -> None:
    with up(tmp_path, "--data", str(tmp_path / "data")) as server:
        asked = time.monotonic()
        server.terminate()
        server.ended(10)
        assert time.monotonic() - asked < 5
    bound_socket("127.0.0.1", server.port).close()


@pytest.mark.parametrize("idle", [b"", b"GET /health HT", b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_a_connection_that_says_nothing_does_not_hold_the_server(tmp_path: Path, idle: bytes) -> None:
    with up(tmp_path, "--data", str(tmp_path / "data")) as server, socket.socket() as open_connection:
        open_connection.connect(("127.0.0.1", server.port))
        open_connection.sendall(idle)
        server.terminate()
        server.ended(10)
