"""Chat completions and embeddings over the wire."""

from __future__ import annotations

import base64
import http.client
import json
import struct
import uuid
from typing import Any

import pytest
from tests.dialects.adaptive.conftest import Client, user
from tests.support.servers import ServerHandle


def chunks(body: bytes) -> list[dict[str, Any]]:
    events = [line[6:] for line in body.decode().split("\n") if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    return [json.loads(event) for event in events[:-1]]


def test_a_reply_has_everything_that_the_official_and_the_openai_client_need(client: Client) -> None:
    reply = client.server.call("POST", "/api/v1/chat/completions", {"model": client.use_case, "messages": user("hi")})
    body = reply.json
    choice = body["choices"][0]
    assert reply.status == 200
    assert float(reply.headers["x-quintet-overhead-ms"]) >= 0
    assert choice["message"] == {"id": choice["completion_id"], "role": "assistant", "content": "HI"}
    assert choice["finish_reason"] == "stop"
    assert choice["model"] == body["model"] == "alpha"
    assert body["object"] == "chat.completion"
    assert body["usage"] == {"completion_tokens": 1, "prompt_tokens": 1, "total_tokens": 2}
    assert uuid.UUID(body["session_id"])
    assert uuid.UUID(choice["completion_id"])


def test_n_choices_are_n_completions_with_the_same_labels_in_one_group(client: Client) -> None:
    reply = client.chat("twice", n=2, labels={"run": "7"})
    made = {c["completion_id"] for c in reply["choices"]}
    filter = {"useCase": client.use_case, "labels": [{"key": "run", "value": ["7"]}]}
    found = client.gql(
        "query($f: ListCompletionsFilterInput!) {"
        " completions(filter: $f, page: {}) { totalCount nodes { id labels { key value } } }"
        " completionsGrouped(filter: $f, groupBy: PROMPT, page: {}) { totalCount nodes { count } } }",
        f=filter,
    )
    assert {n["id"] for n in found["completions"]["nodes"]} == made
    assert found["completions"]["totalCount"] == 2
    assert found["completions"]["nodes"][0]["labels"] == [{"key": "run", "value": "7"}]
    assert found["completionsGrouped"] == {"totalCount": 1, "nodes": [{"count": 2}]}


def test_a_stream_carries_the_same_text_and_the_usage_that_was_asked_for(client: Client) -> None:
    body = {"model": client.use_case, "messages": user("a b c"), "stream": True}
    body["stream_options"] = {"include_usage": True}
    reply = client.server.call("POST", "/api/v1/chat/completions", body)
    assert reply.headers["content-type"].startswith("text/event-stream")
    *parts, last = chunks(reply.body)
    assert "".join(p["choices"][0]["delta"]["content"] for p in parts) == "A B C"
    assert all({"id", "role", "content"} <= set(p["choices"][0]["delta"]) for p in parts)
    assert parts[-1]["choices"][0]["finish_reason"] == "stop"
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 6)
    stored = client.gql(
        "query($u: IdOrKey!, $i: UUID!) { completion(useCase: $u, id: $i) { completion } }",
        u=client.use_case, i=parts[0]["choices"][0]["completion_id"],
    )  # fmt: skip
    assert stored["completion"]["completion"] == "A B C"


def test_a_stream_without_the_wish_has_no_usage(client: Client) -> None:
    body = {"model": client.use_case, "messages": user("a"), "stream": True, "stream_options": {}}
    reply = client.server.call("POST", "/api/v1/chat/completions", body)
    assert all(c["choices"] and "usage" not in c for c in chunks(reply.body))


def test_a_session_id_that_a_client_made_up_is_kept_and_found_again(client: Client) -> None:
    session = str(uuid.uuid4())
    first, second = client.chat("one", session_id=session), client.chat("two", session_id=session)
    client.chat("elsewhere")
    assert first["session_id"] == second["session_id"] == session
    found = client.gql(
        "query($f: ListCompletionsFilterInput!) { completions(filter: $f, page: {}) { nodes {"
        " session { id turns { completion } } history { level prompt completion } userMetadata } } }",
        f={"useCase": client.use_case, "sessionId": session},
    )["completions"]["nodes"]
    assert [n["session"]["id"] for n in found] == [session, session]
    assert [t["completion"] for t in found[0]["session"]["turns"]] == ["ONE", "TWO"]
    assert found[0]["history"] == [{"level": 0, "prompt": "one", "completion": "ONE"}]
    assert found[0]["userMetadata"] is None


def test_a_session_that_the_server_made_is_found_by_the_id_it_gave(client: Client) -> None:
    session = client.chat("one")["session_id"]
    client.chat("two", session_id=session)
    filter = {"useCase": client.use_case, "sessionId": session}
    found = client.gql("query($f: ListCompletionsFilterInput!) { completions(filter: $f, page: {}) { totalCount } }",
                       f=filter)  # fmt: skip
    assert found["completions"]["totalCount"] == 2


def test_stop_and_token_limit_end_a_reply(client: Client) -> None:
    assert client.chat("one two three", stop=["TWO"])["choices"][0]["message"]["content"].strip() == "ONE"
    limited = client.chat("one two three", max_tokens=1)["choices"][0]
    assert (limited["message"]["content"], limited["finish_reason"]) == ("ONE", "length")


