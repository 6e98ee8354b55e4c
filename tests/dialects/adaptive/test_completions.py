"""Lists of completions: filters, pages both ways, order, groups."""

from __future__ import annotations

from typing import Any

import pytest
from tests.dialects.adaptive.conftest import Client, user

LIST = (
    "query($f: ListCompletionsFilterInput!, $p: CursorPageInput!, $o: [OrderPair!]) {"
    " completions(filter: $f, page: $p, order: $o) { totalCount pageInfo { hasNextPage hasPreviousPage startCursor"
    " endCursor } nodes { id completion } edges { cursor node { id } } } }"
)


def listed(client: Client, page: dict[str, Any] | None = None, order: Any = None, **filter: Any) -> Any:
    variables = {"f": {"useCase": client.use_case, **filter}, "p": page or {}}
    query = LIST if order else LIST.replace(", $o: [OrderPair!]", "").replace(", order: $o", "")
    return client.gql(query, **variables, **({"o": order} if order else {}))["completions"]


def texts(found: Any) -> list[str]:
    return [n["completion"] for n in found["nodes"]]


@pytest.fixture
def five(client: Client) -> list[str]:
    return [client.said(word) for word in ("a", "b", "c", "d", "e")]


def test_the_newest_come_first_and_pages_go_forwards(client: Client, five: list[str]) -> None:
    first = listed(client, {"first": 2})
    assert (texts(first), first["totalCount"]) == (["E", "D"], 5)
    assert (first["pageInfo"]["hasNextPage"], first["pageInfo"]["hasPreviousPage"]) == (True, False)
    second = listed(client, {"first": 2, "after": first["pageInfo"]["endCursor"]})
    third = listed(client, {"first": 2, "after": second["pageInfo"]["endCursor"]})
    assert texts(second) + texts(third) == ["C", "B", "A"]
    assert (third["pageInfo"]["hasNextPage"], third["pageInfo"]["hasPreviousPage"]) == (False, True)
    assert third["edges"][-1]["cursor"] == third["pageInfo"]["endCursor"]


def test_pages_go_backwards_from_a_cursor_and_from_the_end(client: Client, five: list[str]) -> None:
    end = listed(client, {"last": 2})
    assert texts(end) == ["B", "A"]
    assert (end["pageInfo"]["hasNextPage"], end["pageInfo"]["hasPreviousPage"]) == (False, True)
    before = listed(client, {"last": 2, "before": end["pageInfo"]["startCursor"]})
    assert texts(before) == ["D", "C"]
    assert before["pageInfo"]["hasPreviousPage"] is True
    start = listed(client, {"last": 2, "before": before["pageInfo"]["startCursor"]})
    assert (texts(start), start["pageInfo"]["hasPreviousPage"]) == (["E"], False)


def test_lists_are_sorted_by_the_time_that_clients_gave(client: Client) -> None:
    for at, text in (("2024-03-01", "march"), ("2024-01-01", "january"), ("2024-02-01", "february")):
        client.rest("interactions", {"use_case": client.use_case, "messages": user("q"), "completion": text,
                                     "created_at": at}, 201)  # fmt: skip
    by_time = [{"field": "created_at", "order": "ASC"}]
    assert texts(listed(client, order=by_time)) == ["january", "february", "march"]
    assert texts(listed(client, order=[{"field": "created_at", "order": "DESC"}])) == ["march", "february", "january"]
    assert texts(listed(client, order=[{"field": "id", "order": "ASC"}])) == ["march", "january", "february"]
    page = listed(client, {"first": 1}, by_time)
    assert texts(listed(client, {"first": 5, "after": page["pageInfo"]["endCursor"]}, by_time)) == ["february", "march"]
    assert texts(listed(client, {"last": 1}, by_time)) == ["march"]


def test_no_items_may_be_asked_for(client: Client, five: list[str]) -> None:
    found = listed(client, {"first": 0})
    assert (found["nodes"], found["totalCount"]) == ([], 5)


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ({"first": -1}, 'The "first" parameter must be a non-negative number'),
        ({"first": 1001}, "at most 1000"),
        ({"first": 1, "last": 1}, "not both"),
        ({"first": 1, "after": "nonsense"}, "cursor"),
        ({"last": 1, "after": "x"}, "'before' with 'last'"),
    ],
)
def test_bad_pages_are_refused(client: Client, page: dict[str, Any], said: str) -> None:
    error = client.error(LIST, f={"useCase": client.use_case}, p=page, o=[{"field": "id", "order": "DESC"}])
    assert said in error["message"]


