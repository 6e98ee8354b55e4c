"""Chats, the call log and its summary, benchmarks, evaluations, trainings and leaderboards."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.servers import ServerHandle

from quintet.app.evaluation.evaluate import Scores, record_scores
from quintet.app.models.versions import RegisterVersion, register_version
from quintet.app.serving.deployments import CreateEndpoint, create_endpoint
from quintet.domain.models import ModelFormat

BASE = "/inference/v1"


@pytest.fixture(scope="module")
def ready(server: ServerHandle) -> ServerHandle:
    """A server with a fake model that echoes, and one that is down."""
    for key, config in (("echo", {}), ("down", {"fail": "unavailable"})):
        cmd = CreateEndpoint(key, "fake", "m", engine="fake", config=config)
        server.core.write_now(server.admin, create_endpoint, cmd)
    return server


def say(server: ServerHandle, text: str, **fields: Any) -> Any:
    body = {"model": "echo", "messages": [{"role": "user", "content": text}], **fields}
    return server.call("POST", f"{BASE}/chats", body)


def test_a_chat_goes_on_where_it_was(ready: ServerHandle) -> None:
    first = say(ready, "hello", name="Greeting").json
    assert first["choices"][0]["message"]["content"] == "echo: hello"
    assert first["usage"]["total_tokens"] > 0
    again = say(ready, "more", id=first["id"]).json
    assert again["id"] == first["id"]
    history = ready.call("GET", f"{BASE}/chats/{first['id']}").json
    assert [m["content"] for m in history["messages"]] == ["hello", "echo: hello", "more", "echo: more"]
    assert history["name"] == "Greeting"
    renamed = ready.call("PATCH", f"{BASE}/chats/{first['id']}", {"name": "Renamed"}).json
    assert renamed["name"] == "Renamed"
    listed = ready.call("GET", f"{BASE}/chats?name=renam").json["data"]
    assert [c["id"] for c in listed] == [first["id"]]
    assert ready.call("DELETE", f"{BASE}/chats/{first['id']}").json == {"id": first["id"]}
    assert ready.call("GET", f"{BASE}/chats/{first['id']}").status == 404


def test_the_window_is_the_newest_messages_after_the_system_message(ready: ServerHandle) -> None:
    messages = [{"role": "system", "content": "be brief"}]
    messages += [{"role": "user", "content": f"m{n}"} for n in range(40)]
    made = ready.call("POST", f"{BASE}/chats/completions", {"model": "echo", "messages": messages}).json
    window = ready.call("GET", f"{BASE}/chats/{made['id']}/window").json["messages"]
    assert window[0]["content"] == "be brief"
    assert window[-1]["content"] == "echo: m39"
    assert len(window) == 21


def test_a_streamed_chat_says_and_keeps_the_same(ready: ServerHandle) -> None:
    reply = say(ready, "one two three", stream=True)
    assert reply.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line[6:]) for line in reply.body.decode().splitlines() if line.startswith("data: ")]
    said = "".join(e["choices"][0]["message"]["content"] for e in events)
    assert said == "echo: one two three"
    kept = ready.call("GET", f"{BASE}/chats/{events[0]['id']}").json["messages"]
    assert kept[-1]["content"] == said


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"messages": [{"role": "user", "content": "x"}]}, 400, "model"),
        ({"model": "echo"}, 400, "messages"),
        ({"model": "absent", "messages": [{"role": "user", "content": "x"}]}, 404, None),
        ({"model": "down", "messages": [{"role": "user", "content": "x"}]}, 503, None),
        ({"model": "echo", "messages": [{"role": "user", "content": "x"}], "id": "0" * 24}, 404, None),
        ({"model": "echo", "messages": [{"role": "user", "content": "x"}], "router_enabled": True}, 501, "router_enabled"),
        ({"model": "echo", "messages": [{"role": "user", "content": "x"}], "temperature": 9}, 400, "temperature"),
        ({"model": "echo", "messages": "x"}, 400, "messages"),
    ],
)
def test_a_chat_that_cannot_be(ready: ServerHandle, body: dict[str, Any], status: int, field: str | None) -> None:
    refused = ready.call("POST", f"{BASE}/chats", body)
    assert refused.status == status
    assert refused.json.get("field") == field


def test_every_call_is_in_the_log_and_in_the_summary(ready: ServerHandle) -> None:
    before = ready.call("GET", f"{BASE}/inference-logs/summary").json
    say(ready, "counted", user="ann", tags=["blue"])
    ready.call("POST", f"{BASE}/chats", {"model": "down", "messages": [{"role": "user", "content": "x"}]})
    after = ready.call("GET", f"{BASE}/inference-logs/summary").json
    assert after["total_calls"] == before["total_calls"] + 2
    assert after["success_rate"] < 1
    by_user = ready.call("GET", f"{BASE}/inference-logs?user=ann").json
    assert by_user["count"] == 1
    entry = by_user["data"][0]
    assert (entry["model"], entry["status"], entry["tags"]) == ("echo", "success", ["blue"])
    assert entry["response"]["content"] == "echo: counted"
    assert ready.call("GET", f"{BASE}/inference-logs?tag=blue").json["count"] == 1
    assert ready.call("GET", f"{BASE}/inference-logs?tag=red").json["count"] == 0
    failed = ready.call("GET", f"{BASE}/inference-logs?status=error&model=down").json
    assert failed["data"][0]["error"].startswith("unavailable")
    narrow = ready.call("GET", f"{BASE}/inference-logs/summary?user=ann").json
    assert (narrow["total_calls"], narrow["success_rate"]) == (1, 1.0)
    assert narrow["model_usage"] == {"echo": 1}


@pytest.mark.parametrize("query", ["start_date=soon", "end_date=never", "status=odd", "page_size=0"])
def test_a_bad_log_query_is_named(ready: ServerHandle, query: str) -> None:
    refused = ready.call("GET", f"{BASE}/inference-logs?{query}")
    assert refused.status == 400
    assert refused.json["field"] == query.partition("=")[0]


def test_a_period_that_ends_before_it_begins(ready: ServerHandle) -> None:
    refused = ready.call("GET", f"{BASE}/inference-logs?start_date=2026-02-01&end_date=2026-01-01")
    assert refused.json["field"] == "start_date"


def benchmark(server: ServerHandle, **fields: Any) -> Any:
    body = {"name": "Held out", "description": "d", "task": "text generation", "metrics": ["accuracy"], "connectors": []}
    return server.call("POST", f"{BASE}/benchmarks", {**body, **fields})


def test_a_benchmark_is_kept_as_it_was_given(ready: ServerHandle) -> None:
    made = benchmark(ready, connectors=[{"connector_id": "s3", "files": ["a.csv"]}])
    assert made.status == 201
    ident = made.json["id"]
    assert made.json["connectors"] == [{"connector_id": "s3", "files": ["a.csv"]}]
    changed = ready.call("PUT", f"{BASE}/benchmarks/{ident}", {"metrics": ["f1", "ks"], "connector": "other"}).json
    assert (changed["metrics"], changed["connectors"]) == (["f1", "ks"], ["other"])
    assert ident in [b["id"] for b in ready.call("GET", f"{BASE}/benchmarks?page_size=100").json["data"]]
    assert ready.call("DELETE", f"{BASE}/benchmarks/{ident}").json == {"id": ident}
    assert ready.call("GET", f"{BASE}/benchmarks/{ident}").status == 404
    assert benchmark(ready, metrics=["vibes"]).json["field"] == "metrics"


def test_a_leaderboard_ranks_what_was_evaluated(ready: ServerHandle) -> None:
    dataset = ready.call("POST", "/v1beta/datasets", {
        "dataset_id": "rows-for-board", "purpose": "eval/question-answer",
        "source": {"type": "rows", "rows": [{"question": "2+2", "answer": "4"}]},
    })  # fmt: skip
    assert dataset.status == 200
    listed = ready.call("GET", "/api/datasetrw/v2/datasets?limit=100").json["datasets"]
    ident = next(d["dataset"]["id"] for d in listed if d["dataset"]["name"] == "rows-for-board")
    bench = benchmark(ready, name="Board", connectors=[{"connector_id": ident}]).json
    scores = {"good": 0.9, "bad": 0.2}
    for name, accuracy in scores.items():
        prefix = f"models/{ready.admin.space_id}/{name}"
        ready.core.ports.blobs.put(f"{prefix}/config.json", b"{}")
        files = {"config.json": {"size": 2, "sha256": ""}}
        cmd = RegisterVersion(name, ModelFormat.TRANSFORMERS, blob_prefix=prefix, files=files)
        ready.core.write_now(ready.admin, register_version, cmd)
        body = {"benchmark_id": bench["id"], "checkpoint_id": name, "gpu_count": 0}
        made = ready.call("POST", f"{BASE}/evaluations", body)
        assert made.status == 201, made.body
        record_scores(ready.core, ready.admin, made.json["id"], Scores({"accuracy": accuracy}, {"scores": {}}, 1))
    board = ready.call("GET", f"{BASE}/leaderboards?benchmarks={bench['id']}").json["data"]
    assert [(r["rank"], r["checkpoint_name"], r["score"]) for r in board] == [(1, "good", 0.9), (2, "bad", 0.2)]
    query = f"order_by_metric.benchmark_id={bench['id']}&order_by_metric.metric_name=accuracy&order_by_metric.direction=asc"
    upside = ready.call("GET", f"{BASE}/leaderboards?{query}").json["data"]
    assert [r["checkpoint_name"] for r in upside] == ["bad", "good"]
    assert ready.call("GET", f"{BASE}/leaderboards?order_by_metric.direction=up").status == 400
    assert [m["name"] for m in ready.call("GET", f"{BASE}/models").json["data"]].count("good") == 1


def training(**fields: Any) -> dict[str, Any]:
    body = {
        "name": "T", "architecture": "pretrain", "configuration": {"max_steps": 3}, "connectors": [],
        "data_model_id": "d", "gpu_count": 0,
    }  # fmt: skip
    return {**body, **fields}


def test_a_training_is_a_run_that_waits_for_a_worker(ready: ServerHandle) -> None:
    made = ready.call("POST", f"{BASE}/trainings", training(benchmark_ids=["b"]))
    assert made.status == 201
    ident = made.json["id"]
    assert (made.json["status"], made.json["benchmark_ids"]) == ("queued", ["b"])
    changed = ready.call("PUT", f"{BASE}/trainings/{ident}", {"name": "Renamed", "benchmark_ids": ["c"]}).json
    assert (changed["name"], changed["benchmark_ids"], changed["architecture"]) == ("Renamed", ["c"], "pretrain")
    assert ident in [t["id"] for t in ready.call("GET", f"{BASE}/trainings?pageSize=100").json["data"]]
    assert ready.call("DELETE", f"{BASE}/trainings/{ident}").json == {"id": ident}
    assert ready.call("GET", f"{BASE}/trainings/{ident}").status == 404
    assert ready.call("POST", f"{BASE}/trainings", training(architecture="magic")).json["field"] == "architecture"
    missing = training()
    del missing["name"]
    assert ready.call("POST", f"{BASE}/trainings", missing).json["field"] == "name"
    assert ready.call("POST", f"{BASE}/trainings", training(), key=ready.key_for("read-only")).status == 403
