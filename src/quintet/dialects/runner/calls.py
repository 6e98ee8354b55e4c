"""What a run measures, and what it asks of the rest of the server: completions, and a place for scores."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from quintet.app.evaluation.evaluate import Scores, record_scores
from quintet.app.events.report import report_points
from quintet.app.services import callpath
from quintet.app.serving.callpath import Completion
from quintet.dialects.kit.call import Call
from quintet.dialects.runner import wire
from quintet.dialects.runner.auth import own_run
from quintet.dialects.runner.binder import binder
from quintet.domain.interactions import InteractionSource
from quintet.domain.series import PointBatch


@binder.op("metrics", body=wire.MetricsBody)
async def metrics(call: Call) -> dict[str, Any]:
    """`{"points": how many were taken}`."""
    body: wire.MetricsBody = call.body
    batch = PointBatch.of(
        (p.metric, p.variant, p.iter, p.ts * 1_000, math.nan if p.value is None else p.value) for p in body.points
    )
    return {"points": (await call.write(report_points, own_run(call), batch)).added}


@binder.op("complete", body=wire.CompleteBody)
async def complete(call: Call) -> dict[str, Any]:
    """`{"text", "finish_reason", "usage"}` of a deployed model. The calls of a run are no interactions of a
    user: they are written down as its evaluation."""
    run_id = own_run(call)
    body: wire.CompleteBody = call.body
    wanted = Completion(
        body.model,
        body.messages,
        "runner",
        max_tokens=body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        stop=body.stop,
        seed=body.seed,
        metadata={"run": run_id},
        type="evaluation",
        source=InteractionSource.EVALUATION,
    )
    completed = await callpath(call.core).complete(call.actor, wanted)
    answer = completed.choices[0].generation
    return {
        "text": answer.text,
        "finish_reason": answer.finish_reason,
        "usage": {
            "prompt_tokens": answer.usage.prompt_tokens,
            "completion_tokens": answer.usage.completion_tokens,
        },
    }


@binder.op("scores", body=wire.ScoresBody)
async def scores(call: Call) -> dict[str, Any]:
    """The outcome of an evaluation that this run carries out: `{"evaluation", "status"}`."""
    own_run(call)
    body: wire.ScoresBody = call.body
    found = Scores(body.metrics, {"generations": body.generations, "scores": body.scores}, body.rows)
    # Writes a large result to the blob store first, so in a thread.
    done = await asyncio.to_thread(record_scores, call.core, call.actor, body.evaluation, found)
    return {"evaluation": done.id, "status": done.status}
