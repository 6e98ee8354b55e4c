"""Evaluations: of a benchmark as a job, and of rows within the request."""

from __future__ import annotations

import asyncio
from typing import Any

from quintet.app.evaluation import inline
from quintet.app.evaluation.benchmarks import find_benchmark
from quintet.app.evaluation.evaluate import cancel_evaluation, find_evaluation, load_result
from quintet.app.evaluation.jobs import Job, check_scoring, find_job, needs_worker, start_job
from quintet.app.evaluation.own import own_evaluations
from quintet.dialects.kit.call import Call
from quintet.dialects.llama_stack import eval_wire as wire
from quintet.dialects.llama_stack.binder import binder
from quintet.dialects.llama_stack.eval_convert import STATUS, config_of, to_candidate, to_start
from quintet.dialects.llama_stack.waiting import waiters
from quintet.domain.errors import NotFound, Precondition
from quintet.domain.evaluation import Evaluation, EvaluationStatus

WAIT_SECONDS = 25.0
"""How long a new job is waited for: clients expect small ones to be completed at once, and give up after 60."""

_GOING = frozenset({EvaluationStatus.PENDING, EvaluationStatus.RUNNING})


@binder.op("POST /v1alpha/eval/benchmarks/{benchmark_id}/jobs", body=wire.RunEval)
async def run_eval(call: Call) -> wire.Job:
    config = config_of(call.body)
    cmd = to_start(call.path["benchmark_id"], config)
    if await call.read(needs_worker, cmd.model):
        job = await call.write(start_job, cmd)
    else:
        candidate = to_candidate(config.eval_candidate)
        job = await own_evaluations(call.core).start(call.actor, cmd, candidate)
    return _job(await _waited(call, job.evaluation))


async def _waited(call: Call, started: Evaluation) -> Evaluation:
    """The evaluation when it has ended, or as it is after `WAIT_SECONDS`."""
    now = started

    async def ended() -> bool:
        nonlocal now
        now = await call.read(find_evaluation, started.id)
        return EvaluationStatus(now.status) not in _GOING

    await waiters(call.core).until((started.id, started.run_id or ""), ended, WAIT_SECONDS)
    return now


def _job(evaluation: Evaluation) -> wire.Job:
    return wire.Job(str(evaluation.number), STATUS[EvaluationStatus(evaluation.status)])


@binder.op("GET /v1alpha/eval/benchmarks/{benchmark_id}/jobs/{job_id}")
async def job_status(call: Call) -> wire.Job:
    return _job((await _found(call)).evaluation)


@binder.op("DELETE /v1alpha/eval/benchmarks/{benchmark_id}/jobs/{job_id}", status=204)
async def cancel(call: Call) -> None:
    job = await _found(call)
    await call.write(cancel_evaluation, job.evaluation.id)


@binder.op("GET /v1alpha/eval/benchmarks/{benchmark_id}/jobs/{job_id}/result")
async def job_result(call: Call) -> dict[str, Any]:
    """What a completed job has found; a conflict for one that is not completed."""
    evaluation = (await _found(call)).evaluation
    if EvaluationStatus(evaluation.status) is not EvaluationStatus.COMPLETED:
        why = f": {evaluation.error}" if evaluation.error else ""
        raise Precondition(f"the job '{evaluation.number}' is {_job(evaluation).status}{why}", field="job_id")
    # A large result lies in the blob store, so in a thread.
    result = await asyncio.to_thread(load_result, call.core.ports, evaluation)
    return {"generations": result.get("generations", []), "scores": result.get("scores", {})}


async def _found(call: Call) -> Job:
    given = call.path["job_id"]
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        await call.read(find_benchmark, call.path["benchmark_id"])
        raise NotFound.of("job", given)
    try:
        return await call.read(find_job, call.path["benchmark_id"], int(given))
    except NotFound as error:
        if error.data.get("kind") == "evaluation":
            raise NotFound.of("job", given) from None
        raise


@binder.op("POST /v1alpha/eval/benchmarks/{benchmark_id}/evaluations", body=wire.EvaluateRows)
async def evaluate_rows(call: Call) -> dict[str, Any]:
    """The rows that came with the request; nothing of it is kept but the calls of the model."""
    body: wire.EvaluateRows = call.body
    await call.read(find_benchmark, call.path["benchmark_id"])
    await call.read(check_scoring, body.scoring_functions)
    candidate = to_candidate(body.benchmark_config.eval_candidate)
    params = body.benchmark_config.scoring_params or {}
    rows = body.input_rows[: body.benchmark_config.num_examples]
    return await inline.evaluate(call.core, call.actor, candidate, rows, body.scoring_functions, params)
