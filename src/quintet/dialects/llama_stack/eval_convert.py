"""Between evaluations as Llama Stack writes them and as the core does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from quintet.app.evaluation.evaluate import StartEvaluation
from quintet.app.evaluation.inline import Candidate
from quintet.dialects.llama_stack import eval_wire as wire
from quintet.dialects.llama_stack.binder import DIALECT
from quintet.domain.errors import Invalid, Unsupported
from quintet.domain.evaluation import EvaluationStatus

STATUS: dict[EvaluationStatus, str] = {
    EvaluationStatus.PENDING: "scheduled",
    EvaluationStatus.RUNNING: "in_progress",
    EvaluationStatus.COMPLETED: "completed",
    EvaluationStatus.FAILED: "failed",
    EvaluationStatus.CANCELLED: "cancelled",
}

STRATEGIES = ("greedy", "top_p", "top_k")
NO_LIMIT = 0


def config_of(body: wire.RunEval) -> wire.BenchmarkConfig:
    """The configuration of a body in either form; Invalid where there is none."""
    if body.benchmark_config is not None:
        return body.benchmark_config
    if body.eval_candidate is None:
        raise Invalid("this field is required", field="benchmark_config")
    return wire.BenchmarkConfig(body.eval_candidate, body.scoring_params, body.num_examples)


def to_start(benchmark: str, config: wire.BenchmarkConfig) -> StartEvaluation:
    candidate = config.eval_candidate
    return StartEvaluation(
        benchmark=benchmark, model=model_of(candidate), num_examples=config.num_examples,
        scoring_params={k: v for k, v in (config.scoring_params or {}).items() if v is not None},
        sampling=sampling_of(candidate), config={DIALECT: msgspec.to_builtins(config)},
    )  # fmt: skip


def model_of(candidate: wire.EvalCandidate) -> str:
    if candidate.type != "model":
        raise Unsupported(f"a candidate of the type '{candidate.type}' cannot be evaluated here")
    if not candidate.model:
        raise Invalid("this field is required", field="benchmark_config.eval_candidate.model")
    return candidate.model


def sampling_of(candidate: wire.EvalCandidate) -> dict[str, Any]:
    """Temperature, top_p, max_tokens, seed and system_message, as far as they are given."""
    given = candidate.sampling_params or wire.SamplingParams()
    system = _system(candidate)
    values = {
        **_strategy(given), "max_tokens": given.max_tokens, "seed": given.seed, "system_message": system,
    }  # fmt: skip
    return {name: value for name, value in values.items() if value is not None}


def _strategy(given: wire.SamplingParams) -> dict[str, Any]:
    strategy = given.strategy
    if strategy is None:
        return {"temperature": given.temperature, "top_p": given.top_p}
    if strategy.type not in STRATEGIES:
        field = "benchmark_config.eval_candidate.sampling_params.strategy.type"
        raise Invalid(f"expected one of {', '.join(STRATEGIES)}", field=field)
    if strategy.type == "greedy":
        return {"temperature": 0.0}
    temperature = 1.0 if strategy.temperature is None else strategy.temperature
    return {"temperature": temperature, "top_p": strategy.top_p}


def _system(candidate: wire.EvalCandidate) -> str | None:
    content = candidate.system_message.content if candidate.system_message else None
    return content if isinstance(content, str) and content else None


def to_candidate(candidate: wire.EvalCandidate) -> Candidate:
    """The same for an evaluation within the request, where upstreams know a little more."""
    sampling: Mapping[str, Any] = sampling_of(candidate)
    given = candidate.sampling_params or wire.SamplingParams()
    extra = {
        "top_k": given.strategy.top_k if given.strategy and given.strategy.type == "top_k" else None,
        "repetition_penalty": given.repetition_penalty,
    }
    return Candidate(
        model=model_of(candidate), max_tokens=sampling.get("max_tokens") or None,
        temperature=sampling.get("temperature", 0.0), top_p=sampling.get("top_p"), seed=sampling.get("seed"),
        stop=tuple(given.stop or ()), system_message=sampling.get("system_message"), dialect=DIALECT,
        extra={name: value for name, value in extra.items() if value is not None},
    )  # fmt: skip
