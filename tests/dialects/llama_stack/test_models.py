"""Which models are listed, how they are found, and that registered ones can be called."""

from __future__ import annotations

import pytest
from tests.dialects.llama_stack.support import CHAT, HELLO, registered
from tests.support.servers import ServerHandle

from quintet.app.serving.on_demand import serve_registered
from quintet.domain.errors import NotFound
from quintet.domain.models import ModelFormat


def test_models_have_the_fields_of_every_client(server: ServerHandle) -> None:
    listed = {m["id"]: m for m in server.call("GET", "/v1/models").json["data"]}
    echo = listed["echo"]
    assert echo["identifier"] == "echo"
    assert echo["object"] == echo["type"] == "model"
    assert echo["model_type"] == echo["custom_metadata"]["model_type"] == "llm"
    assert echo["provider_id"] == echo["custom_metadata"]["provider_id"] == "test"
    assert listed["vectors"]["model_type"] == "embedding"
    assert listed["helper"]["metadata"]["projects"] == ["team"]


@pytest.mark.parametrize("ref", ["helper", "team/helper"])
def test_a_model_is_found_with_and_without_its_project(server: ServerHandle, ref: str) -> None:
    assert server.call("GET", f"/v1/models/{ref}").json["identifier"] == "helper"


@pytest.mark.parametrize("ref", ["nothing", "team/nothing", "team/echo", "nowhere/helper"])
def test_what_cannot_be_called_is_not_found(server: ServerHandle, ref: str) -> None:
    assert server.call("GET", f"/v1/models/{ref}").status == 404
    assert server.call("POST", CHAT, {"model": ref, "messages": HELLO}).status in (404, 200)


def test_registered_weights_are_listed_before_they_are_deployed(server: ServerHandle) -> None:
    registered(server, "fresh")
    registered(server, "only a record", ModelFormat.NONE)
    listed = {m["id"]: m for m in server.call("GET", "/v1/models").json["data"]}
    assert listed["fresh"]["metadata"] == {"deployed": False}
    assert "only-a-record" not in listed


def test_calling_a_registered_model_deploys_it(server: ServerHandle) -> None:
    registered(server, "on-demand")
    assert server.core.write_now(server.admin, serve_registered, "on-demand") == "on-demand"
    shown = server.call("GET", "/v1/models/on-demand").json
    assert shown["metadata"] == {"deployed": True}


def test_who_may_not_deploy_is_told_so(server: ServerHandle) -> None:
    registered(server, "not-for-all")
    key = server.key_for("inference")
    body = {"model": "not-for-all", "messages": HELLO}
    reply = server.call("POST", CHAT, body, key=key)
    assert reply.status == 409
    assert "not deployed" in reply.json["error"]["message"]
    assert server.call("POST", CHAT, {**body, "model": "echo"}, key=key).status == 200


def test_a_record_without_weights_is_not_served(server: ServerHandle) -> None:
    registered(server, "a-record", ModelFormat.NONE)
    with pytest.raises(NotFound):
        server.core.write_now(server.admin, serve_registered, "a-record")
    assert server.call("POST", CHAT, {"model": "a-record", "messages": HELLO}).status == 404


def test_health_and_version_need_no_key(server: ServerHandle) -> None:
    assert server.call("GET", "/v1/health", key=None).json == {"status": "OK"}
    assert server.call("GET", "/v1/version", key=None).json["version"]
    assert server.call("GET", "/v1/models", key=None).status == 401


def test_providers_are_us_and_the_upstreams(server: ServerHandle) -> None:
    listed = server.call("GET", "/v1/providers").json["data"]
    assert {"inference", "eval", "post_training"} <= {p["api"] for p in listed}
    upstream = server.call("GET", "/v1/providers/test").json
    assert (upstream["api"], upstream["provider_type"]) == ("inference", "remote::fake")
    assert server.call("GET", "/v1/providers/nobody").status == 404


def test_routes_leave_out_what_is_not_implemented(server: ServerHandle) -> None:
    routes = {(r["method"], r["route"]) for r in server.call("GET", "/v1/inspect/routes").json["data"]}
    assert ("GET", "/v1/models/{model_id}") in routes
    assert ("POST", "/v1/post-training/supervised-fine-tune") in routes
    assert ("POST", "/v1/responses") not in routes


def test_rerank_puts_shared_words_first(server: ServerHandle) -> None:
    body = {"model": "echo", "query": "red cat", "items": ["a dog", {"type": "text", "text": "the red cat"}, "cat"]}
    ranked = server.call("POST", "/v1alpha/inference/rerank", body).json["data"]
    assert [r["index"] for r in ranked] == [1, 2, 0]
    assert ranked[0]["relevance_score"] > ranked[1]["relevance_score"] > ranked[2]["relevance_score"] == 0
    assert len(server.call("POST", "/v1alpha/inference/rerank", {**body, "max_num_results": 1}).json["data"]) == 1
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}
    assert server.call("POST", "/v1alpha/inference/rerank", {**body, "query": picture}).status == 400
