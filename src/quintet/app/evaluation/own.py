"""Evaluations that the server carries out itself: of models that no worker could load, such as upstream ones.

The work is a task of the server's event loop; the evaluation and its run are stored like any other, so they are
found, followed and cancelled in the same ways. A run whose server went away is stopped as a silent one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from quintet.app.context import Effect
from quintet.app.core import Core
from quintet.app.datasets.manage import locate_rows
from quintet.app.datasets.rows import load_rows
from quintet.app.evaluation.evaluate import Scores, StartEvaluation, record_scores
from quintet.app.evaluation.inline import Candidate, evaluate
from quintet.app.evaluation.jobs import Job, start_job
from quintet.app.runs.state import complete_run, fail_run
from quintet.domain.aggregation import metrics_of
from quintet.domain.errors import Internal, Precondition, QuintetError
from quintet.domain.identity import Actor
from quintet.domain.ids import Id
from quintet.domain.runs import RunState

SERVICE = "own_evaluations"
log = logging.getLogger("quintet.evaluation")

Params = Mapping[str, Mapping[str, Any] | None]


class OwnEvaluations:
    """Those in progress, by run; a run that is not running any more ends its task."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._tasks: dict[Id, tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = {}
        core.listen(self._hear)

    def _hear(self, effect: Effect) -> None:
        found = self._tasks.get(Id(effect.subject)) if effect.kind == "run" else None
        if found is not None and effect.data.get("state") == RunState.STOPPED:
            loop, task = found
            loop.call_soon_threadsafe(task.cancel)

    async def start(self, actor: Actor, cmd: StartEvaluation, candidate: Candidate) -> Job:
        """The evaluation, which is going on from now; errors as of `start_job`."""
        job = await self._core.write(actor, start_job, replace(cmd, recipe=None))
        run_id = job.evaluation.run_id
        if run_id is None or job.benchmark.dataset_id is None:
            raise Internal("an evaluation without a run or a dataset was started")
        functions = job.benchmark.scoring if cmd.scoring is None else cmd.scoring
        work = self._carry_out(actor, job, run_id, cmd, candidate, functions)
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[run_id] = (asyncio.get_running_loop(), task)
        task.add_done_callback(lambda _: self._tasks.pop(run_id, None))
        return job

    async def _carry_out(
        self,
        actor: Actor,
        job: Job,
        run_id: Id,
        cmd: StartEvaluation,
        candidate: Candidate,
        functions: Sequence[str],
    ) -> None:
        core = self._core
        try:
            dataset = str(job.benchmark.dataset_id)
            _, segments, end = await core.read(actor, locate_rows, dataset, 0, cmd.num_examples)
            rows = await asyncio.to_thread(load_rows, core.ports.blobs, segments, 0, end)
            if not rows:
                raise Precondition("the dataset of the benchmark has no rows", field="dataset")
            result = await evaluate(core, actor, candidate, rows, functions, cmd.scoring_params)
            scores = Scores(metrics_of(result["scores"]), result, len(rows))
            await asyncio.to_thread(record_scores, core, actor, job.evaluation.id, scores)
            await core.write(actor, complete_run, run_id)
        except QuintetError as error:
            await core.write(actor, fail_run, run_id, reason="failed", message=error.message)
        except Exception:
            log.exception("the evaluation %s failed", job.evaluation.id)
            await core.write(actor, fail_run, run_id, reason="failed", message="internal error")


def own_evaluations(core: Core) -> OwnEvaluations:
    """Those of this server, made on first use."""
    found = core.services.get(SERVICE)
    if not isinstance(found, OwnEvaluations):
        found = core.services[SERVICE] = OwnEvaluations(core)
    return found
