"""Runs with the official client's own Python: the whole loop, from a use case to a dataset and a decided test.

Usage: story.py URL KEY UPSTREAM. `alpha` and `beta` are models that the server has already.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

import httpx
from adaptive_sdk import Adaptive, AsyncAdaptive
from adaptive_sdk.error_handling import AdaptiveEntityNotFoundError
from openai import OpenAI

URL, KEY, UPSTREAM = sys.argv[1:4]
HELLO = [{"role": "user", "content": "hello"}]
client = Adaptive(base_url=URL, api_key=KEY)
client.set_default_use_case("support")


def raises(kind: type[Exception], call: Any) -> str:
    try:
        call()
    except kind as error:
        return str(error)
    raise AssertionError(f"{kind.__name__} was expected")


def use_cases_and_models() -> None:
    made = client.use_cases.create(key="support", name="Support", description="helps people")
    assert (made.key, made.metrics, made.shares[0].is_owner) == ("support", [], True)
    assert client.use_cases.get("support").id == made.id
    assert client.use_cases.get("nothing") is None
    assert "support" in [u.key for u in client.use_cases.list()]
    client.teams.create(key="night", name="Night shift")
    shared = client.use_cases.share("support", team="night", role="annotator")
    assert {s.team.key for s in shared.shares} == {"default", "night"}
    assert {s.team.key for s in client.use_cases.unshare("support", team="night").shares} == {"default"}

    assert {"alpha", "beta"} <= {m.key for m in client.models.list()}
    alpha = client.models.attach("alpha", wait=True)
    assert (alpha.attached, alpha.is_default, alpha.model.online.value) == (True, True, "ONLINE")
    beta = client.models.attach("beta", make_default=False)
    assert (beta.key, beta.is_default) == ("beta", False)
    assert client.models.update("beta", is_default=True).is_default
    assert client.models.update("alpha", is_default=True).is_default
    assert client.models.get("nothing") is None
    assert client.models.deploy("alpha", wait=True) == "alpha"
    message = raises(AdaptiveEntityNotFoundError, lambda: client.models.attach("nothing"))
    assert "Model key does not exist" in message

    external = client.models.add_external(
        name="From Azure", external_model_id="gpt", api_key="sk-very-secret-key", provider="azure", endpoint=UPSTREAM
    )
    assert (external.key, external.provider_name.value, external.is_external) == ("from-azure", "AZURE", True)
    client.models.attach(external.key)
    reply = client.chat.create(model=external.key, messages=HELLO)
    assert (reply.choices[0].model, len(reply.choices[0].message.content.split())) == ("from-azure", 12)
    parts = list(client.chat.create(model=external.key, messages=HELLO, stream=True))
    assert "".join(p.choices[0].delta.content for p in parts if p.choices) == reply.choices[0].message.content
    assert client.models.detach(external.key).attached is False


def chat_and_feedback() -> tuple[str, str]:
    key = client.feedback.register_key("good", kind="bool", scoring_type="higher_is_better", description="d")
    assert (key.kind.value, key.has_direct_feedbacks) == ("BOOL", False)
    client.feedback.link("good")
    assert isinstance(client.feedback.unlink("good"), str)
    assert client.feedback.link("good").key == "good"
    assert client.feedback.get_key("nothing") is None

    session = uuid.uuid4()
    reply = client.chat.create(messages=HELLO, n=2, labels={"run": "7"}, session_id=session, temperature=0.5)
    assert [c.message.content for c in reply.choices] == ["HELLO", "HELLO"]
    assert (reply.session_id, reply.usage.total_tokens) == (session, 3)
    first, second = (c.completion_id for c in reply.choices)
    text, usage = "", None
    for chunk in client.chat.create(messages=HELLO, stream=True, stream_include_usage=True):
        text += chunk.choices[0].delta.content if chunk.choices else ""
        usage = chunk.usage or usage
    assert (text, usage.total_tokens) == ("HELLO", 2)
    raises(Exception, lambda: client.chat.create(messages=HELLO, model="nothing"))

    assert client.feedback.log_metric(True, first, "good", details="fine").feedback_id
    assert client.feedback.log_preference("good", first, second).comparison_id
    raw = client.feedback.log_preference(
        "good", {"text": "this", "model": "alpha"}, {"text": "that", "model": "beta"}, messages=HELLO
    )
    assert raw.comparison_id
    found = client.interactions.get(first)
    assert (found.completion, found.source.value, found.model.key) == ("HELLO", "LIVE", "alpha")
    assert [(f.value, f.details) for f in found.direct_feedbacks] == [(1.0, "fine")]
    (comparison,) = found.comparison_feedbacks
    assert (comparison.prefered_completion.id, comparison.other_completion.id) == (first, second)
    assert client.interactions.get(str(uuid.uuid4())) is None
    vector = client.embeddings.create(input="text").data[0].embedding
    assert len(vector) == 16
    return first, second


def interactions(first: str) -> None:
    labelled = {"labels": [{"key": "run", "value": ["7"]}]}
    assert client.interactions.list(filters=labelled).total_count == 2
    by_time = [{"field": "created_at", "order": "DESC"}]
    page = client.interactions.list(filters=labelled, order=by_time, page={"first": 1})
    assert page.page_info.has_next_page
    rest = client.interactions.list(filters=labelled, order=by_time,
                                    page={"first": 1, "after": page.page_info.end_cursor})  # fmt: skip
    assert {page.nodes[0].id, rest.nodes[0].id} >= {first}
    assert not rest.page_info.has_next_page
    groups = client.interactions.list(filters=labelled, group_by="prompt", page={"first": 10})
    assert (groups.total_count, groups.nodes[0].count) == (1, 2)
    assert groups.nodes[0].direct_feedbacks_stats[0].average == 1.0
    models = client.interactions.list(group_by="model", page={"first": 1})
    assert models.nodes[0].key in ("alpha", "beta", "from-azure")
    client.interactions.list(group_by="model", page={"first": 1, "after": models.page_info.end_cursor})
    recent = {"from_": "now - 1 hour", "to": "now + 1 hour"}
    judged = client.interactions.list(filters={"feedbacks": [{"metric": "good", "gte": 1}], "timerange": recent})
    assert [n.id for n in judged.nodes] == [first]
    made = client.interactions.create(
        messages=HELLO, completion="logged", model="beta", labels={"from": "log"}, created_at="2024-05-06T07:08:09Z",
        feedbacks=[{"feedback_key": "good", "value": 0, "details": "bad"}],
    )  # fmt: skip
    assert len(made.feedback_ids) == 1
    logged = client.interactions.get(str(made.completion_id))
    assert (logged.created_at, logged.source.value) == (1714979289000, "OFFLINE")


def datasets(folder: Path) -> None:
    small, large = folder / "small.jsonl", folder / "large.jsonl"
    row = {"messages": HELLO, "completion": "x", "feedbacks": {"stars": 4}}
    small.write_text("\n".join(json.dumps(row) for _ in range(3)))
    made = client.datasets.upload(str(small), "small")
    assert (made.kind.value, made.records) == ("PROMPT_COMPLETION_FEEDBACK", 3)
    assert [(u.metric.key, u.feedback_count) for u in made.metrics_usage] == [("stars", 3)]
    line = json.dumps({"messages": [{"role": "user", "content": "x" * 6_000}]})
    large.write_text("\n".join([line] * 1_000))
    assert client.datasets.upload(str(large), "large").records == 1_000
    assert {d.key for d in client.datasets.list()} == {"small", "large"}
    assert client.datasets.get("nothing") is None
    query = """mutation Make($input: DatasetCreateFromFilters!) { createDatasetFromFilters(input: $input) {
        id key kind records } }"""
    for kind, records in (("PREFERENCE", 2), ("PROMPT_COMPLETION_FEEDBACK", 2), ("PROMPT_COMPLETION", None)):
        everything = {"fromFilters": {"filters": {"useCase": "support"}, "exclude": []}}
        wanted = {"useCase": "support", "name": kind, "key": kind.lower(), "kind": kind, "completionQuery": everything}
        reply = client._gql_client.execute(query=query, operation_name="Make", variables={"input": wanted})
        made = client._gql_client.get_data(reply)["createDatasetFromFilters"]
        assert made["kind"] == kind
        assert records in (None, made["records"]), made
    assert client.datasets.get("preference").records == 2
    assert client.datasets.delete("preference") is True
    raises(Exception, lambda: client.datasets.upload(str(small), "small"))


def experiment() -> None:
    made = client.ab_tests.create("which", feedback_key="good", models=["alpha", "beta"], auto_deploy=True)
    assert made.status.value == "WARMUP"
    assert [t.key for t in client.ab_tests.list(active=True)] == ["which"]
    for _ in range(200):
        choice = client.chat.create(messages=HELLO, ab_campaign="which").choices[0]
        client.feedback.log_metric(choice.model == "beta", choice.completion_id, "good")
        found = client.ab_tests.get("which")
        if found.status.value == "DONE":
            break
    assert (found.status.value, found.has_enough_feedbacks) == ("DONE", True)
    assert found.report.p_value < 0.05
    assert {v.variant.key: v.interval.middle for v in found.report.variants} == {"alpha": 0.0, "beta": 1.0}
    assert client.chat.create(messages=HELLO).choices[0].model == "beta"
    client.ab_tests.create("liked", feedback_key="good", models=["alpha", "beta"], feedback_type="preference")
    assert isinstance(client.ab_tests.cancel("liked"), str)
    assert [t.key for t in client.ab_tests.list(status="cancelled")] == ["liked"]
    assert client.ab_tests.get("nothing") is None


def jobs() -> None:
    recipes = {r.key: r for r in client.recipes.list()}
    assert {"sft", "dpo", "evaluate", "pretrain"} <= set(recipes)
    assert client.recipes.get("nothing") is None
    assert set(client.recipes.generate_sample_input("sft")) >= {"model", "dataset"}
    made = client.jobs.run("sft", args={"model": "alpha", "dataset": "small"}, num_gpus=0, name="tune")
    assert (made.status.value, made.kind.value, made.use_case.key) == ("PENDING", "TRAINING", "support")
    assert client.jobs.get(made.id).details.args["model"] == "alpha"
    assert client.jobs.list().nodes[0].id == made.id
    assert client.jobs.cancel(made.id).status.value == "CANCELED"
    assert [p.key for p in client.compute_pools.list().compute_pools] == ["default"]


def people() -> None:
    me = client.users.me()
    assert me.email == "admin@quintet.local"
    assert me.api_keys
    assert {"admin", "annotator"} <= {r.key for r in client.roles.list()}
    assert "use_case:create" in client.permissions.list()
    client.roles.create(key="reader", name="Reader", permissions=["use_case:read"])
    made = client.users.create("new@example.org", "New", teams_with_role=[("default", "reader")])
    assert made.teams[0].role.key == "reader"
    client.users.add_to_team("new@example.org", "admin", "reader")
    client.users.remove_from_team("new@example.org", "default")
    assert "new@example.org" in [u.email for u in client.users.list()]
    client.users.delete("new@example.org")
    assert "new@example.org" not in [u.email for u in client.users.list()]


async def asynchronous() -> None:
    other = AsyncAdaptive(base_url=URL, api_key=KEY)
    other.set_default_use_case("support")
    reply = await other.chat.create(messages=HELLO, model="alpha")
    assert reply.choices[0].message.content == "HELLO"
    text = ""
    async for chunk in await other.chat.create(messages=HELLO, model="alpha", stream=True):
        text += chunk.choices[0].delta.content if chunk.choices else ""
    assert text == "HELLO"
    assert (await other.interactions.list(filters={"models": ["alpha"]})).total_count > 1
    assert (await other.jobs.list(use_case="support")).total_count == 1
    await other.close()


def openai_client() -> None:
    other = OpenAI(base_url=f"{URL}/api/v1", api_key=KEY)
    reply = other.chat.completions.create(model="support/alpha", messages=HELLO, metadata={"from": "openai"})
    assert (reply.choices[0].message.content, reply.object, reply.model) == ("HELLO", "chat.completion", "alpha")
    parts = other.chat.completions.create(model="support/alpha", messages=HELLO, stream=True)
    assert "".join(p.choices[0].delta.content or "" for p in parts) == "HELLO"
    labelled = client.interactions.list(filters={"labels": [{"key": "from", "value": ["openai"]}]})
    assert labelled.total_count == 1
    assert len(other.embeddings.create(model="support/alpha", input="text").data[0].embedding) == 16


def strangers() -> None:
    stranger = Adaptive(base_url=URL, api_key="qk_nobody.x")
    raises(Exception, stranger.use_cases.list)
    assert httpx.get(f"{URL}/health").status_code == 200
    missing = raises(AdaptiveEntityNotFoundError, lambda: client.datasets.list(use_case="nothing"))
    assert "Use case key does not exist" in missing


if __name__ == "__main__":
    use_cases_and_models()
    one, two = chat_and_feedback()
    interactions(one)
    with tempfile.TemporaryDirectory() as temporary:
        datasets(Path(temporary))
    experiment()
    jobs()
    people()
    asyncio.run(asynchronous())
    openai_client()
    strangers()
    print("all of the story happened")
