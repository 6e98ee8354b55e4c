"""Datasets and their rows, those of other dialects included."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.dialects.llama_stack.support import dataset
from tests.support.servers import Reply, ServerHandle

from quintet.app.datasets.fill import create_with_rows
from quintet.app.datasets.manage import CreateDataset
from quintet.app.projects.manage import find_project
from quintet.domain.data import DatasetKind

ROWS = "/v1beta/datasetio/iterrows"
APPEND = "/v1beta/datasetio/append-rows"


def register(server: ServerHandle, key: str, source: dict[str, Any], **fields: Any) -> Reply:
    body = {"purpose": "eval/question-answer", "source": source, "dataset_id": key, **fields}
    return server.call("POST", "/v1beta/datasets", body)


def rows(*names: str) -> dict[str, Any]:
    return {"type": "rows", "rows": [{"question": name, "answer": 1} for name in names]}


def test_a_dataset_comes_back_as_it_was_registered(server: ServerHandle) -> None:
    made = register(server, "plain", rows("a"), metadata={"k": [1]}).json
    assert made == server.call("GET", "/v1beta/datasets/plain").json
    assert (made["identifier"], made["type"], made["purpose"]) == ("plain", "dataset", "eval/question-answer")
    assert made["source"] == rows("a")
    assert made["metadata"] == {"k": [1]}
    assert "plain" in {d["identifier"] for d in server.call("GET", "/v1/datasets").json["data"]}


def test_ids_may_hold_slashes(server: ServerHandle) -> None:
    register(server, "org/data/set", rows("a"))
    assert server.call("GET", "/v1beta/datasets/org/data/set").json["identifier"] == "org/data/set"
    assert server.call("GET", f"{ROWS}/org/data/set").json["data"] == [{"question": "a", "answer": 1}]
    assert server.call("DELETE", "/v1beta/datasets/org/data/set").status == 204
    assert server.call("GET", "/v1beta/datasets/org/data/set").status == 404


def test_rows_are_read_by_start_and_limit(server: ServerHandle) -> None:
    register(server, "paged", rows("a", "b", "c", "d"))

    def read(query: str) -> tuple[str, bool]:
        reply = server.call("GET", f"{ROWS}/paged{query}").json
        assert reply["url"] == f"{ROWS}/paged"
        return "".join(r["question"] for r in reply["data"]), reply["has_more"]

    assert read("") == ("abcd", False)
    assert read("?limit=-1&start_index=2") == ("cd", False)
    assert read("?start_index=1&limit=2") == ("bc", True)
    assert read("?start_index=3") == ("d", False)
    assert read("?start_index=9&limit=2") == ("", False)
    assert read("?limit=0") == ("", True)
    assert server.call("GET", f"{ROWS}/paged?start_index=-1").status == 400
    assert server.call("GET", f"{ROWS}/paged?limit=-2").status == 400


def test_appended_rows_are_kept(server: ServerHandle) -> None:
    register(server, "growing", rows("a"))
    reply = server.call("POST", f"{APPEND}/growing", {"rows": [{"question": "b", "other": None}]})
    assert (reply.status, reply.json) == (200, None)
    assert server.call("GET", f"{ROWS}/growing").json["data"][1] == {"question": "b", "other": None}


def test_registering_the_same_again_keeps_its_rows(server: ServerHandle) -> None:
    register(server, "twice", rows("a"))
    server.call("POST", f"{APPEND}/twice", {"rows": [{"question": "b"}]})
    assert register(server, "twice", rows("a")).status == 200
    assert len(server.call("GET", f"{ROWS}/twice").json["data"]) == 2


def test_registering_another_under_the_same_id_conflicts(server: ServerHandle) -> None:
    register(server, "taken", rows("a"))
    reply = register(server, "taken", rows("z"))
    assert reply.status == 409
    assert reply.headers["x-should-retry"] == "false"
    assert server.call("GET", f"{ROWS}/taken").json["data"][0]["question"] == "a"


def test_an_id_is_made_up_where_none_is_given(server: ServerHandle) -> None:
    body = {"purpose": "eval/question-answer", "source": rows("a")}
    assert server.call("POST", "/v1beta/datasets", body).json["identifier"].startswith("dataset-")


def test_datasets_of_other_projects_are_found_by_key(server: ServerHandle) -> None:
    project = server.core.read_now(server.admin, find_project, "team")
    row = {"messages": [{"role": "user", "content": "1 May"}], "completion": "05-01"}
    cmd = CreateDataset("Answers", "date-answers", project.id, DatasetKind.PROMPT_COMPLETION)
    create_with_rows(server.core, server.admin, cmd, [row])
    shown = server.call("GET", "/v1beta/datasets/date-answers").json
    assert shown["purpose"] == "post-training/messages"
    assert server.call("GET", f"{ROWS}/date-answers").json["data"] == [row]


CSV = b"question,answer,code\nfirst,1,007\nsecond,,12\n"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("data:text/csv;base64," + base64.b64encode(CSV).decode(),
         [{"question": "first", "answer": 1, "code": "007"}, {"question": "second", "answer": None, "code": "12"}]),
        ("data:application/json,%5B%7B%22a%22:1%7D%5D", [{"a": 1}]),
        ("data:,%7B%22a%22:1%7D%0A%7B%22a%22:2%7D", [{"a": 1}, {"a": 2}]),
    ],
)  # fmt: skip
def test_rows_come_out_of_a_uri(server: ServerHandle, uri: str, expected: list[dict[str, Any]]) -> None:
    key = f"uri-{len(uri)}"
    made = register(server, key, {"type": "uri", "uri": uri})
    assert made.json["source"]["type"] == "uri"
    assert server.call("GET", f"{ROWS}/{key}").json["data"] == expected


@pytest.mark.parametrize(
    ("source", "status", "field"),
    [
        ({"type": "uri", "uri": "data:text/csv,a%0A1,2"}, 400, "source.uri"),
        ({"type": "uri", "uri": "data:application/json,{"}, 400, "source.uri"),
        ({"type": "uri", "uri": "data:application/json,[1]"}, 400, "source.uri"),
        ({"type": "uri", "uri": "data:nothing"}, 400, "source.uri"),
        ({"type": "uri"}, 400, "source.uri"),
        ({"type": "rows"}, 400, "source.rows"),
        ({"type": "rows", "rows": [1]}, 400, "source.rows[0]"),
        ({"type": "moon"}, 400, "source.type"),
        ({"type": "uri", "uri": "huggingface://datasets/x"}, 501, None),
    ],
)
def test_sources_that_give_no_rows_are_refused(
    server: ServerHandle, source: dict[str, Any], status: int, field: str | None
) -> None:
    reply = register(server, "refused", source)
    assert (reply.status, reply.json["error"]["param"]) == (status, field)
    assert server.call("GET", "/v1beta/datasets/refused").status == 404


def test_early_metadata_in_a_string_is_read(server: ServerHandle) -> None:
    assert register(server, "early", rows("a"), metadata='{"a": 1}').json["metadata"] == {"a": 1}
    assert register(server, "early2", rows("a"), metadata="a").status == 400


def test_who_may_only_read_makes_and_changes_nothing(server: ServerHandle) -> None:
    dataset(server, "guarded", [{"question": "a"}])
    key = server.key_for("read-only")
    body = {"purpose": "eval/question-answer", "source": rows("a"), "dataset_id": "new"}
    assert server.call("POST", "/v1beta/datasets", body, key=key).status == 403
    assert server.call("POST", f"{APPEND}/guarded", {"rows": [{}]}, key=key).status == 403
    assert server.call("DELETE", "/v1beta/datasets/guarded", key=key).status == 403
    assert server.call("GET", f"{ROWS}/guarded", key=key).status == 200
