"""Logging in, versions, envelopes and refusals."""

from __future__ import annotations

import base64
import http.client
import json
from typing import Any

import pytest
from tests.dialects.clearml.conftest import Api, basic
from tests.support.servers import ServerHandle

from quintet.app.identity import accounts
from quintet.app.services import authenticator
from quintet.dialects.clearml.errors import TABLE
from quintet.dialects.clearml.mount import rpc
from quintet.dialects.kit.contracts import read_coverage
from quintet.domain.ids import Kind, from_hex32


def claims_of(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


def login(server: ServerHandle) -> str:
    reply = server.call("GET", "/auth.login", {}, key=None, headers=basic(server.access_key, server.secret_key))
    assert reply.status == 200, reply.body
    return str(reply.json["data"]["token"])


def test_login_gives_a_token_with_the_claims_that_clients_switch_features_by(server: ServerHandle) -> None:
    claims = claims_of(login(server))
    assert claims["api_version"] == "2.34"
    assert claims["server_version"] == "2.3.0"
    assert claims["feature_set"] == "basic"
    assert claims["auth_type"] == "Bearer"
    assert claims["exp"] - claims["iat"] == 30 * 24 * 3600
    assert claims["identity"]["role"] == "admin"


def test_login_token_serves_as_bearer_and_as_cookie(server: ServerHandle) -> None:
    token = login(server)
    me = server.call("GET", "/v2.23/users.get_current_user", {}, key=token).json["data"]["user"]
    assert me["company"]["id"]
    cookie = {"Cookie": f"clearml_token_basic={token}"}
    assert server.call("GET", "/users.get_current_user", {}, key=None, headers=cookie).status == 200


def test_login_sets_a_cookie_that_scripts_cannot_read(server: ServerHandle) -> None:
    reply = server.call("GET", "/auth.login", {}, key=None, headers=basic(server.access_key, server.secret_key))
    cookie = next(v for k, v in reply.headers.items() if k.lower() == "set-cookie")
    assert cookie.startswith("clearml_token_basic=")
    assert "httponly" in cookie.lower()
    assert "samesite=lax" in cookie.lower()


def test_a_session_ends_with_the_key_that_it_began_with(server: ServerHandle) -> None:
    issued = server.core.write_now(server.admin, accounts.create_key, "short-lived")
    reply = server.call("GET", "/auth.login", {}, key=None, headers=basic(issued.access_key, issued.secret_key))
    token = reply.json["data"]["token"]
    assert server.call("GET", "/users.get_current_user", {}, key=token).status == 200
    server.core.write_now(server.admin, accounts.revoke_key, issued.access_key)
    assert server.call("GET", "/users.get_current_user", {}, key=token).status == 401


def test_a_renewed_session_still_ends_with_its_key(server: ServerHandle) -> None:
    issued = server.core.write_now(server.admin, accounts.create_key, "renewed")
    first = server.call("GET", "/auth.login", {}, key=None, headers=basic(issued.access_key, issued.secret_key))
    second = server.call("GET", "/auth.login", {}, key=first.json["data"]["token"])
    server.core.write_now(server.admin, accounts.revoke_key, issued.access_key)
    assert server.call("GET", "/users.get_current_user", {}, key=second.json["data"]["token"]).status == 401


def test_a_session_from_the_token_of_a_run_lasts_no_longer_than_it(server: ServerHandle, api: Api) -> None:
    run_id = from_hex32(api.running(), Kind.RUN)
    assert run_id is not None
    admin = server.admin
    token = authenticator(server.core).run_token(run_id, admin.user_id, admin.space_id, 60)
    session = server.call("GET", "/auth.login", {"expiration_sec": 9999}, key=token).json["data"]["token"]
    assert claims_of(session)["run"] == run_id
    assert claims_of(session)["exp"] - claims_of(session)["iat"] <= 60
    assert server.call("GET", "/projects.create", {"name": "by a run"}, key=session).status == 403


@pytest.mark.parametrize(
    ("headers", "subcode"),
    [
        ({}, 20),
        ({"Authorization": "Digest x"}, 10),
        ({"Authorization": "Basic ###"}, 21),
        ({"Authorization": "Basic " + base64.b64encode(b"no-colon").decode()}, 21),
        (basic("NOBODY", "nothing"), 22),
        ({"Authorization": "Bearer not-a-token"}, 30),
        ({"Authorization": "Bearer a.b.c"}, 30),
    ],
)
def test_wrong_credentials_are_told_apart(server: ServerHandle, headers: dict[str, str], subcode: int) -> None:
    reply = server.call("GET", "/v2.23/tasks.get_all", {}, key=None, headers=headers)
    assert reply.status == 401
    assert reply.json["meta"]["result_subcode"] == subcode


def test_acting_as_somebody_else_is_refused_and_not_ignored(api: Api) -> None:
    reply = api.reply("tasks.get_all", {}, headers={"X-ClearML-Impersonate-As": "someone"})
    assert reply.status == 400


def test_the_envelope_says_what_was_asked(api: Api) -> None:
    meta = api.reply("debug.ping", {"x": 1}, headers={"X-ClearML-Trx": "abc"}).json["meta"]
    assert len(meta["id"]) == 32
    assert meta["trx"] == "abc"
    assert meta["endpoint"] == {"name": "debug.ping", "requested_version": "2.23", "actual_version": "1.0"}
    assert (meta["result_code"], meta["result_subcode"], meta["result_msg"]) == (200, 0, "OK")
    assert meta["error_stack"] is None
    assert meta["error_data"] == {}


@pytest.mark.parametrize("version", ["", "v2.5/", "v2.14/", "v999.0/"])
def test_every_version_from_the_first_on_is_served(api: Api, version: str) -> None:
    assert api.reply("tasks.get_all", {}, version=version).status == 200


def test_ping_needs_no_key_and_echoes(server: ServerHandle) -> None:
    assert server.call("GET", "/debug.ping", {"a": 1}, key=None).json["data"] == {"a": 1}


def test_an_unknown_endpoint_is_404_with_the_words_that_agents_look_for(api: Api) -> None:
    reply = api.reply("workers.get_runtime_properties")
    meta = reply.json["meta"]
    assert (reply.status, meta["result_subcode"]) == (404, 0)
    assert meta["result_msg"].startswith("Unable to find endpoint for name workers.get_runtime_properties and version")


def test_what_is_not_served_says_so_and_never_503(api: Api) -> None:
    reply = api.reply("reports.create", {"name": "a report"})
    assert reply.status == 501
    assert "not implemented" in reply.json["meta"]["result_msg"].lower()


def test_unknown_fields_are_ignored(api: Api) -> None:
    assert api("tasks.get_all", method="get", anything={"a": 1})["tasks"] is not None


def test_parameters_of_the_query_string_are_part_of_the_body(server: ServerHandle, api: Api) -> None:
    task = api.task("from the query")
    found = server.call("GET", f"/v2.23/tasks.get_all?id[]={task}&only_fields[]=name").json["data"]["tasks"]
    assert found == [{"id": task, "name": "from the query"}]


BAD = [
    ("tasks.get_by_id", b"{not json", 400, 12, "body"),
    ("tasks.get_by_id", b"[1]", 400, 12, "body"),
    ("tasks.get_by_id", b"{}", 400, 11, "task"),
    ("tasks.get_by_id", b'{"task": 5}', 400, 12, "task"),
    ("tasks.create", b'{"name": "abc"}', 400, 11, "type"),
    ("tasks.create", b'{"name": "ab", "type": "training"}', 400, 800, "name"),
    ("tasks.create", b'{"name": "abc", "type": "nonsense"}', 400, 12, "type"),
    ("tasks.create", b'{"name": "abc", "type": "training", "tags": "x"}', 400, 12, "tags"),
    ("tasks.edit", b'{"task": "x", "hyperparams": {"General": 1}}', 400, 12, "hyperparams"),
    ("tasks.get_all", b'{"page": -1}', 400, 12, "page"),
    ("tasks.get_all", b'{"page_size": 0}', 400, 12, "page_size"),
    ("tasks.get_all", b'{"name": "("}', 400, 21, "name"),
    ("tasks.get_all", b'{"only_fields": ["nonsense.x"]}', 400, 14, "only_fields"),
    ("tasks.get_all", b'{"tags": ["__$what"]}', 400, 16, "tags"),
    ("tasks.get_all", b'{"_all_": {"fields": ["name"]}}', 400, 12, "_all_"),
    ("tasks.get_all", b'{"filters": {"tags": {"every": {}}}}', 400, 12, "filters.tags"),
    ("tasks.get_all", b'{"created": [1]}', 400, 12, "created"),
    ("tasks.get_all", b'{"last_update": [">=yesterday"]}', 400, 12, "last_update"),
    ("events.get_task_plots", b'{"task": "x", "iters": 0}', 400, 101, ""),
    ("models.create", b'{"name": "abc"}', 400, 11, "uri"),
    ("queues.create", b"{}", 400, 11, "name"),
    ("workers.register", b"{}", 400, 11, "worker"),
]


@pytest.mark.parametrize(("name", "body", "code", "subcode", "field"), BAD)
def test_bad_input_names_the_field(
    server: ServerHandle, name: str, body: bytes, code: int, subcode: int, field: str
) -> None:
    reply = server.call("POST", f"/v2.23/{name}", raw=body)
    meta = reply.json["meta"]
    assert (reply.status, meta["result_subcode"]) == (code, subcode), meta
    if field:
        assert field in meta["error_data"]["field"]


@pytest.mark.parametrize(
    ("name", "fields", "code"),
    [
        ("tasks.get_by_id", ["task"], 101),
        ("tasks.edit", ["task"], 101),
        ("tasks.started", ["task"], 101),
        ("events.get_task_log", ["task"], 101),
        ("models.get_by_id", ["model"], 201),
        ("projects.get_by_id", ["project"], 401),
        ("queues.get_by_id", ["queue"], 701),
        ("queues.get_next_task", ["queue"], 701),
    ],
)
def test_ids_that_are_unknown_or_of_another_kind_are_refused(
    server: ServerHandle, api: Api, name: str, fields: list[str], code: int
) -> None:
    queue = api("queues.get_default")["id"]
    other = queue if code != 701 else api.task()
    for ident in ("nonsense", "0" * 32, other):
        assert api.refused(name, **{fields[0]: ident}) == (400, code)


def test_an_oversized_body_is_refused_before_it_is_read(server: ServerHandle) -> None:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=20)
    connection.putrequest("POST", "/v2.23/tasks.create")
    connection.putheader("Authorization", f"Bearer {server.key}")
    connection.putheader("Content-Length", str(17 << 20))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_a_compressed_body_is_refused(server: ServerHandle) -> None:
    headers = {"Content-Encoding": "gzip"}
    assert server.call("POST", "/v2.23/tasks.get_all", raw=b"x", headers=headers).status == 415


def test_a_role_that_may_only_read_changes_nothing(server: ServerHandle, api: Api) -> None:
    key = server.key_for("read-only")
    task = api.task("not yours to change")
    assert api.reply("tasks.get_by_id", {"task": task}, key=key).status == 200
    for name, body in (
        ("tasks.create", {"name": "abc", "type": "training"}),
        ("tasks.edit", {"task": task, "comment": "x"}),
        ("tasks.started", {"task": task}),
        ("tasks.delete", {"task": task}),
        ("projects.create", {"name": "forbidden"}),
        ("models.create", {"name": "forbidden", "uri": "x"}),
        ("queues.create", {"name": "forbidden"}),
        ("events.add", {"type": "log", "task": task, "msg": "x"}),
    ):
        reply = api.reply(name, body, key=key)
        assert reply.status in (400, 403), (name, reply.body)
    assert api.get(task)["comment"] == ""


def test_every_error_of_the_family_has_its_own_row() -> None:
    assert TABLE.total()


def test_coverage_is_what_was_recorded() -> None:
    assert read_coverage("clearml") == rpc.coverage()
