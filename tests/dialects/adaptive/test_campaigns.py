"""A/B campaigns: made, fed, ended by themselves or cancelled."""

from __future__ import annotations

from typing import Any

import pytest
from tests.dialects.adaptive.conftest import Client, _numbers

SHOWN = (
    "{ id key name status feedbackType trafficSplit autoDeploy beginDate endDate createdAt feedbacks"
    " hasEnoughFeedbacks metric { key } useCase { key } models { key } report { pValue variants { variant { key }"
    " interval { start middle end } mean feedbacks comparisons { variant { key } feedbacks wins losses tiesGood"
    " tiesBad } } } }"
)


def create(client: Client, metric: str, **more: Any) -> Any:
    given = {"key": f"ab-{next(_numbers)}", "metric": metric, "useCase": client.use_case, "autoDeploy": False,
             "modelServices": ["alpha", "beta"], "trafficSplit": 1.0, **more}  # fmt: skip
    query = f"mutation($i: AbcampaignCreate!) {{ createAbCampaign(input: $i) {SHOWN} }}"
    return client.gql(query, i=given)["createAbCampaign"]


def get(client: Client, key: str) -> Any:
    return client.gql(f"query($k: IdOrKey!) {{ abCampaign(idOrKey: $k) {SHOWN} }}", k=key)["abCampaign"]


def listed(client: Client, **filter: Any) -> list[str]:
    query = "query($f: AbCampaignFilter!) { abCampaigns(filter: $f) { key } }"
    return [c["key"] for c in client.gql(query, f={"useCase": client.use_case, **filter})["abCampaigns"]]


def test_a_new_campaign_is_active_and_warming_up(client: Client) -> None:
    made = create(client, client.metric())
    assert (made["status"], made["feedbackType"], made["feedbacks"]) == ("WARMUP", "DIRECT", 0)
    assert (made["endDate"], made["hasEnoughFeedbacks"], made["report"]["pValue"]) == (None, False, None)
    assert [m["key"] for m in made["models"]] == ["alpha", "beta"]
    assert made["report"]["variants"][0] == {
        "variant": {"key": "alpha"}, "interval": None, "mean": 0.0, "feedbacks": 0, "comparisons": None
    }  # fmt: skip
    assert listed(client, active=True) == listed(client, status="WARMUP") == listed(client) == [made["key"]]
    assert listed(client, active=False) == listed(client, status="DONE") == []
    assert get(client, made["id"])["key"] == made["key"]
    case = client.gql("query($u: IdOrKey!) { useCase(idOrKey: $u) { abCampaigns(filter: {active: true}) { key }"
                      " modelServices { abCampaigns { key } } } }", u=client.use_case)["useCase"]  # fmt: skip
    assert case["abCampaigns"] == case["modelServices"][0]["abCampaigns"] == [{"key": made["key"]}]


def test_enough_feedback_ends_it_and_deploys_the_winner(client: Client) -> None:
    metric = client.metric()
    key = create(client, metric, autoDeploy=True)["key"]
    used = set()
    for _ in range(200):
        choice = client.chat("which", ab_campaign=key)["choices"][0]
        used.add(choice["model"])
        value = choice["model"] == "beta"
        client.rest("feedback", {"metric": metric, "completion_id": choice["completion_id"], "value": value}, 201)
        if get(client, key)["status"] == "DONE":
            break
    done = get(client, key)
    assert used == {"alpha", "beta"}
    assert (done["status"], done["hasEnoughFeedbacks"]) == ("DONE", True)
    assert done["endDate"] >= done["beginDate"]
    assert done["report"]["pValue"] < 0.05
    means = {v["variant"]["key"]: v["mean"] for v in done["report"]["variants"]}
    assert means == {"alpha": 0.0, "beta": 1.0}
    beta = next(v for v in done["report"]["variants"] if v["variant"]["key"] == "beta")
    assert beta["interval"]["start"] <= beta["interval"]["middle"] == 1.0
    assert client.chat("now")["choices"][0]["model"] == "beta"
    assert listed(client, active=True) == []
    client.rest("chat/completions", {"model": client.use_case, "messages": [{"role": "user", "content": "x"}],
                                     "ab_campaign": key}, 404)  # fmt: skip


