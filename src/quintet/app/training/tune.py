"""Tunings of a registered model on a dataset: where they belong, and how long they go on."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from quintet.app.context import Ctx
from quintet.app.datasets.manage import find_dataset
from quintet.app.training.start import StartTraining, start_training
from quintet.domain.data import Dataset
from quintet.domain.errors import Invalid
from quintet.domain.runs import Run, RunKind
from quintet.storage.tx import WriteTx


@dataclass(frozen=True, slots=True)
class Tune:
    """A tuning that is called `job`, as are its run and the model that it makes.

    `max_steps_per_epoch` ends each epoch early, where it is fewer than the rows give. `args` are further
    arguments of the recipe.
    """

    job: str
    recipe: str
    kind: RunKind
    model: str
    dataset: str
    dialect: str
    epochs: int = 1
    batch_size: int = 8
    accumulation: int = 1
    max_steps_per_epoch: int | None = None
    validation: str | None = None
    args: dict[str, Any] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)


def tune(ctx: Ctx[WriteTx], cmd: Tune) -> Run:
    """The queued run, in the project of its dataset. Errors as of `start_training`; Invalid without rows."""
    for name, value in (("n_epochs", cmd.epochs), ("batch_size", cmd.batch_size),
                        ("gradient_accumulation_steps", cmd.accumulation)):  # fmt: skip
        if value < 1:
            raise Invalid("expected at least 1", field=name)
    dataset = find_dataset(ctx, cmd.dataset)
    if dataset.records == 0:
        raise Invalid(f"the dataset '{dataset.key}' has no rows to learn from", field="dataset_id")
    args = {
        **cmd.args, "epochs": cmd.epochs, "batch_size": cmd.batch_size,
        "gradient_accumulation_steps": cmd.accumulation, **_steps(cmd, dataset),
    }  # fmt: skip
    datasets = {"dataset": dataset.id, **({"validation_dataset": cmd.validation} if cmd.validation else {})}
    return start_training(
        ctx,
        StartTraining(
            name=cmd.job, recipe=cmd.recipe, kind=cmd.kind, args=args, model=cmd.model, datasets=datasets,
            output=cmd.job, project_id=dataset.project_id, dialect=cmd.dialect, job=cmd.job, detail=cmd.detail,
        ),
    )  # fmt: skip


def _steps(cmd: Tune, dataset: Dataset) -> dict[str, int]:
    """The steps in all, where the epochs end early; recipes would take them in place of the epochs."""
    if cmd.max_steps_per_epoch is None or cmd.max_steps_per_epoch < 1:
        return {}
    whole = math.ceil(math.ceil(dataset.records / cmd.batch_size) / cmd.accumulation)
    if cmd.max_steps_per_epoch >= whole:
        return {}
    return {"max_steps": cmd.max_steps_per_epoch * cmd.epochs}
