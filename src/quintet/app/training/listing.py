"""Trainings of a space as one dialect lists them: those that it named, and those that others started."""

from __future__ import annotations

from quintet.app.context import Ctx
from quintet.app.runs.read import RunFilter, all_runs
from quintet.app.training.start import list_trainings
from quintet.domain.runs import Run, RunKind
from quintet.storage.tx import ReadTx

TUNED = (RunKind.PRETRAIN, RunKind.SFT, RunKind.DPO)
"""What is a training to everybody; a recipe of a user's own may be anything."""

MOST = 10_000


def every_training(ctx: Ctx[ReadTx], dialect: str) -> list[tuple[str | None, Run]]:
    """(job id where the dialect's client chose one, run), oldest first."""
    named: list[tuple[str | None, Run]] = [(job, run) for job, run in list_trainings(ctx, dialect)]
    known = {run.id for _, run in named}
    others = [(None, run) for run in all_runs(ctx, RunFilter(kinds=TUNED), MOST) if run.id not in known]
    return sorted([*named, *others], key=lambda pair: pair[1].id)