def test_a_list_has_no_order_by_other_fields(client: Client) -> None:
    error = client.error(LIST, f={"useCase": client.use_case}, p={}, o=[{"field": "mood", "order": "ASC"}])
    assert "id, created_at" in error["message"]


def test_filters_narrow_by_everything_they_name(client: Client) -> None:
    metric, other = client.metric("SCALAR"), client.metric("SCALAR")
    low, high = client.said("low"), client.said("high", "beta", labels={"k": "v", "l": "w"})
    person = "7b0ee4f6-3f0c-4a8f-9f0e-0d3a3a7a1c11"
    mine = client.said("mine", user=person)
    for said, value, reason in ((low, 1, "Style"), (high, 5, None)):
        body = {"metric": metric, "completion_id": said, "value": value, "reason": reason, "user_id": person}
        client.rest("feedback", {k: v for k, v in body.items() if v is not None}, 201)
    client.rest("comparison", {"metric": other, "preferred_completion": low, "other_completion": mine}, 201)
    hash = client.gql("query($u: IdOrKey!, $i: UUID!) { completion(useCase: $u, id: $i) { promptHash } }",
                      u=client.use_case, i=low)["completion"]["promptHash"]  # fmt: skip

    def ids(**filter: Any) -> set[str]:
        return {n["id"] for n in listed(client, **filter)["nodes"]}

    assert ids(models=["beta"]) == {high}
    assert ids(models=["alpha", "beta"]) == {low, high, mine}
    assert ids(labels=[{"key": "k"}]) == {high}
    assert ids(labels=[{"key": "k", "value": ["x", "v"]}, {"key": "l"}]) == {high}
    assert ids(labels=[{"key": "k", "value": ["x"]}]) == set()
    assert ids(feedbacks=[{"metric": metric}]) == {low, high}
    assert ids(feedbacks=[{"metric": metric, "gt": 1}]) == {high}
    assert ids(feedbacks=[{"metric": metric, "gte": 1, "lt": 5}]) == {low}
    assert ids(feedbacks=[{"metric": metric, "eq": 5}]) == {high}
    assert ids(feedbacks=[{"metric": metric, "neq": 5}]) == {low}
    assert ids(feedbacks=[{"metric": metric, "lte": 0}]) == set()
    assert ids(feedbacks=[{"metric": metric, "reasons": ["Style", "Factuality"]}]) == {low}
    assert ids(feedbacks=[{"metric": metric, "user": person}]) == {low, high}
    assert ids(comparisons=[{"metric": other}]) == {low, mine}
    assert ids(userId=person) == {mine}
    assert ids(promptHash=hash) == {low}
    assert ids(completionId=mine) == {mine}
    assert ids(completionId=person) == set()
    assert ids(source=["LIVE"]) == {low, high, mine}
    assert ids(source=["OFFLINE", "DATASET"]) == set()
    assert ids(timerange={"from": "now - 1 hour", "to": "now + 1 minute"}) == {low, high, mine}
    assert ids(timerange={"from": "2020-01-01", "to": 1600000000000}) == set()


def test_filters_by_what_is_not_there_say_so(client: Client) -> None:
    for filter, said in (
        ({"useCase": "none"}, "EntityNotFound: use_case 'none'"),
        ({"useCase": client.use_case, "models": ["none"]}, "EntityNotFound: model 'none'"),
        ({"useCase": client.use_case, "feedbacks": [{"metric": "none"}]}, "EntityNotFound: metric 'none'"),
    ):
        query = "query($f: ListCompletionsFilterInput!) { completions(filter: $f, page: {}) { totalCount } }"
        assert client.error(query, f=filter)["message"] == said


def test_my_own_calls_are_found_by_my_user_id(client: Client) -> None:
    me = client.gql("{ me { id } }")["me"]["id"]
    said = client.said()
    client.said("for somebody", user="7b0ee4f6-3f0c-4a8f-9f0e-0d3a3a7a1c12")
    assert [n["id"] for n in listed(client, userId=me)["nodes"]] == [said]


GROUPED = (
    "query($f: ListCompletionsFilterInput!, $b: CompletionGroupBy!, $p: CursorPageInput!) {"
    " completionsGrouped(filter: $f, groupBy: $b, page: $p) { totalCount groupBy pageInfo { hasNextPage endCursor }"
    " nodes { key count directFeedbacksStats { metric { key } feedbacks average max min stddev sum }"
    " completions(page: $p, order: [{field: \"created_at\", order: DESC}]) { totalCount nodes { completion } } } } }"
)


