"""The AI gateway: endpoints, who may call them, and the three routes of MLflow's deployments client."""

from __future__ import annotations

from typing import Any

import pytest
from tests.dialects.domino.asking import ask, fresh, member, ok, refused
from tests.support.servers import ServerHandle

from quintet.app.serving.deployments import CreateEndpoint, create_endpoint, get_deployment

ROOT = "/api/aigateway/v1/endpoints"


def new_endpoint(**fields: Any) -> dict[str, Any]:
    return {
        "endpointName": fresh("gate"), "endpointType": "llm/v1/chat", "modelProvider": "openai",
        "modelName": "gpt-4o-mini", "modelConfig": {"openai_api_key": "SK-S3CRET"}, **fields,
    }  # fmt: skip


def test_an_endpoint_never_shows_its_key_again(server: ServerHandle) -> None:
    body = new_endpoint()
    made = ok(server, "POST", ROOT, body)
    assert made["modelConfig"] == {"openai_api_key": "********"}
    one = f"{ROOT}/{body['endpointName']}"
    for reply in (ask(server, "GET", ROOT), ask(server, "GET", one)):
        assert b"S3CRET" not in reply.body
    kept = server.core.read_now(server.admin, get_deployment, made["endpointId"])
    assert kept.config["base_url"] == "https://api.openai.com/v1"
    assert "S3CRET" not in str(kept)
    sealed = kept.config["api_key"]

    base = {"modelConfig": {"openai_api_key": "********", "openai_api_base": "https://gate.example.org/v1"}}
    ok(server, "PATCH", one, {**base, "modelName": "other"})
    kept = server.core.read_now(server.admin, get_deployment, made["endpointId"])
    assert (kept.config["base_url"], kept.upstream_model) == ("https://gate.example.org/v1", "other")
    unsealed = [server.core.ports.sealer.unseal(s["sealed"]) for s in (sealed, kept.config["api_key"])]
    assert unsealed == ["SK-S3CRET"] * 2
    ok(server, "DELETE", one)
    refused(server, 404, "GET", one)


def test_only_whom_an_endpoint_is_open_to_sees_it(server: ServerHandle) -> None:
    (user, key), (_, other) = member(server, "inference"), member(server, "inference")
    body = new_endpoint(endpointPermissions={"isEveryoneAllowed": False, "userIds": [user.id]})
    ok(server, "POST", ROOT, body)
    one = f"{ROOT}/{body['endpointName']}"
    ok(server, "GET", one, key=key)
    refused(server, 404, "GET", one, key=other)
    refused(server, 404, "POST", f"/endpoints/{body['endpointName']}/invocations", {"messages": []}, key=other)
    refused(server, 403, "PATCH", f"{one}/permissions", {"isEveryoneAllowed": True}, key=key)
    opened = ok(server, "PATCH", f"{one}/permissions", {"isEveryoneAllowed": True})
    assert opened == {"isEveryoneAllowed": True, "userIds": []}
    ok(server, "GET", one, key=other)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"endpointType": "llm/v1/paint"}, "endpointType"),
        ({"modelProvider": "acme"}, "modelProvider"),
        ({"modelProvider": "ollama", "modelConfig": {}}, "modelConfig.api_base"),
        ({"modelConfig": {"openai_api_base": "file:///etc/passwd"}}, "base_url"),
        ({"endpointName": "a/b"}, "key"),
        ({"endpointPermissions": {"userIds": ["0" * 24]}}, "userIds"),
    ],
)
def test_an_endpoint_that_could_not_be_called_is_refused(
    server: ServerHandle, changes: dict[str, Any], named: str
) -> None:
    assert named in refused(server, 400, "POST", ROOT, new_endpoint(**changes))


@pytest.fixture
def fake(server: ServerHandle) -> str:
    key = fresh("fake")
    server.core.write_now(server.admin, create_endpoint, CreateEndpoint(key, "test", "fake-1", engine="fake"))
    return key


@pytest.mark.parametrize("prefix", ["", "/mlflow-deployments"])
def test_a_deployments_client_lists_finds_and_asks(server: ServerHandle, fake: str, prefix: str) -> None:
    listed = ok(server, "GET", f"{prefix}/api/2.0/endpoints/")["endpoints"]
    mine = next(e for e in listed if e["name"] == fake)
    assert mine == ok(server, "GET", f"{prefix}/api/2.0/endpoints/{fake}")
    assert mine["limit"] is None
    body = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 20}
    reply = ok(server, "POST", prefix + mine["endpoint_url"], body)
    assert reply["object"] == "chat.completion"
    assert reply["choices"][0]["message"]["role"] == "assistant"
    assert reply["choices"][0]["message"]["content"]
    assert reply["usage"]["total_tokens"] == reply["usage"]["prompt_tokens"] + reply["usage"]["completion_tokens"]


def test_a_stream_ends_with_done(server: ServerHandle, fake: str) -> None:
    body = {"messages": [{"role": "user", "content": "hello"}], "stream": True}
    reply = ask(server, "POST", f"/endpoints/{fake}/invocations", body)
    events = [line for line in reply.body.decode().splitlines() if line.startswith("data: ")]
    assert events[-1] == "data: [DONE]"
    assert '"chat.completion.chunk"' in events[0]


def test_completions_and_embeddings_have_their_own_shapes(server: ServerHandle) -> None:
    for task in ("completion", "embedding"):
        key = fresh(task)
        made = CreateEndpoint(key, "test", "fake-1", engine="fake", task=task)
        server.core.write_now(server.admin, create_endpoint, made)
        body = {"prompt": "once"} if task == "completion" else {"input": ["a", "b"]}
        reply = ok(server, "POST", f"/endpoints/{key}/invocations", body)
        if task == "completion":
            assert (reply["object"], bool(reply["choices"][0]["text"])) == ("text_completion", True)
        else:
            assert [d["index"] for d in reply["data"]] == [0, 1]


def test_what_an_endpoint_cannot_read_names_the_field(server: ServerHandle, fake: str) -> None:
    path = f"/endpoints/{fake}/invocations"
    assert "messages" in ask(server, "POST", path, {"prompt": "x"}).json["message"]
    assert ask(server, "POST", path, {"messages": "x"}).status == 400
    refused(server, 404, "POST", "/endpoints/nothing/invocations", {"messages": []})