def test_preferences_are_counted_against_each_other(client: Client) -> None:
    metric = client.metric()
    key = create(client, metric, feedbackType="COMPARISON")["key"]
    for _ in range(40):
        said: dict[str, str] = {}
        while len(said) < 2:
            choice = client.chat("which", ab_campaign=key)["choices"][0]
            said[choice["model"]] = choice["completion_id"]
        body = {"metric": metric, "preferred_completion": said["alpha"], "other_completion": said["beta"]}
        client.rest("comparison", body, 201)
        if get(client, key)["status"] == "DONE":
            break
    done = get(client, key)
    assert done["status"] == "DONE"
    alpha = next(v for v in done["report"]["variants"] if v["variant"]["key"] == "alpha")
    (against,) = alpha["comparisons"]
    assert (against["variant"]["key"], against["losses"], alpha["mean"]) == ("beta", 0, 1.0)
    assert against["wins"] == against["feedbacks"] == alpha["feedbacks"]


def test_other_feedback_does_not_count(client: Client) -> None:
    metric, other = client.metric(), client.metric()
    key = create(client, metric)["key"]
    inside = client.chat("x", ab_campaign=key)["choices"][0]["completion_id"]
    outside = client.said("x", "alpha")
    for said, name in ((inside, other), (outside, metric)):
        client.rest("feedback", {"metric": name, "completion_id": said, "value": 1}, 201)
    assert get(client, key)["feedbacks"] == 0
    client.rest("feedback", {"metric": metric, "completion_id": inside, "value": 1}, 201)
    assert get(client, key)["feedbacks"] == 1


def test_logged_interactions_count_when_they_name_the_campaign(client: Client) -> None:
    metric = client.metric()
    made = create(client, metric)
    body = {"use_case": client.use_case, "messages": [{"role": "user", "content": "x"}], "completion": "y",
            "model_service": "beta", "feedbacks": [{"metric": metric, "value": True}]}  # fmt: skip
    client.rest("interactions", {**body, "ab_campaign": made["key"]}, 201)
    client.rest("interactions", {**body, "ab_campaign": made["id"]}, 201)
    client.rest("interactions", body, 201)
    assert get(client, made["key"])["feedbacks"] == 2


def test_a_cancelled_campaign_is_over(client: Client) -> None:
    key = create(client, client.metric())["key"]
    cancel = "mutation($k: IdOrKey!) { cancelAbCampaign(input: $k) }"
    assert isinstance(client.gql(cancel, k=key)["cancelAbCampaign"], str)
    assert (get(client, key)["status"], listed(client, status="CANCELLED")) == ("CANCELLED", [key])
    assert "ended already" in client.error(cancel, k=key)["message"]


def test_a_campaign_that_is_not_there_is_null(client: Client) -> None:
    assert get(client, "none") is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"modelServices": ["alpha"]}, "at least two different models"),
        ({"modelServices": ["alpha", "alpha"]}, "at least two different models"),
        ({"modelServices": ["alpha", "none"]}, "EntityNotFound: model 'none'"),
        ({"trafficSplit": 0.0}, "trafficSplit"),
        ({"trafficSplit": 1.5}, "trafficSplit"),
        ({"metric": "none"}, "EntityNotFound: metric 'none'"),
        ({"useCase": "none"}, "EntityNotFound: use_case 'none'"),
        ({"key": ""}, "key"),
    ],
)
def test_bad_campaigns_are_refused(client: Client, change: dict[str, Any], said: str) -> None:
    given = {"key": f"ab-{next(_numbers)}", "metric": client.metric(), "useCase": client.use_case,
             "autoDeploy": False, "modelServices": ["alpha", "beta"], "trafficSplit": 1.0, **change}  # fmt: skip
    error = client.error("mutation($i: AbcampaignCreate!) { createAbCampaign(input: $i) { id } }", i=given)
    assert said in error["message"]
    assert listed(client) == []


def test_one_campaign_runs_at_a_time(client: Client) -> None:
    metric = client.metric()
    create(client, metric)
    given = {"key": f"ab-{next(_numbers)}", "metric": metric, "useCase": client.use_case, "autoDeploy": False,
             "modelServices": ["alpha", "beta"], "trafficSplit": 1.0}  # fmt: skip
    error = client.error("mutation($i: AbcampaignCreate!) { createAbCampaign(input: $i) { id } }", i=given)
    assert "still running" in error["message"]
