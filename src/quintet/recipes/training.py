"""What the fine-tuning recipes share: their common arguments, reading examples, reporting, and registering a result."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from quintet.domain.errors import Invalid
from quintet.recipes.context import ModelFolder, RecipeContext, Stage
from quintet.recipes.schema import Field
from quintet.trainers.loading import Lora, Source
from quintet.trainers.loop import LoopSettings, Trained

E = TypeVar("E")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraConfig:
    """A low-rank adapter."""

    rank: Annotated[int, Field(description="Rank of the two small matrices.", ge=1, le=1024)] = 8
    alpha: Annotated[float, Field(description="The adapter is scaled by alpha / rank.", ge=0)] = 16.0
    dropout: Annotated[float, Field(description="Share of the adapter's inputs dropped.", ge=0, le=1)] = 0.0
    target_modules: Annotated[
        tuple[str, ...] | None,
        Field(description="Names of the layers that get it; none means all linear layers but the output head."),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """Arguments that every fine-tuning recipe takes."""

    model: Annotated[str, Field(description="The model to start from: its key, id or name.")]
    dataset: Annotated[str, Field(description="The dataset to learn from: its key or id.")]
    output_model: Annotated[
        str | None, Field(description="Name of the result in the registry; a version is added if it is there.")
    ] = None
    epochs: Annotated[float, Field(description="Passes over the dataset.", ge=0.001)] = 1.0
    max_steps: Annotated[int | None, Field(description="Steps of the optimiser, in place of epochs.", ge=1)] = None
    max_seconds: Annotated[float | None, Field(description="Ends the training early, with a result.", ge=1)] = None
    batch_size: Annotated[int, Field(description="Rows in one pass through the model.", ge=1)] = 8
    gradient_accumulation_steps: Annotated[int, Field(description="Passes in one step.", ge=1)] = 1
    learning_rate: Annotated[float, Field(description="Peak learning rate.", ge=0)] = 2e-5
    schedule: Annotated[
        Literal["cosine", "linear", "constant", "constant_with_warmup"],
        Field(description="How the learning rate goes down after the warm-up."),
    ] = "cosine"
    warmup: Annotated[float, Field(description="Share of the steps in which the rate rises.", ge=0, le=1)] = 0.03
    warmup_steps: Annotated[int | None, Field(description="The same in steps, in place of the share.", ge=0)] = None
    weight_decay: Annotated[float, Field(description="Decay of the weights (AdamW).", ge=0)] = 0.0
    max_length: Annotated[int, Field(description="Longest row in tokens; longer ones are cut.", ge=2)] = 1024
    lora: Annotated[LoraConfig | None, Field(description="Train an adapter; without, all weights are trained.")] = None
    validation_dataset: Annotated[str | None, Field(description="A dataset to measure the loss on.")] = None
    validation_share: Annotated[
        float, Field(description="Without one: share of the rows kept from training to measure on.", ge=0, le=0.5)
    ] = 0.0
    log_every: Annotated[int, Field(description="Steps between points of the loss curve.", ge=1)] = 10
    validate_every: Annotated[int, Field(description="Steps between validations; 0: with checkpoints.", ge=0)] = 0
    checkpoint_every: Annotated[int, Field(description="Steps between checkpoints; 0: at the end.", ge=0)] = 0
    checkpoint_each_epoch: Annotated[bool, Field(description="Also keep a checkpoint at the end of each epoch.")] = (
        False
    )
    seed: Annotated[int, Field(description="Seed of the order of rows and of fresh weights.", ge=0)] = 42

    def loop(self) -> LoopSettings:
        """These arguments as the trainers have them."""
        return LoopSettings(
            epochs=self.epochs,
            max_steps=self.max_steps,
            max_seconds=self.max_seconds,
            batch_size=self.batch_size,
            gradient_accumulation_steps=self.gradient_accumulation_steps,
            learning_rate=self.learning_rate,
            schedule=self.schedule,
            warmup=self.warmup,
            warmup_steps=self.warmup_steps,
            weight_decay=self.weight_decay,
            max_length=self.max_length,
            log_every=self.log_every,
            validate_every=self.validate_every,
            checkpoint_every=self.checkpoint_every,
            checkpoint_epochs=self.checkpoint_each_epoch,
            seed=self.seed,
        )

    def adapter(self) -> Lora | None:
        """The adapter to train, as the trainers have it."""
        if self.lora is None:
            return None
        return Lora(self.lora.rank, self.lora.alpha, self.lora.dropout, self.lora.target_modules)


class StageReport:
    """A trainer's reports as those of a run: its steps drive `stage` and the progress of the whole run."""

    def __init__(self, ctx: RecipeContext, stage: Stage) -> None:
        self._ctx, self._stage = ctx, stage

    def metric(self, metric: str, variant: str, value: float, step: int) -> None:
        self._ctx.metric(metric, variant, value, step)

    def progress(self, done: int, total: int | None) -> None:
        self._stage.set(done, total)
        if total:
            # Training is nearly all of the time; a hundredth is left for what comes after.
            self._ctx.progress(0.99 * done / total)

    def checkpoint(self, folder: Path, step: int, epoch: float, metrics: Mapping[str, float]) -> None:
        self._ctx.checkpoint(folder, step, epoch, metrics, remove=True)

    def say(self, text: str) -> None:
        self._ctx.say(text)


def read_examples(
    ctx: RecipeContext, config: TrainingConfig, read: Callable[[Mapping[str, Any], int], E]
) -> tuple[list[E], list[E]]:
    """The examples to train on and those to validate on; Invalid where a row or a dataset has none."""
    with ctx.stage("read") as stage:

        def examples(ref: str) -> Iterator[E]:
            for number, row in enumerate(ctx.dataset_rows(ref)):
                yield read(row, number)
                stage.advance()

        training = list(examples(config.dataset))
        if not training:
            raise Invalid(f"the dataset '{config.dataset}' has no rows", field="dataset")
        if config.validation_dataset is not None:
            validation = list(examples(config.validation_dataset))
        else:
            training, validation = _split(training, config.validation_share, config.seed)
        ctx.say(f"{len(training)} rows to train on, {len(validation)} to validate on")
    return training, validation


def source_of(model: ModelFolder) -> Source:
    """A fetched model as what a trainer starts from."""
    return Source(model.base, model.adapter)


def register(ctx: RecipeContext, config: TrainingConfig, model: ModelFolder, trained: Trained, method: str) -> None:
    """Adds the trained model to the registry and says so in the run's result."""
    with ctx.stage("register"):
        name = config.output_model or ctx.output_model or f"{model.key}-{method}"
        made = ctx.register_model(
            trained.folder,
            name,
            trained.format,
            model.base_key if trained.format == "adapter" else None,
            trained.metrics,
            description=f"{method.upper()} of {model.key} on {config.dataset}",
        )
        ctx.result(
            {
                "model": {"id": made.model_id, "key": made.key, "version": made.version},
                "steps": trained.steps,
                "metrics": dict(trained.metrics),
            }
        )
        ctx.say(f"registered {made.key}, version {made.version}")
    ctx.progress(1.0)


def _split(examples: Sequence[E], share: float, seed: int) -> tuple[list[E], list[E]]:
    mixed = list(examples)
    if not share:
        return mixed, []
    random.Random(seed).shuffle(mixed)  # noqa: S311 - no secret
    kept = min(max(1, round(share * len(mixed))), len(mixed) - 1)
    return mixed[kept:], mixed[:kept]
