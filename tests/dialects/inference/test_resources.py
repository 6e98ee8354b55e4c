"""The resources that the Inference API alone has: their fields, choices, pages and soft deletion."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.servers import ServerHandle

BASE = "/inference/v1"
MADE: dict[str, dict[str, Any]] = {
    "action-groups": {"name": "Retention", "description": "keep them"},
    "actions": {"name": "Call", "description": "ring", "type": "offer", "priority": "high", "start_date": "2026-01-01"},
    "data-models": {"name": "Transactions", "description": "what they bought"},
    "experts": {"name": "Cards", "description": "knows cards", "tools": [{"type": "function", "name": "x"}]},
    "personas": {"name": "Ann", "birthdate": "1990-05-17", "notes": "runs", "data": {"city": "Köln"}},
}
SILENT = {"experts", "personas"}


@pytest.mark.parametrize("kind", list(MADE))
def test_a_resource_lives_from_creation_to_deletion(server: ServerHandle, kind: str) -> None:
    made = server.call("POST", f"{BASE}/{kind}", MADE[kind])
    assert made.status == 201
    ident = made.json["id"]
    assert {k: made.json[k] for k in MADE[kind]} == MADE[kind]
    assert server.call("GET", f"{BASE}/{kind}/{ident}").json == made.json
    for method in ("PUT", "PATCH"):
        changed = server.call(method, f"{BASE}/{kind}/{ident}", {"name": f"by {method} 🙂/\"'"})
        assert changed.status == 200
        assert changed.json["name"] == f"by {method} 🙂/\"'"
    assert ident in [d["id"] for d in server.call("GET", f"{BASE}/{kind}?limit=1000").json["data"]]
    gone = server.call("DELETE", f"{BASE}/{kind}/{ident}")
    assert gone.status == (204 if kind in SILENT else 200)
    assert gone.body == b"" if kind in SILENT else gone.json == {"id": ident}
    assert server.call("GET", f"{BASE}/{kind}/{ident}").status == 404
    assert ident not in [d["id"] for d in server.call("GET", f"{BASE}/{kind}?limit=1000").json["data"]]


def test_pages_meet_every_resource_once(server: ServerHandle) -> None:
    names = [f"group {n}" for n in range(7)]
    for name in names:
        server.call("POST", f"{BASE}/action-groups", {"name": name, "description": "d"})
    seen: list[str] = []
    after = ""
    while True:
        page = server.call("GET", f"{BASE}/action-groups?limit=3&after={after}").json
        seen += [d["name"] for d in page["data"] if d["name"] in names]
        if not page["has_more"]:
            break
        after = page["data"][-1]["id"]
    assert seen == names
    second = server.call("GET", f"{BASE}/action-groups?page_size=3&page=2").json
    third = server.call("GET", f"{BASE}/action-groups?pageSize=3&page=2").json
    assert second == third
    assert second["count"] >= 7


@pytest.mark.parametrize(
    ("kind", "change", "field"),
    [
        ("actions", {"priority": "urgent"}, "priority"),
        ("actions", {"status": "gone"}, "status"),
        ("actions", {"start_date": "soon"}, "start_date"),
        ("actions", {"name": None}, "name"),
        ("actions", {"name": 3}, "name"),
        ("experts", {"tools": "all"}, "tools"),
        ("personas", {"data": []}, "data"),
        ("personas", {"birthdate": "yesterday"}, "birthdate"),
    ],
)
def test_what_cannot_be_is_named_and_changes_nothing(
    server: ServerHandle, kind: str, change: dict[str, Any], field: str
) -> None:
    before = server.call("GET", f"{BASE}/{kind}?limit=1000").json["count"]
    refused = server.call("POST", f"{BASE}/{kind}", {**MADE[kind], **change})
    assert refused.status == 400
    assert refused.json["field"] == field
    assert isinstance(refused.json["error"], str)
    assert server.call("GET", f"{BASE}/{kind}?limit=1000").json["count"] == before


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "page=0", "page_size=-1", "after=nonsense"])
def test_a_bad_page_is_named(server: ServerHandle, query: str) -> None:
    refused = server.call("GET", f"{BASE}/personas?{query}")
    assert refused.status == 400
    assert refused.json["field"] == query.partition("=")[0]


def test_another_space_is_refused(server: ServerHandle) -> None:
    assert server.call("GET", f"{BASE}/me", headers={"X-Space-Id": "0" * 24}).status == 403
    own = server.call("GET", f"{BASE}/me").json["spaces"][0]["id"]
    assert server.call("GET", f"{BASE}/me", headers={"X-Space-Id": own}).status == 200


def test_a_user_edits_names_and_persona(server: ServerHandle) -> None:
    key = server.key_for("member")
    changed = server.call("PUT", f"{BASE}/me", {"first_name": "Ada", "last_name": "L.", "role": "designer"}, key=key)
    assert (changed.json["first_name"], changed.json["last_name"], changed.json["role"]) == ("Ada", "L.", "designer")
    assert server.call("PUT", f"{BASE}/me", {"role": "owner"}, key=key).json["field"] == "role"
    mine = server.call("GET", f"{BASE}/me", key=key).json
    assert "trainings:create" in mine["permissions"]
    reader = server.call("GET", f"{BASE}/me", key=server.key_for("read-only")).json
    assert "trainings:create" not in reader["permissions"]
    assert "trainings:list" in reader["permissions"]


def test_spaces_are_seen_and_renamed(server: ServerHandle) -> None:
    space = server.call("GET", f"{BASE}/spaces").json["data"][0]
    renamed = server.call("PUT", f"{BASE}/spaces/{space['id']}", {"name": "Lab", "description": "ours"}).json
    assert (renamed["name"], renamed["description"]) == ("Lab", "ours")
    assert server.call("GET", f"{BASE}/spaces/{space['id']}").json == renamed
    assert server.call("PUT", f"{BASE}/spaces/{space['id']}", {"name": ""}).status == 400
    assert server.call("PUT", f"{BASE}/spaces/{space['id']}", {"name": "x"}, key=server.key_for("member")).status == 403
    assert server.call("GET", f"{BASE}/spaces/{'0' * 24}").status == 404
