"""Registers a benchmark of held-out prompts and evaluates base and tuned models on it, through alpha.eval."""

import time
from typing import Any

from llama_stack_client import LlamaStackClient
from protocol import arguments, progress, result

SCORING = "basic::equality"


def evaluate(stack: LlamaStackClient, model: str) -> tuple[str, float, int]:
    """(job id, accuracy, rows) of one model."""
    candidate: Any = {
        "type": "model", "model": model, "sampling_params": {"strategy": {"type": "greedy"}, "max_tokens": 16}
    }  # fmt: skip
    job = stack.alpha.eval.run_eval("held-out-dates", benchmark_config={"eval_candidate": candidate, "scoring_params": {}})
    while job.status not in ("completed", "failed", "cancelled"):
        time.sleep(0.5)
        job = stack.alpha.eval.jobs.status(job.job_id, benchmark_id="held-out-dates")
    if job.status != "completed":
        raise SystemExit(f"the evaluation of {model} ended as {job.status}")
    found = stack.alpha.eval.jobs.retrieve(job.job_id, benchmark_id="held-out-dates")
    scores = found.scores[SCORING]
    accuracy: Any = scores.aggregated_results["accuracy"]
    return job.job_id, float(accuracy["accuracy"] if isinstance(accuracy, dict) else accuracy), len(scores.score_rows)


def main() -> None:
    given = arguments()
    stack = LlamaStackClient(base_url=given["url"], api_key=given["key"], timeout=120)
    rows = [
        {"input_query": p, "expected_answer": a, "chat_completion_input": f'[{{"role": "user", "content": "{p}"}}]'}
        for p, a in given["pairs"]
    ]
    stack.datasets.register(
        purpose="eval/messages-answer", source={"type": "rows", "rows": rows}, dataset_id="held-out-dates"
    )
    stack.benchmarks.register(
        benchmark_id="held-out-dates", dataset_id="held-out-dates", scoring_functions=[SCORING]
    )
    found = {}
    for number, (name, model) in enumerate(given["models"].items()):
        job, accuracy, count = evaluate(stack, model)
        found[name] = {"job": job, "accuracy": accuracy, "rows": count, "model": model}
        progress(number + 1, len(given["models"]), f"{name}: {accuracy:.1%}")
    result({"evaluations": found})


if __name__ == "__main__":
    main()