def grouped(client: Client, by: str, page: dict[str, Any]) -> Any:
    return client.gql(GROUPED, f={"useCase": client.use_case}, b=by, p=page)["completionsGrouped"]


def test_groups_have_their_counts_statistics_and_first_completions(client: Client) -> None:
    metric = client.metric("SCALAR")
    for text, value in (("x", 1), ("x", 3), ("y", 10)):
        client.rest("feedback", {"metric": metric, "completion_id": client.said(text), "value": value}, 201)
    client.said("x", "beta")
    found = grouped(client, "PROMPT", {"first": 10})
    assert (found["totalCount"], found["groupBy"]) == (2, "PROMPT")
    by_count = {n["count"]: n for n in found["nodes"]}
    assert by_count[3]["directFeedbacksStats"] == [
        {"metric": {"key": metric}, "feedbacks": 2, "average": 2.0, "max": 3.0, "min": 1.0, "stddev": 1.0, "sum": 4.0}
    ]
    assert by_count[3]["completions"]["totalCount"] == 3
    assert [n["completion"] for n in by_count[3]["completions"]["nodes"]] == ["echo: x", "X", "X"]
    models = {n["key"]: n["count"] for n in grouped(client, "MODEL", {})["nodes"]}
    assert models == {"alpha": 3, "beta": 1}


def test_the_page_of_the_groups_may_be_the_page_of_their_completions(client: Client) -> None:
    for text in ("p", "q", "r"):
        client.said(text)
    first = grouped(client, "PROMPT", {"first": 2})
    assert first["pageInfo"]["hasNextPage"] is True
    second = grouped(client, "PROMPT", {"first": 2, "after": first["pageInfo"]["endCursor"]})
    assert second["pageInfo"]["hasNextPage"] is False
    shown = [n for page in (first, second) for n in page["nodes"]]
    assert sorted(n["completions"]["nodes"][0]["completion"] for n in shown) == ["P", "Q", "R"]


def test_labels_and_metadata_are_changed(client: Client) -> None:
    said = client.said("x", labels={"a": "1", "b": "2"})
    query = (
        "mutation($i: UpdateCompletion!) { updateCompletion(input: $i) { labels { key value } userMetadata canEdit"
        " session { id } } }"
    )
    changed = client.gql(query, i={"id": said, "removeLabels": [{"key": "a", "value": "1"}, {"key": "b", "value": "9"}],
                                   "addLabels": [{"key": "c", "value": "3"}], "metadata": {"note": 1}})  # fmt: skip
    shown = changed["updateCompletion"]
    assert shown["labels"] == [{"key": "b", "value": "2"}, {"key": "c", "value": "3"}]
    assert (shown["userMetadata"], shown["canEdit"]) == ({"note": 1}, True)
    again = client.gql(query, i={"id": said, "setLabels": [{"key": "z", "value": "0"}]})["updateCompletion"]
    assert (again["labels"], again["userMetadata"]) == ([{"key": "z", "value": "0"}], {"note": 1})
    usage = client.gql("query($u: IdOrKey!) { useCase(idOrKey: $u) { labelUsage { keys { key count values { value"
                       " count } } } } }", u=client.use_case)["useCase"]["labelUsage"]["keys"]  # fmt: skip
    assert usage == [{"key": "z", "count": 1, "values": [{"value": "0", "count": 1}]}]


def test_a_completion_of_another_use_case_is_null(client: Client) -> None:
    query = "query($u: IdOrKey!, $i: UUID!) { completion(useCase: $u, id: $i) { id } }"
    other = client.gql('mutation { createUseCase(input: {name: "elsewhere"}) { key } }')["createUseCase"]["key"]
    assert client.gql(query, u=other, i=client.said())["completion"] is None
    assert client.gql(query, u="none", i="7b0ee4f6-3f0c-4a8f-9f0e-0d3a3a7a1c12")["completion"] is None


def test_siblings_are_other_answers_to_the_same_prompt(client: Client) -> None:
    client.said("same"), client.said("same", "beta"), client.said("other")
    query = (
        "query($u: IdOrKey!) { completions(filter: {useCase: $u}, page: {}) { nodes {"
        " completion(maxLength: 4) siblingsCount(filter: {useCase: $u}) } } }"
    )
    found = {n["completion"]: n["siblingsCount"] for n in client.gql(query, u=client.use_case)["completions"]["nodes"]}
    assert found == {"OTHE": 0, "SAME": 1, "echo": 1}