def test_a_model_is_named_by_key_or_id_and_the_use_case_too(client: Client) -> None:
    case = client.gql("query($k: IdOrKey!) { useCase(idOrKey: $k) { id modelServices { id key model { id } } } }",
                      k=client.use_case)["useCase"]  # fmt: skip
    beta = next(s for s in case["modelServices"] if s["key"] == "beta")
    for path in (f"{client.use_case}/beta", f"{case['id']}/beta", f"{client.use_case}/{beta['id']}",
                 f"{client.use_case}/{beta['model']['id']}"):  # fmt: skip
        body = {"model": path, "messages": user("x")}
        assert client.rest("chat/completions", body)["choices"][0]["model"] == "beta", path


def test_image_parts_are_taken_as_text_or_as_object(client: Client) -> None:
    parts = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": "data:image/png;base64,AA=="},
             {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]  # fmt: skip
    reply = client.rest("chat/completions",
                        {"model": client.use_case, "messages": [{"role": "user", "content": parts}]})  # fmt: skip
    assert reply["choices"][0]["message"]["content"].startswith("SEE")


@pytest.mark.parametrize("encoding", ["Float", "float", "Base64", "base64", None])
def test_embeddings_come_as_numbers_or_packed(client: Client, encoding: str | None) -> None:
    body = {"model": client.use_case, "input": "text", "encoding_format": encoding}
    (item,) = client.rest("embeddings", {k: v for k, v in body.items() if v is not None})["data"]
    vector = item["embedding"]
    if (encoding or "float").lower() == "base64":
        raw = base64.b64decode(vector)
        vector = list(struct.unpack(f"<{len(raw) // 4}f", raw))
    assert len(vector) == 16
    assert abs(sum(v * v for v in vector) - 1) < 1e-5


def test_embeddings_are_no_completions(client: Client) -> None:
    client.rest("embeddings", {"model": client.use_case, "input": "text"})
    found = client.gql("query($u: IdOrKey!) { completions(filter: {useCase: $u}, page: {}) { totalCount } }",
                       u=client.use_case)  # fmt: skip
    assert found["completions"]["totalCount"] == 0


BAD_CHATS: list[tuple[str, dict[str, Any], int, str]] = [
    ("no messages", {"messages": []}, 400, "messages"),
    ("messages of the wrong type", {"messages": "x"}, 400, "messages"),
    ("a role that is none", {"messages": [{"role": "wizard", "content": "x"}]}, 400, "messages[0].role"),
    ("a message without content", {"messages": [{"role": "user"}]}, 400, "messages[0].content"),
    ("a part that is none", {"messages": [{"role": "user", "content": [{"type": "x"}]}]}, 400, "content[0]"),
    ("no choices", {"n": 0}, 400, "'n'"),
    ("too hot", {"temperature": 9}, 400, "temperature"),
    ("text as number", {"max_tokens": "5"}, 400, "max_tokens"),
    ("a session that is no UUID", {"session_id": "abc"}, 400, "session_id"),
    ("an A/B test that is not there", {"ab_campaign": "none"}, 404, "EntityNotFound: ab_campaign 'none'"),
    ("a prompt template", {"system_prompt_args": {"a": 1}}, 501, "system_prompt_args"),
]


@pytest.mark.parametrize(("_name", "change", "status", "said"), BAD_CHATS, ids=[c[0] for c in BAD_CHATS])
@pytest.mark.parametrize("stream", [False, True])
def test_bad_requests_name_the_field_before_anything_streams(
    client: Client, _name: str, change: dict[str, Any], status: int, said: str, stream: bool
) -> None:
    body = {"model": client.use_case, "messages": user("x"), "stream": stream, **change}
    reply = client.server.call("POST", "/api/v1/chat/completions", body)
    assert reply.status == status
    assert said in reply.json["error"]


def test_a_model_that_is_not_there_is_an_entity_not_found(client: Client) -> None:
    reply = client.server.call("POST", "/api/v1/chat/completions",
                               {"model": f"{client.use_case}/none", "messages": user("x")})  # fmt: skip
    assert (reply.status, reply.json["error"]) == (404, f"EntityNotFound: model '{client.use_case}/none'")


def test_a_use_case_without_models_says_what_to_do(client: Client) -> None:
    client.gql('mutation { createUseCase(input: {name: "Bare", key: "bare-chat"}) { id } }')
    reply = client.server.call("POST", "/api/v1/chat/completions", {"model": "bare-chat", "messages": user("x")})
    assert reply.status in (404, 409)
    assert "model" in reply.json["error"]


def test_keys_and_rights_are_asked_for(client: Client, server: ServerHandle) -> None:
    body = {"model": client.use_case, "messages": user("x")}
    assert server.call("POST", "/api/v1/chat/completions", body, key=None).status == 401
    assert server.call("POST", "/api/v1/chat/completions", body, key="qk_wrong.key").status == 401
    assert server.call("POST", "/api/v1/chat/completions", body, key=server.key_for("inference")).status == 200
    assert server.call("POST", "/api/v1/chat/completions", body, key=server.key_for("annotator")).status == 403


def test_malformed_and_oversized_bodies_are_refused(server: ServerHandle) -> None:
    assert server.call("POST", "/api/v1/chat/completions", raw=b"{").status == 400
    assert server.call("POST", "/api/v1/chat/completions", raw=b"").status == 400
    # Only announced: a server that refuses a body need not read it, and urllib would fail in the sending.
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    connection.putrequest("POST", "/api/v1/chat/completions")
    connection.putheader("Authorization", f"Bearer {server.key}")
    connection.putheader("Content-Length", str(17 << 20))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_unknown_paths_and_methods_have_the_dialects_shape(server: ServerHandle) -> None:
    assert "error" in server.call("GET", "/api/v1/nothing").json
    assert server.call("GET", "/api/v1/chat/completions").status == 405
    assert server.call("GET", "/health").status == 200
