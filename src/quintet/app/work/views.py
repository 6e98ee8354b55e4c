"""Workers as lists show them: with their queues, their run and its project, in one read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quintet.app.context import Ctx
from quintet.app.queues.manage import get_queues
from quintet.app.work.workers import list_workers
from quintet.domain.ids import Id
from quintet.domain.projects import Project
from quintet.domain.runs import Queue, Run, Worker
from quintet.storage import identity as identity_store
from quintet.storage import projects as project_store
from quintet.storage import queues as queue_store
from quintet.storage import runs as run_store
from quintet.storage.tx import ReadTx


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker; `queues` with how many runs wait in each."""

    worker: Worker
    user_name: str
    queues: Sequence[tuple[Queue, int]]
    run: Run | None
    project: Project | None


def worker_views(ctx: Ctx[ReadTx], *, seen_seconds: int | None = None) -> list[WorkerView]:
    """Workers that are there, with `seen_seconds` only those heard of so recently."""
    found = list_workers(ctx, seen_seconds=seen_seconds)
    queues = get_queues(ctx, list({q for worker in found for q in worker.queues}))
    waiting = queue_store.count_entries(ctx.tx, list(queues))
    space = ctx.actor.space_id
    runs = run_store.get_runs(ctx.tx, space, [w.run_id for w in found if w.run_id is not None])
    projects = project_store.get_many(ctx.tx, space, [r.project_id for r in runs.values() if r.project_id is not None])
    users = identity_store.get_users(ctx.tx, list({w.user_id for w in found}))

    def view(worker: Worker) -> WorkerView:
        run = runs.get(worker.run_id or Id(""))
        return WorkerView(
            worker=worker,
            user_name=users[worker.user_id].name if worker.user_id in users else "",
            queues=[(queues[q], waiting.get(q, 0)) for q in worker.queues if q in queues],
            run=run,
            project=projects.get(run.project_id or Id("")) if run is not None else None,
        )

    return [view(worker) for worker in found]
