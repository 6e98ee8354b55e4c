"""The bodies of evaluations."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Strategy(Struct):
    """greedy; top_p with `temperature` and `top_p`; top_k with `top_k`."""

    type: str = "greedy"
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None


class SamplingParams(Struct):
    """Clients also leave out the strategy and give its values beside; `max_tokens` 0 is no limit."""

    strategy: Strategy | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    repetition_penalty: float | None = None
    stop: list[str] | None = None


class SystemMessage(Struct):
    content: Any = None


class EvalCandidate(Struct):
    type: str = "model"
    model: str | None = None
    sampling_params: SamplingParams | None = None
    system_message: SystemMessage | None = None


class BenchmarkConfig(Struct):
    eval_candidate: EvalCandidate
    scoring_params: dict[str, dict[str, Any] | None] | None = None
    num_examples: int | None = None


class RunEval(Struct):
    """The configuration in its wrapper, or its fields as they are."""

    benchmark_config: BenchmarkConfig | None = None
    eval_candidate: EvalCandidate | None = None
    scoring_params: dict[str, dict[str, Any] | None] | None = None
    num_examples: int | None = None


class EvaluateRows(Struct):
    input_rows: list[dict[str, Any]]
    scoring_functions: list[str]
    benchmark_config: BenchmarkConfig


class Job(Struct):
    job_id: str
    status: str
