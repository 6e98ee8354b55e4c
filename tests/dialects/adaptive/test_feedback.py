"""Feedback, preferences, outcomes and logged interactions over the wire."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from tests.dialects.adaptive.conftest import Client, user

SHOWN = (
    "query($u: IdOrKey!, $i: UUID!) { completion(useCase: $u, id: $i) { source createdAt completion model { key }"
    " directFeedbacks { id value reason details userId createdAt metric { key } }"
    " comparisonFeedbacks { id metric { key } preferedCompletion { id } otherCompletion { id completion } } } }"
)


def shown(client: Client, completion: str) -> Any:
    return client.gql(SHOWN, u=client.use_case, i=completion)["completion"]


def test_a_value_is_shown_on_its_completion(client: Client) -> None:
    metric, said, person = client.metric(), client.said(), str(uuid.uuid4())
    given = client.rest("feedback", {"metric": metric, "completion_id": said, "value": True, "user_id": person,
                                     "reason": "Style", "details": "fine"}, 201)  # fmt: skip
    (found,) = shown(client, said)["directFeedbacks"]
    assert found["id"] == given["feedback_id"]
    assert (found["value"], found["reason"], found["details"]) == (1.0, "Style", "fine")
    assert (found["userId"], found["metric"]) == (person, {"key": metric})


def test_feedback_links_its_metric_to_the_use_case(client: Client) -> None:
    metric = client.metric("SCALAR")
    client.rest("feedback", {"metric": metric, "completion_id": client.said(), "value": 2.5}, 201)
    found = client.gql("query($u: IdOrKey!) { useCase(idOrKey: $u) { metrics { key feedbackCount } } }",
                       u=client.use_case)["useCase"]["metrics"]  # fmt: skip
    assert found == [{"key": metric, "feedbackCount": 1}]


def test_a_preference_is_shown_on_both_sides(client: Client) -> None:
    metric, good, bad = client.metric(), client.said("p"), client.said("p", "beta")
    made = client.rest("comparison", {"metric": metric, "preferred_completion": good, "other_completion": bad}, 201)
    for side in (good, bad):
        (found,) = shown(client, side)["comparisonFeedbacks"]
        assert found["id"] == made["comparison_id"]
        assert (found["preferedCompletion"]["id"], found["otherCompletion"]["id"]) == (good, bad)
        assert shown(client, side)["directFeedbacks"] == []


def test_raw_texts_become_completions_first(client: Client) -> None:
    body = {"metric": client.metric(), "use_case": client.use_case, "messages": user("which"), "tied": "good",
            "preferred_completion": {"text": "this", "model": "alpha"},
            "other_completion": {"text": "that", "model": "beta"}}  # fmt: skip
    client.rest("comparison", body, 201)
    nodes = client.gql("query($u: IdOrKey!) { completions(filter: {useCase: $u}, page: {}) { nodes {"
                       " completion source model { key } comparisonFeedbacks { id } } } }",
                       u=client.use_case)["completions"]["nodes"]  # fmt: skip
    assert {(n["completion"], n["source"], n["model"]["key"]) for n in nodes} == {
        ("this", "OFFLINE", "alpha"), ("that", "OFFLINE", "beta")}  # fmt: skip
    assert len({f["id"] for n in nodes for f in n["comparisonFeedbacks"]}) == 1


def test_a_logged_interaction_keeps_its_time_and_its_feedback(client: Client) -> None:
    metric = client.metric()
    made = client.rest(
        "interactions",
        {"use_case": client.use_case, "messages": user("q"), "completion": "a", "model_service": "beta",
         "created_at": "2024-02-03T04:05:06Z", "labels": {"from": "log"},
         "feedbacks": [{"metric": metric, "value": 0, "details": "no"}]},
        201,
    )  # fmt: skip
    found = shown(client, made["completion_id"])
    assert (found["completion"], found["source"], found["model"]) == ("a", "OFFLINE", {"key": "beta"})
    assert found["createdAt"] == 1706933106000
    assert [f["id"] for f in found["directFeedbacks"]] == made["feedback_ids"]
    assert uuid.UUID(made["session_id"])


def test_a_logged_interaction_with_bad_feedback_leaves_nothing(client: Client) -> None:
    body = {"use_case": client.use_case, "messages": user("q"), "completion": "a",
            "feedbacks": [{"metric": "unheard-of", "value": 1}]}  # fmt: skip
    reply = client.server.call("POST", "/api/v1/interactions", body)
    assert (reply.status, reply.json["error"]) == (404, "EntityNotFound: metric 'unheard-of'")
    found = client.gql("query($u: IdOrKey!) { completions(filter: {useCase: $u}, page: {}) { totalCount } }",
                       u=client.use_case)  # fmt: skip
    assert found["completions"]["totalCount"] == 0


def test_an_outcome_is_about_a_session(client: Client) -> None:
    metric, session = client.metric("SCALAR"), client.chat()["session_id"]
    assert uuid.UUID(client.rest("outcome", {"metric": metric, "session_id": session, "value": 3}, 201)["outcome_id"])
    client.rest("outcome", {"metric": metric, "session_id": str(uuid.uuid4()), "value": 3}, 404)


def test_feedback_is_given_and_corrected_in_graphql_too(client: Client) -> None:
    said = client.said()
    made = client.gql(
        "mutation($c: UUID!, $m: IdOrKey!) { addDirectFeedback(completionId: $c, metricId: $m,"
        " input: {value: 4, details: \"x\"}) { id value } }", c=said, m=client.metric("SCALAR"),
    )["addDirectFeedback"]  # fmt: skip
    changed = client.gql("mutation($i: UUID!) { updateFeedback(id: $i, input: {value: 5}) { id value details } }",
                         i=made["id"])["updateFeedback"]  # fmt: skip
    assert changed == {"id": made["id"], "value": 5.0, "details": "x"}


BAD: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("a yes/no metric takes no 2", "feedback", {"value": 2}, 400, "takes 0, 1, true or false"),
    ("text is no value", "feedback", {"value": "good"}, 400, "value"),
    ("an unknown reason", "feedback", {"value": 1, "reason": "Mood"}, 400, "reason"),
    ("no UUID", "feedback", {"value": 1, "completion_id": "x"}, 400, "completion_id"),
    ("a UUID of nobody", "feedback", {"value": 1, "completion_id": str(uuid.uuid4())}, 404, "completion '"),
    ("an unknown metric", "feedback", {"value": 1, "metric": "zz"}, 404, "EntityNotFound: metric 'zz'"),
    ("one id and one text", "comparison", {"other_completion": {"text": "a", "model": "b"}}, 400, "two texts"),
    ("a tie of another sort", "comparison", {"tied": "so-so"}, 400, "tied"),
    ("against itself", "comparison", {}, 400, "itself"),
]  # fmt: skip


@pytest.mark.parametrize(("_name", "path", "change", "status", "said"), BAD, ids=[c[0] for c in BAD])
def test_bad_feedback_is_refused_by_name(
    client: Client, _name: str, path: str, change: dict[str, Any], status: int, said: str
) -> None:
    completion, metric = client.said(), client.metric()
    whole = {"metric": metric, "completion_id": completion}
    if path == "comparison":
        whole = {"metric": metric, "preferred_completion": completion, "other_completion": completion}
    reply = client.server.call("POST", f"/api/v1/{path}", {**whole, **change})
    assert (reply.status, said in reply.json["error"]) == (status, True), reply.body


def test_an_id_of_another_kind_is_not_found(client: Client) -> None:
    case = client.gql("query($k: IdOrKey!) { useCase(idOrKey: $k) { id } }", k=client.use_case)["useCase"]["id"]
    client.rest("feedback", {"metric": client.metric(), "completion_id": case, "value": 1}, 404)


def test_readers_give_no_feedback_and_annotators_do(client: Client) -> None:
    body = {"metric": client.metric(), "completion_id": client.said(), "value": 1}
    client.rest("feedback", body, 403, key=client.server.key_for("read-only"))
    client.rest("feedback", body, 201, key=client.server.key_for("annotator"))
