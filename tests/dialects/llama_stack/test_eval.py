"""Benchmarks, evaluation jobs, and scores."""

from __future__ import annotations

from typing import Any

import pytest
from tests.dialects.llama_stack.support import Worker, dataset, endpoint, meanwhile, registered, until
from tests.support.servers import Reply, ServerHandle

from quintet.app.evaluation.evaluate import list_evaluations
from quintet.app.work.leases import Outcome
from quintet.dialects.llama_stack import eval_jobs

BENCHMARKS = "/v1alpha/eval/benchmarks"
ROWS = [
    {"input_query": "a", "expected_answer": "A", "chat_completion_input": '[{"role": "user", "content": "a"}]'},
    {"question": "b", "answer": "x"},
]


def benchmark(server: ServerHandle, key: str, scoring: tuple[str, ...] = ("basic::equality",)) -> str:
    """A benchmark on two rows, of which `upper` gets the first right; its path."""
    dataset(server, f"data-of-{key}", ROWS)
    body = {"benchmark_id": key, "dataset_id": f"data-of-{key}", "scoring_functions": list(scoring)}
    assert server.call("POST", BENCHMARKS, body).status == 200
    return f"{BENCHMARKS}/{key}"


def candidate(model: str, **sampling: Any) -> dict[str, Any]:
    return {"eval_candidate": {"type": "model", "model": model, "sampling_params": sampling}, "scoring_params": {}}


def run(server: ServerHandle, path: str, model: str, **sampling: Any) -> Reply:
    return server.call("POST", f"{path}/jobs", {"benchmark_config": candidate(model, **sampling)})


def test_a_benchmark_is_shown_with_its_dataset(server: ServerHandle) -> None:
    path = benchmark(server, "shown")
    found = server.call("GET", path).json
    assert found["identifier"] == "shown"
    assert (found["dataset_id"], found["scoring_functions"]) == ("data-of-shown", ["basic::equality"])
    assert found in server.call("GET", BENCHMARKS).json["data"]


def test_a_benchmark_may_be_registered_again_and_not_changed(server: ServerHandle) -> None:
    path = benchmark(server, "again")
    body = {"benchmark_id": "again", "dataset_id": "data-of-again", "scoring_functions": ["basic::equality"]}
    assert server.call("POST", BENCHMARKS, body).json is None
    assert server.call("POST", BENCHMARKS, {**body, "scoring_functions": []}).status == 409
    assert server.call("DELETE", path).status == 204
    assert server.call("GET", path).status == 404


def test_a_benchmark_needs_a_dataset_that_is_there(server: ServerHandle) -> None:
    body = {"benchmark_id": "b", "dataset_id": "missing", "scoring_functions": []}
    assert server.call("POST", BENCHMARKS, body).status == 404


def test_a_model_that_is_only_called_is_evaluated_at_once(server: ServerHandle) -> None:
    path = benchmark(server, "called")
    assert run(server, path, "upper", temperature=0.0).json == {"job_id": "0", "status": "completed"}
    assert run(server, path, "echo").json["job_id"] == "1"
    result = server.call("GET", f"{path}/jobs/0/result").json
    assert result["generations"] == [{"generated_answer": "A"}, {"generated_answer": "B"}]
    scores = result["scores"]["basic::equality"]
    assert scores["score_rows"] == [{"score": 1.0}, {"score": 0.0}]
    assert scores["aggregated_results"]["accuracy"] == {"accuracy": 0.5, "num_correct": 1.0, "num_total": 2}


def test_a_registered_model_is_evaluated_by_a_worker(server: ServerHandle) -> None:
    registered(server, "judged")
    path = benchmark(server, "worked")
    taken: list[Any] = []
    with meanwhile(lambda: taken.append(Worker(server).evaluate(0.75))):
        reply = run(server, path, "judged", strategy={"type": "greedy"}, max_tokens=16)
    assert reply.json == {"job_id": "0", "status": "completed"}
    args = taken[0].run.args
    assert (args["model"], args["temperature"], args["max_tokens"]) == ("judged", 0.0, 16)
    scores = server.call("GET", f"{path}/jobs/0/result").json["scores"]["basic::equality"]
    assert scores["aggregated_results"]["accuracy"]["accuracy"] == 0.75


def test_a_long_job_is_answered_before_it_ends(server: ServerHandle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval_jobs, "WAIT_SECONDS", 0.05)
    registered(server, "slow")
    path = benchmark(server, "long")
    assert run(server, path, "slow").json == {"job_id": "0", "status": "scheduled"}
    worker = Worker(server)
    leased = worker.lease()
    assert server.call("GET", f"{path}/jobs/0").json["status"] == "in_progress"
    early = server.call("GET", f"{path}/jobs/0/result")
    assert (early.status, early.headers["x-should-retry"]) == (409, "false")
    worker.end(leased, Outcome.FAILED, "out of memory")
    assert server.call("GET", f"{path}/jobs/0").json["status"] == "failed"
    assert "out of memory" in server.call("GET", f"{path}/jobs/0/result").json["detail"]


