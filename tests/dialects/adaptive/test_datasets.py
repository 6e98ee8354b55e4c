"""Datasets: uploads in one piece and in parts, and datasets made of recorded completions."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from tests.dialects.adaptive.conftest import Client, user

CREATE = (
    "mutation($i: DatasetCreateFromFilters!) { createDatasetFromFilters(input: $i) { id key name kind records source"
    " createdAt deleted metricsUsage { feedbackCount comparisonCount metric { key } } } }"
)


def rows_of(client: Client, dataset: str) -> list[dict[str, Any]]:
    reply = client.server.call("GET", f"/api/v1/datasets/{dataset}/download")
    assert reply.status == 200, reply.body
    return [json.loads(line) for line in reply.body.splitlines()]


def from_filters(client: Client, kind: str, query: dict[str, Any] | None = None, **more: Any) -> Any:
    everything = {"fromFilters": {"filters": {"useCase": client.use_case}, "exclude": []}}
    given = {"useCase": client.use_case, "name": "made", "kind": kind, "completionQuery": query or everything, **more}
    return client.gql(CREATE, i=given)["createDatasetFromFilters"]


# -- uploads --------------------------------------------------------------------------------------------------


def test_an_upload_knows_its_kind_and_registers_its_metrics(client: Client) -> None:
    key = f"stars-{uuid.uuid4().hex[:6]}"
    rows = [{"messages": user(str(n)), "completion": "x", "feedbacks": {key: n, f"{key}-ok": True}} for n in range(3)]
    made = client.upload(rows, "mine").json["data"]["createDataset"]
    assert (made["key"], made["kind"], made["records"]) == ("mine", "PROMPT_COMPLETION_FEEDBACK", 3)
    assert made["source"] == "UPLOADED"
    assert made["metricsUsage"] == [
        {"feedbackCount": 3, "comparisonCount": 0, "metric": {"key": key, "kind": "SCALAR"}},
        {"feedbackCount": 3, "comparisonCount": 0, "metric": {"key": f"{key}-ok", "kind": "BOOL"}},
    ]
    linked = client.gql("query($u: IdOrKey!) { useCase(idOrKey: $u) { metrics { key } } }", u=client.use_case)
    assert [m["key"] for m in linked["useCase"]["metrics"]] == [key, f"{key}-ok"]


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"messages": user("a")}, "PROMPT"),
        ({"input": user("a")}, "PROMPT"),
        ({"prompt": [["system", "s"], ["user", "u"]], "completion": ["assistant", "x"], "metadata": {}},
         "PROMPT_COMPLETION"),
        ({"messages": user("a"), "preferred_completion": "x", "other_completion": "y", "feedback_key": "k"},
         "PREFERENCE"),
    ],
)  # fmt: skip
def test_rows_are_taken_in_every_documented_spelling(client: Client, row: dict[str, Any], kind: str) -> None:
    made = client.upload([row]).json["data"]["createDataset"]
    assert made["kind"] == kind
    assert rows_of(client, made["id"])[0]["messages"][-1]["content"] in ("a", "u")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "at least one row"),
        (b"{nonsense", "line 1 is not JSON"),
        (b'{"messages": [{"role": "user", "content": "a"}]}\n[]', "line 2 is not a JSON object"),
        (b'{"messages": [{"role": "user", "content": "a"}]}\n{"text": "b"}', "line 2: 'messages' is missing"),
        (b'{"messages": [{"content": "a"}]}', "line 1: 'messages' holds a message without a role"),
        (b'{"messages": [{"role":"user","content":"a"}],"completion":1}', "line 1: 'completion' must be text"),
    ],
)
def test_a_bad_file_names_its_line_and_leaves_nothing(client: Client, data: bytes, said: str) -> None:
    assert said in client.upload(data, "bad").json["errors"][0]["message"]
    assert client.gql("query($u: IdOrKey!) { datasets(useCase: $u) { id } }", u=client.use_case)["datasets"] == []


def test_a_key_is_taken_once_in_a_use_case(client: Client) -> None:
    assert "data" in client.upload([{"messages": user("a")}], "once").json
    assert "is there already" in client.upload([{"messages": user("a")}], "once").json["errors"][0]["message"]


def test_datasets_are_listed_found_and_deleted_by_id_or_key(client: Client) -> None:
    made = client.upload([{"messages": user("a")}], "d1").json["data"]["createDataset"]
    both = "datasets(useCase: $u) { id } dataset(idOrKey: $d, useCase: $u) { id }"
    query = f"query($u: IdOrKey!, $d: IdOrKey!) {{ {both} }}"
    for ref in ("d1", made["id"]):
        found = client.gql(query, u=client.use_case, d=ref)
        assert (found["dataset"]["id"], [d["id"] for d in found["datasets"]]) == (made["id"], [made["id"]])
    delete = "mutation($u: IdOrKey!, $d: IdOrKey!) { deleteDataset(idOrKey: $d, useCase: $u) }"
    assert client.gql(delete, u=client.use_case, d="d1")["deleteDataset"] is True
    assert client.gql(query, u=client.use_case, d="d1") == {"datasets": [], "dataset": None}
    assert client.error(delete, u=client.use_case, d="d1")["message"] == "EntityNotFound: dataset 'd1'"


def test_a_large_file_comes_in_parts(client: Client) -> None:
    lines = b"\n".join(json.dumps({"messages": user(f"row {n}")}).encode() for n in range(100))
    session = client.rest("upload/init", {"total_parts_count": 2, "content_type": "application/jsonl",
                                          "metadata": None})["session_id"]  # fmt: skip
    half = len(lines) // 2
    create = (
        "mutation($i: DatasetCreateFromMultipartUpload!) { createDatasetFromMultipartUpload(input: $i)"
        " { id records kind } }"
    )
    given = {"useCase": client.use_case, "name": "big", "uploadSessionId": session}

    def part(number: int, data: bytes) -> int:
        path = f"/api/v1/upload/part?session_id={session}&part_number={number}"
        return client.server.call("POST", path, raw=data).status

    assert part(2, lines[half:]) == 200
    assert "part 1 of 2" in client.error(create, i=given)["message"]
    assert part(3, b"") == 400
    assert part(1, lines[:half]) == 200
    assert client.rest("upload/status", {"session_id": session}) == {"completed_parts": [1, 2], "total_parts_count": 2}
    made = client.gql(create, i=given)["createDatasetFromMultipartUpload"]
    assert (made["records"], made["kind"]) == (100, "PROMPT")
    assert rows_of(client, made["id"])[99]["messages"] == user("row 99")
    assert "EntityNotFound" in client.error(create, i=given)["message"]
    assert client.server.call("DELETE", "/api/v1/upload/abort", {"session_id": session}).status == 200


def test_uploads_are_refused_without_the_right_and_with_bad_numbers(client: Client) -> None:
    client.rest("upload/init", {"total_parts_count": 0}, 400)
    client.rest("upload/init", {"total_parts_count": 1}, 403, key=client.server.key_for("read-only"))
    assert client.server.call("POST", "/api/v1/upload/part?part_number=1", raw=b"").status == 400
    client.rest("upload/status", {"session_id": "nobody"}, 404)


# -- out of completions ---------------------------------------------------------------------------------------


def test_prompts_and_completions_become_rows(client: Client) -> None:
    client.said("one", labels={"k": "v"}), client.said("two")
    prompts = from_filters(client, "PROMPT", key="p1")
    assert (prompts["key"], prompts["records"], prompts["source"], prompts["kind"]) == ("p1", 2, "FILTERED", "PROMPT")
    assert [r["messages"] for r in rows_of(client, prompts["id"])] == [user("one"), user("two")]
    rows = rows_of(client, from_filters(client, "PROMPT_COMPLETION")["id"])
    assert [(r["completion"], r.get("labels")) for r in rows] == [("ONE", {"k": "v"}), ("TWO", None)]


def test_only_completions_with_feedback_in_the_metrics_become_feedback_rows(client: Client) -> None:
    stars, good, other = client.metric("SCALAR"), client.metric(), client.metric()
    first, second, third = client.said("1"), client.said("2"), client.said("3")
    for said, metric, value in ((first, stars, 1), (first, stars, 4), (second, good, True), (third, other, True)):
        client.rest("feedback", {"metric": metric, "completion_id": said, "value": value}, 201)
    client.said("nobody judged this")
    made = from_filters(client, "PROMPT_COMPLETION_FEEDBACK", metrics=[stars, good])
    assert [(r["completion"], r["feedbacks"]) for r in rows_of(client, made["id"])] == [
        ("1", {stars: 4.0}), ("2", {good: True})]  # fmt: skip
    assert {(u["metric"]["key"], u["feedbackCount"]) for u in made["metricsUsage"]} == {(stars, 1), (good, 1)}


def test_comparisons_become_preferences_once_and_ties_do_not(client: Client) -> None:
    metric = client.metric()
    good, bad, tied = client.said("p"), client.said("p", "beta"), client.said("p")
    for preferred, other, tie in ((good, bad, None), (tied, bad, "bad")):
        body = {"metric": metric, "preferred_completion": preferred, "other_completion": other}
        client.rest("comparison", {**body, **({"tied": tie} if tie else {})}, 201)
    made = from_filters(client, "PREFERENCE")
    (row,) = rows_of(client, made["id"])
    assert (row["messages"], row["preferred_completion"], row["other_completion"], row["feedback_key"]) == (
        user("p"), "P", "echo: p", metric)  # fmt: skip
    assert made["metricsUsage"] == [{"feedbackCount": 0, "comparisonCount": 1, "metric": {"key": metric}}]
    one_side = {"fromSelection": {"include": [bad]}}
    assert from_filters(client, "PREFERENCE", one_side)["records"] == 1


def test_conditions_on_feedback_choose_the_completions(client: Client) -> None:
    metric = client.metric("SCALAR")
    for text, value in (("low", 1), ("high", 5)):
        client.rest("feedback", {"metric": metric, "completion_id": client.said(text), "value": value}, 201)
    filters = {"useCase": client.use_case, "feedbacks": [{"metric": metric, "gte": 3}]}
    made = from_filters(client, "PROMPT_COMPLETION", {"fromFilters": {"filters": filters, "exclude": []}})
    assert [r["completion"] for r in rows_of(client, made["id"])] == ["HIGH"]


def test_completions_are_chosen_by_id_by_exclusion_and_by_group(client: Client) -> None:
    a, b, c = client.said("a"), client.said("b"), client.said("c", "beta")

    def chosen(query: dict[str, Any]) -> list[str]:
        return [r["completion"] for r in rows_of(client, from_filters(client, "PROMPT_COMPLETION", query)["id"])]

    mine = {"useCase": client.use_case}
    assert chosen({"fromSelection": {"include": [c, a]}}) == ["A", "echo: c"]
    assert chosen({"fromFilters": {"filters": mine, "exclude": [a]}}) == ["B", "echo: c"]
    groups = [{"groupId": "alpha", "selection": {"exclude": [a]}}, {"groupId": "beta", "selection": {"exclude": []}}]
    assert chosen({"fromGroups": {"filters": mine, "grouping": "MODEL", "groups": groups}}) == ["B", "echo: c"]
    only = [{"groupId": "alpha", "selection": {"selectOnly": [b]}}]
    assert chosen({"fromGroups": {"filters": mine, "grouping": "MODEL", "groups": only}}) == ["B"]
    hash = client.gql("query($u: IdOrKey!, $i: UUID!) { completion(useCase: $u, id: $i) { promptHash } }",
                      u=client.use_case, i=a)["completion"]["promptHash"]  # fmt: skip
    prompt = [{"groupId": hash, "selection": {"exclude": []}}]
    assert chosen({"fromGroups": {"filters": mine, "grouping": "PROMPT", "groups": prompt}}) == ["A"]


def test_samples_are_the_last_or_any(client: Client) -> None:
    for n in range(6):
        client.said(f"t{n}")

    def sample(how: str, size: int) -> list[str]:
        made = from_filters(client, "PROMPT", sampleConfig={"selectionType": how, "sampleSize": size})
        return [r["messages"][0]["content"] for r in rows_of(client, made["id"])]

    assert sample("LAST", 2) == ["t4", "t5"]
    assert sample("ALL", 2) == ["t0", "t1"]
    assert len(set(sample("RANDOM", 3))) == 3
    assert len(sample("RANDOM", 99)) == 6


def test_feedback_labels_narrow_whose_feedback_counts(client: Client) -> None:
    metric = client.metric()
    for text, labels in (("a", {"by": "expert"}), ("b", {"by": "crowd"})):
        said = client.said(text, labels=labels)
        client.rest("feedback", {"metric": metric, "completion_id": said, "value": 1}, 201)
    made = from_filters(client, "PROMPT_COMPLETION_FEEDBACK",
                        feedbackFilters={"labels": [{"key": "by", "value": ["expert"]}]})  # fmt: skip
    assert [r["completion"] for r in rows_of(client, made["id"])] == ["A"]


def test_a_preview_shows_rows_and_makes_nothing(client: Client) -> None:
    client.said("look")
    query = "query($i: DatasetCreateFromFilters!) { previewDatasetFromFilters(input: $i) }"
    given = {"useCase": client.use_case, "name": "n", "kind": "PROMPT_COMPLETION",
             "completionQuery": {"fromFilters": {"filters": {"useCase": client.use_case}, "exclude": []}}}  # fmt: skip
    text = client.gql(query, i=given)["previewDatasetFromFilters"]
    assert json.loads(text)["completion"] == "LOOK"
    assert client.gql("query($u: IdOrKey!) { datasets(useCase: $u) { id } }", u=client.use_case)["datasets"] == []


def test_bad_selections_are_refused_and_make_nothing(client: Client) -> None:
    client.said("x")
    mine = {"useCase": client.use_case}
    base = {"useCase": client.use_case, "name": "n", "kind": "PROMPT",
            "completionQuery": {"fromFilters": {"filters": mine, "exclude": []}}}  # fmt: skip
    for change, said in (
        ({"kind": "PREFERENCE"}, "none gives a row of this kind"),
        ({"sampleConfig": {"selectionType": "LAST", "sampleSize": 0}}, "sampleSize"),
        ({"metrics": ["none"]}, "EntityNotFound: metric 'none'"),
        ({"completionQuery": {"fromFilters": {"filters": {"useCase": "other"}, "exclude": []}}}, "same use case"),
        ({"completionQuery": {"fromSelection": {"include": []}, "fromFilters": {"filters": mine, "exclude": []}}}, ""),
        ({"useCase": "none"}, "same use case"),
    ):
        assert said in client.error(CREATE, i={**base, **change})["message"]
    assert client.gql("query($u: IdOrKey!) { datasets(useCase: $u) { id } }", u=client.use_case)["datasets"] == []


def test_readers_make_no_datasets(client: Client) -> None:
    client.said("x")
    given = {"useCase": client.use_case, "name": "n", "kind": "PROMPT",
             "completionQuery": {"fromFilters": {"filters": {"useCase": client.use_case}, "exclude": []}}}  # fmt: skip
    reply = client.raw(CREATE, key=client.server.key_for("read-only"), i=given)
    assert reply.json["errors"][0]["extensions"]["code"] == "forbidden"
