"""Evaluations as jobs: checked before they start, in the project of the data that they are measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from quintet.app.context import Ctx
from quintet.app.datasets.manage import get_datasets
from quintet.app.evaluation.benchmarks import find_benchmark
from quintet.app.evaluation.evaluate import StartEvaluation, numbered_evaluation, start_evaluation
from quintet.app.evaluation.graders import find_scoring_function
from quintet.app.serving.callables import find_callable
from quintet.app.serving.on_demand import is_loadable
from quintet.domain.errors import Precondition
from quintet.domain.evaluation import Benchmark, Evaluation
from quintet.storage.tx import ReadTx, WriteTx


class Job(NamedTuple):
    """An evaluation and the benchmark whose `number`th it is."""

    benchmark: Benchmark
    evaluation: Evaluation


def start_job(ctx: Ctx[WriteTx], cmd: StartEvaluation) -> Job:
    """As `start_evaluation`. NotFound for a scoring function that is not known, before anything is queued."""
    benchmark = find_benchmark(ctx, cmd.benchmark)
    check_scoring(ctx, benchmark.scoring if cmd.scoring is None else cmd.scoring)
    if benchmark.dataset_id is None:
        raise Precondition(f"the benchmark '{benchmark.key}' has no dataset", field="dataset", benchmark=benchmark.id)
    if cmd.project_id is None:
        dataset = get_datasets(ctx, [benchmark.dataset_id]).get(benchmark.dataset_id)
        cmd = replace(cmd, project_id=dataset.project_id if dataset else None)
    evaluation, _ = start_evaluation(ctx, cmd)
    return Job(benchmark, evaluation)


def needs_worker(ctx: Ctx[ReadTx], model: str) -> bool:
    """Whether a worker evaluates this model, which it loads; others are only called. NotFound for no model."""
    found = find_callable(ctx, model)
    return found.model is not None and is_loadable(found.model)


def check_scoring(ctx: Ctx[ReadTx], functions: Sequence[str]) -> None:
    """NotFound for the first scoring function that is not known."""
    for function in functions:
        find_scoring_function(ctx, function)


def find_job(ctx: Ctx[ReadTx], benchmark: str, number: int) -> Job:
    """The benchmark's evaluation of that number; NotFound otherwise."""
    return Job(find_benchmark(ctx, benchmark), numbered_evaluation(ctx, benchmark, number))