def test_a_job_can_be_cancelled_before_it_has_begun(server: ServerHandle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval_jobs, "WAIT_SECONDS", 0.05)
    registered(server, "unwanted")
    path = benchmark(server, "cancelled")
    run(server, path, "unwanted")
    assert server.call("DELETE", f"{path}/jobs/0").status == 204
    assert server.call("GET", f"{path}/jobs/0").json["status"] == "cancelled"
    assert server.call("DELETE", f"{path}/jobs/0").status == 409


def test_cancelling_ends_the_calls_of_the_server_too(server: ServerHandle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval_jobs, "WAIT_SECONDS", 0.05)
    endpoint(server, "dawdling", config={"delay": 30})
    path = benchmark(server, "stopped")
    first = run(server, path, "dawdling").json
    assert first["status"] == "in_progress", server.call("GET", f"{path}/jobs/0/result").json
    assert server.call("DELETE", f"{path}/jobs/0").status == 204
    assert server.call("GET", f"{path}/jobs/0").json["status"] == "cancelled"


def test_a_model_that_fails_fails_the_job(server: ServerHandle) -> None:
    path = benchmark(server, "failing")
    assert run(server, path, "broken").json["status"] == "failed"


def test_the_seeds_flat_configuration_is_read(server: ServerHandle) -> None:
    path = benchmark(server, "flat")
    assert server.call("POST", f"{path}/jobs", candidate("upper")).json["status"] == "completed"
    assert server.call("POST", f"{path}/jobs", {}).status == 400


def test_only_the_asked_number_of_rows_is_answered(server: ServerHandle) -> None:
    path = benchmark(server, "few")
    server.call("POST", f"{path}/jobs", {"benchmark_config": {**candidate("upper"), "num_examples": 1}})
    assert len(server.call("GET", f"{path}/jobs/0/result").json["generations"]) == 1


def test_what_cannot_be_evaluated_queues_nothing(server: ServerHandle) -> None:
    path = benchmark(server, "strict", ("basic::equality", "basic::unheard_of"))
    before = len(server.core.read_now(server.admin, list_evaluations).items)
    assert run(server, path, "upper").status == 404
    assert run(server, f"{BENCHMARKS}/nothing", "upper").status == 404
    agent = {"benchmark_config": {"eval_candidate": {"type": "agent", "config": {}}}}
    assert server.call("POST", f"{path}/jobs", agent).status == 501
    assert len(server.core.read_now(server.admin, list_evaluations).items) == before


@pytest.mark.parametrize("job", ["7", "x", "-1", "99999999999"])
def test_an_unknown_job_is_not_found(server: ServerHandle, job: str) -> None:
    path = benchmark(server, f"jobs-{job}")
    assert server.call("GET", f"{path}/jobs/{job}").status == 404
    assert server.call("GET", f"{path}/jobs/{job}/result").status == 404
    assert server.call("DELETE", f"{path}/jobs/{job}").status == 404


def test_rows_are_evaluated_within_the_request(server: ServerHandle) -> None:
    path = benchmark(server, "rows")
    body = {
        "benchmark_config": candidate("upper"), "input_rows": ROWS,
        "scoring_functions": ["basic::subset_of", "basic::equality"],
    }  # fmt: skip
    found = server.call("POST", f"{path}/evaluations", body).json
    assert set(found["scores"]) == {"basic::subset_of", "basic::equality"}
    assert found["generations"][0] == {"generated_answer": "A"}
    wrong = server.call("POST", f"{path}/evaluations", {**body, "input_rows": [{"text": "?"}]})
    assert (wrong.status, wrong.json["error"]["param"]) == (400, "input_rows[0]")


def test_a_judge_is_asked_through_the_call_path(server: ServerHandle) -> None:
    params = {
        "judge_model": "upper",
        "prompt_template": "score: 7 {generated_answer}",
        "judge_score_regexes": [r"(\d)"],
    }
    body = {
        "input_rows": [{"input_query": "q", "generated_answer": "a", "expected_answer": "a"}] * 20,
        "scoring_functions": {"llm-as-judge::base": params, "basic::equality": None},
    }
    found = server.call("POST", "/v1/scoring/score", body).json["results"]
    assert found["llm-as-judge::base"]["score_rows"][0] == {"score": "7", "judge_feedback": "SCORE: 7 A"}
    assert found["basic::equality"]["aggregated_results"]["accuracy"]["accuracy"] == 1.0


def test_scoring_functions_are_listed(server: ServerHandle) -> None:
    listed = {f["identifier"]: f for f in server.call("GET", "/v1/scoring-functions").json["data"]}
    assert listed["basic::equality"]["provider_id"] == "basic"
    assert server.call("GET", "/v1/scoring-functions/basic::equality").json == listed["basic::equality"]
    assert server.call("GET", "/v1/scoring-functions/basic::none").status == 404


def test_waiting_ends_with_the_job_and_not_with_the_clock(server: ServerHandle) -> None:
    registered(server, "prompt")
    path = benchmark(server, "woken")
    replies: list[Reply] = []
    with meanwhile(lambda: replies.append(run(server, path, "prompt"))):
        Worker(server).evaluate(1.0)
        until(lambda: replies, 5.0)
    assert replies[0].json["status"] == "completed"
