"""Chat completions, streamed and whole, and what is stored of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.dialects.llama_stack.support import CHAT, HELLO
from tests.support.servers import Reply, ServerHandle

LLAMA = {"X-LlamaStack-Client-Version": "0.3.5"}


def chat(server: ServerHandle, model: str = "echo", **fields: Any) -> Reply:
    return server.call("POST", CHAT, {"model": model, "messages": HELLO, **fields})


def events(reply: Reply) -> list[str]:
    return [line.removeprefix("data: ") for line in reply.body.decode().split("\n\n") if line]


def test_a_completion_has_openais_shape(server: ServerHandle) -> None:
    body = chat(server).json
    assert body["id"].startswith("chatcmpl-")
    assert body["object"] == "chat.completion"
    assert body["model"] == "echo"
    message = {"role": "assistant", "content": "echo: hello there you"}
    assert body["choices"] == [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}]
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def test_the_server_says_what_it_took_itself(server: ServerHandle) -> None:
    assert 0 <= float(chat(server).headers["x-quintet-overhead-ms"]) < 5_000


def test_n_choices_share_one_reply(server: ServerHandle) -> None:
    body = chat(server, n=3).json
    assert [c["index"] for c in body["choices"]] == [0, 1, 2]
    assert body["usage"]["completion_tokens"] == 12


def test_limits_and_stops_reach_the_engine(server: ServerHandle) -> None:
    short = chat(server, max_completion_tokens=2).json["choices"][0]
    assert (short["message"]["content"], short["finish_reason"]) == ("echo: hello", "length")
    assert chat(server, max_tokens=1).json["choices"][0]["message"]["content"] == "echo:"
    for stop in ("there", ["nothing", "there"]):
        assert chat(server, stop=stop).json["choices"][0]["message"]["content"] == "echo: hello "


def test_a_model_of_a_project_is_named_with_it(server: ServerHandle) -> None:
    assert chat(server, "team/helper").json["model"] == "team/helper"


def test_tools_come_back_as_calls(server: ServerHandle) -> None:
    tools = [{"type": "function", "function": {"name": "add", "parameters": {}}}]
    messages = [{"role": "user", "content": 'call add {"a": 1}'}]
    choice = chat(server, messages=messages, tools=tools).json["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    (call,) = choice["message"]["tool_calls"]
    assert call["function"] == {"name": "add", "arguments": '{"a": 1}'}
    assert "index" not in call
    streamed = events(chat(server, messages=messages, tools=tools, stream=True))
    (part,) = json.loads(streamed[0])["choices"][0]["delta"]["tool_calls"]
    assert (part["index"], part["function"]["name"]) == (0, "add")


def test_a_stream_comes_in_parts_and_ends_with_done(server: ServerHandle) -> None:
    reply = chat(server, stream=True)
    assert reply.headers["content-type"].startswith("text/event-stream")
    *chunks, last = events(reply)
    assert last == "[DONE]"
    parsed = [json.loads(c) for c in chunks]
    assert {c["object"] for c in parsed} == {"chat.completion.chunk"}
    assert len({c["id"] for c in parsed}) == 1
    deltas = [c["choices"][0]["delta"] for c in parsed]
    assert deltas[0]["role"] == "assistant"
    assert "".join(d.get("content", "") for d in deltas) == "echo: hello there you"
    reasons = [c["choices"][0]["finish_reason"] for c in parsed]
    assert reasons[-1] == "stop"
    assert set(reasons[:-1]) == {None}
    assert all("usage" not in c for c in parsed)


@pytest.mark.parametrize("header", [LLAMA, {"User-Agent": "LlamaStackClient/Python 0.3.5"}])
def test_llama_stack_clients_get_no_done(server: ServerHandle, header: dict[str, str]) -> None:
    body = {"model": "echo", "messages": HELLO, "stream": True}
    for event in events(server.call("POST", CHAT, body, headers=header)):
        assert isinstance(json.loads(event), dict)


def test_usage_is_the_last_event_where_it_is_asked_for(server: ServerHandle) -> None:
    reply = chat(server, stream=True, n=2, stream_options={"include_usage": True})
    *chunks, usage, done = events(reply)
    assert done == "[DONE]"
    last = json.loads(usage)
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 3, "completion_tokens": 8, "total_tokens": 11}
    firsts = [json.loads(c)["choices"][0] for c in chunks]
    assert {c["index"] for c in firsts if "role" in c["delta"]} == {0, 1}


@pytest.mark.parametrize("stream", [False, True])
def test_an_engine_that_fails_is_an_error_of_the_request(server: ServerHandle, stream: bool) -> None:
    reply = chat(server, "broken", stream=stream)
    assert reply.status == 503
    assert reply.json["error"]["type"] == "server_error"


def test_completions_are_stored_and_found_by_id(server: ServerHandle) -> None:
    made = chat(server, metadata={"team": "red"}, user="someone").json
    stored = server.call("GET", f"{CHAT}/{made['id']}").json
    assert stored["choices"][0]["message"]["content"] == "echo: hello there you"
    assert stored["input_messages"] == HELLO
    assert stored["usage"] == made["usage"]
    assert server.call("GET", f"{CHAT}/chatcmpl-{'0' * 24}").status == 404
    assert server.call("GET", f"{CHAT}/something").status == 404


def test_stored_completions_are_paged_by_id(server: ServerHandle) -> None:
    ids = [chat(server, "team/helper").json["id"] for _ in range(3)]
    path = f"{CHAT}?model=team/helper&limit=2"
    first = server.call("GET", path).json
    assert [c["id"] for c in first["data"]] == [ids[2], ids[1]]
    assert (first["has_more"], first["first_id"], first["last_id"]) == (True, ids[2], ids[1])
    rest = server.call("GET", f"{path}&after={first['last_id']}").json
    assert rest["data"][0]["id"] == ids[0]
    oldest = server.call("GET", f"{path}&order=asc").json["data"]
    assert [c["id"] for c in oldest][-1] != ids[2]
    assert server.call("GET", f"{path}&after=nonsense").status == 400
    assert server.call("GET", f"{CHAT}?order=sideways").status == 400


def test_text_completions_number_their_choices_through(server: ServerHandle) -> None:
    body = {"model": "upper", "prompt": ["a b", "c"], "n": 2, "echo": True}
    reply = server.call("POST", "/v1/completions", body).json
    assert reply["object"] == "text_completion"
    assert [(c["index"], c["text"]) for c in reply["choices"]] == [(0, "a bA B"), (1, "a bA B"), (2, "cC"), (3, "cC")]
    assert reply["usage"] == {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9}


def test_text_completions_stream(server: ServerHandle) -> None:
    body = {"model": "upper", "prompt": ["a b", "c"], "stream": True, "stream_options": {"include_usage": True}}
    *chunks, usage, done = events(server.call("POST", "/v1/completions", body))
    assert done == "[DONE]"
    texts = {0: "", 1: ""}
    for chunk in chunks:
        (choice,) = json.loads(chunk)["choices"]
        texts[choice["index"]] += choice["text"]
    assert texts == {0: "A B", 1: "C"}
    assert json.loads(usage)["usage"]["total_tokens"] == 6


def test_embeddings_as_numbers_and_packed(server: ServerHandle) -> None:
    import base64
    import struct

    body = {"model": "vectors", "input": ["red", "blue"]}
    plain = server.call("POST", "/v1/embeddings", body).json
    assert [d["index"] for d in plain["data"]] == [0, 1]
    assert len(plain["data"][0]["embedding"]) == 16
    packed = server.call("POST", "/v1/embeddings", {**body, "encoding_format": "base64"}).json
    raw = base64.b64decode(packed["data"][0]["embedding"])
    assert struct.unpack("<16f", raw) == pytest.approx(plain["data"][0]["embedding"], abs=1e-6)
    short = server.call("POST", "/v1/embeddings", {**body, "input": "red", "dimensions": 4}).json
    vector = short["data"][0]["embedding"]
    assert len(vector) == 4
    assert sum(v * v for v in vector) == pytest.approx(1.0)
