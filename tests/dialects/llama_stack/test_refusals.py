"""What is refused, and in which shape; and that the contract and its record of coverage agree."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request
from tests.dialects.llama_stack.support import CHAT, HELLO
from tests.support.servers import ServerHandle

from quintet.dialects.kit.call import ANONYMOUS, Call
from quintet.dialects.kit.contracts import read_coverage
from quintet.dialects.llama_stack import binder as binding
from quintet.dialects.llama_stack import eval_convert, mount, post_training_convert
from quintet.dialects.llama_stack.binder import binder
from quintet.dialects.llama_stack.chat import events
from quintet.dialects.llama_stack.errors import TABLE
from quintet.domain.errors import Unavailable
from quintet.domain.evaluation import EvaluationStatus
from quintet.domain.runs import RunState

JSON_BODIES = [
    CHAT,
    "/v1/completions",
    "/v1/embeddings",
    "/v1beta/datasets",
    "/v1alpha/eval/benchmarks",
    "/v1alpha/eval/benchmarks/b/jobs",
    "/v1alpha/post-training/supervised-fine-tune",
    "/v1alpha/post-training/preference-optimize",
    "/v1alpha/inference/rerank",
    "/v1/scoring/score",
]


@pytest.mark.parametrize("path", JSON_BODIES)
def test_a_body_that_is_no_json_is_refused(server: ServerHandle, path: str) -> None:
    reply = server.call("POST", path, raw=b"{nope")
    assert (reply.status, reply.json["error"]["param"]) == (400, "body")


@pytest.mark.parametrize("path", JSON_BODIES)
def test_a_body_needs_its_fields(server: ServerHandle, path: str) -> None:
    reply = server.call("POST", path, {})
    assert reply.status == 400
    assert reply.json["error"]["param"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, "messages[0].role"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": 99}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": 1}, "stop"),
        ({"metadata": {"a": 1}}, "metadata[...]"),
        ({"model": 1}, "model"),
    ],
)
def test_a_bad_value_is_named(server: ServerHandle, fields: dict[str, Any], param: str) -> None:
    reply = server.call("POST", CHAT, {"model": "echo", "messages": HELLO, **fields})
    assert (reply.status, reply.json["error"]["param"]) == (400, param), reply.body


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"model": "echo", "prompt": [1, 2]}),
        ("/v1/completions", {"model": "echo", "prompt": []}),
        ("/v1/embeddings", {"model": "vectors", "input": []}),
        ("/v1/embeddings", {"model": "vectors", "input": ""}),
        ("/v1/embeddings", {"model": "vectors", "input": [[1]]}),
        ("/v1/embeddings", {"model": "vectors", "input": "a", "dimensions": 17}),
        ("/v1/embeddings", {"model": "vectors", "input": "a", "encoding_format": "hex"}),
    ],
)
def test_other_bad_inputs_are_refused(server: ServerHandle, path: str, body: dict[str, Any]) -> None:
    assert server.call("POST", path, body).status == 400


def test_every_error_reads_right_to_both_clients(server: ServerHandle) -> None:
    reply = server.call("GET", "/v1/models/nothing", headers={"X-Request-Id": "my-request"})
    assert reply.json == {
        "status": 404, "title": "Not Found", "detail": "model 'nothing' was not found", "instance": "my-request",
        "error": {"message": "model 'nothing' was not found", "type": "invalid_request_error", "param": None,
                  "code": "not_found"},
    }  # fmt: skip


@pytest.mark.parametrize("key", [None, "qk_wrong.key", "nonsense"])
def test_a_key_is_needed(server: ServerHandle, key: str | None) -> None:
    for method, path in (("GET", "/v1/models"), ("POST", CHAT), ("POST", "/v1/responses")):
        reply = server.call(method, path, {} if method == "POST" else None, key=key)
        assert (reply.status, reply.json["error"]["type"]) == (401, "authentication_error")


def test_a_pair_of_keys_serves_as_basic(server: ServerHandle) -> None:
    import base64

    pair = base64.b64encode(f"{server.access_key}:{server.secret_key}".encode()).decode()
    assert server.call("GET", "/v1/models", key=None, headers={"Authorization": f"Basic {pair}"}).status == 200
    assert server.call("GET", "/v1/models", key=None, headers={"Authorization": "Basic !!"}).status == 401


def test_roles_that_may_not_are_refused(server: ServerHandle) -> None:
    reader = server.key_for("read-only")
    assert server.call("POST", CHAT, {"model": "echo", "messages": HELLO}, key=reader).status == 403
    rerank = {"model": "echo", "query": "a", "items": ["a"]}
    assert server.call("POST", "/v1alpha/inference/rerank", rerank, key=reader).status == 403
    caller = server.key_for("inference")
    assert server.call("GET", "/v1beta/datasets", key=caller).status == 403
    assert server.call("GET", CHAT, key=caller).status == 403
    benchmark = {"benchmark_id": "b", "dataset_id": "d", "scoring_functions": []}
    assert server.call("POST", "/v1alpha/eval/benchmarks", benchmark, key=caller).status == 403


def test_a_body_that_is_too_large_is_not_read(server: ServerHandle, monkeypatch: pytest.MonkeyPatch) -> None:
    reply = server.call("POST", CHAT, headers={"Content-Length": str(binding.BODY_BYTES + 1)}, raw=b"{")
    assert reply.status == 413


def test_what_is_not_implemented_says_so_and_is_not_tried_again(server: ServerHandle) -> None:
    for method, path in (("POST", "/v1/responses"), ("GET", "/v1alpha/agents"), ("GET", "/v1/agents")):
        reply = server.call(method, path, {} if method == "POST" else None)
        assert (reply.status, reply.headers["x-should-retry"]) == (501, "false")
        assert "not implemented" in reply.json["detail"]


def test_an_unknown_path_is_answered_in_this_dialect(server: ServerHandle) -> None:
    assert server.call("GET", "/v1alpha/nothing").json["error"]["code"] == "not_found"
    assert server.call("PUT", "/v1/models").status == 405


def test_an_error_in_the_middle_of_a_stream_is_its_last_event(server: ServerHandle) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"data: {}\n\n"
        raise Unavailable("gone")

    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        await asyncio.sleep(3600)

    request = Request({"type": "http", "method": "POST", "path": CHAT, "headers": []})
    call = Call(server.core, ANONYMOUS, request, "r1")
    asyncio.run(events(call, broken())(request.scope, receive, send))
    body = b"".join(m.get("body", b"") for m in sent)
    assert sent[0]["status"] == 200
    assert b'"error":{"message":"gone"' in body
    assert b"[DONE]" not in body


def test_the_tables_leave_nothing_out() -> None:
    assert TABLE.total()
    assert set(post_training_convert.STATUS) == set(RunState)
    assert set(eval_convert.STATUS) == set(EvaluationStatus)


def test_coverage_is_as_recorded() -> None:
    assert mount.HANDLERS
    assert binder.coverage() == read_coverage("llama_stack")
