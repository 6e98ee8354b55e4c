"""Trainings: supervised fine-tuning and preference optimisation of registered models, as jobs of our workers."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from quintet.app.runs.read import checkpoints_of
from quintet.app.runs.state import request_stop
from quintet.app.training.listing import every_training
from quintet.app.training.start import find_training
from quintet.app.training.tune import tune
from quintet.dialects.kit.call import Call
from quintet.dialects.llama_stack import post_training_wire as wire
from quintet.dialects.llama_stack.binder import DIALECT, binder, null
from quintet.dialects.llama_stack.post_training_convert import from_checkpoint, from_job, job_uuid, to_dpo, to_sft
from quintet.domain.errors import NotFound, Precondition
from quintet.domain.runs import ENDED, Run


@binder.op("POST /v1alpha/post-training/supervised-fine-tune", body=wire.SupervisedFineTune)
async def supervised_fine_tune(call: Call) -> dict[str, Any]:
    body: wire.SupervisedFineTune = call.body
    await call.write(tune, to_sft(body))
    return {"job_uuid": body.job_uuid}


@binder.op("POST /v1alpha/post-training/preference-optimize", body=wire.PreferenceOptimize)
async def preference_optimize(call: Call) -> dict[str, Any]:
    body: wire.PreferenceOptimize = call.body
    await call.write(tune, to_dpo(body))
    return {"job_uuid": body.job_uuid}


@binder.op("GET /v1alpha/post-training/jobs")
async def list_jobs(call: Call) -> dict[str, Any]:
    """Every training of the space, by whichever API it was started."""
    return {"data": [{"job_uuid": job_uuid(job, run)} for job, run in await call.read(every_training, DIALECT)]}


@binder.op("GET /v1alpha/post-training/job/status")
async def job_status(call: Call) -> dict[str, Any]:
    job = call.query["job_uuid"]
    run = await _find(call, job)
    return from_job(job, run, await call.read(checkpoints_of, run.id))


@binder.op("GET /v1alpha/post-training/job/artifacts")
async def job_artifacts(call: Call) -> dict[str, Any]:
    job = call.query["job_uuid"]
    run = await _find(call, job)
    checkpoints = await call.read(checkpoints_of, run.id)
    return {"job_uuid": job, "checkpoints": [from_checkpoint(c, job) for c in checkpoints]}


@binder.op("POST /v1alpha/post-training/job/cancel", body=wire.CancelJob)
async def cancel_job(call: Call) -> Response:
    """Waiting jobs end at once; those that a worker has stop within a few seconds."""
    body: wire.CancelJob = call.body
    run = await _find(call, body.job_uuid)
    if run.state in ENDED:
        raise Precondition(f"the job '{body.job_uuid}' has ended", field="job_uuid")
    await call.write(request_stop, run.id, reason="cancelled")
    return null()


async def _find(call: Call, job: str) -> Run:
    try:
        return await call.read(find_training, DIALECT, job)
    except NotFound:
        raise NotFound.of("job", job) from None
