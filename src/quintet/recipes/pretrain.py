"""Pretrains a small Llama-shaped language model and its tokenizer from plain text.

It needs no download: by default it reads the source of the Python that runs it.
"""

from __future__ import annotations

import math
import random
import sysconfig
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from quintet.domain.errors import Invalid
from quintet.recipes.cache import cached
from quintet.recipes.context import RecipeContext
from quintet.recipes.declare import recipe
from quintet.recipes.schema import Field
from quintet.recipes.training import StageReport
from quintet.trainers import pretrain
from quintet.trainers.report import Report
from quintet.trainers.rows import prompt_of

STDLIB = "python-stdlib"

LEFT_OUT = frozenset({"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "__pycache__"})
"""Folders of the standard library that are not it, or mostly tables and tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    """Arguments of the recipe `pretrain`. The default is a model of 0.89 million parameters."""

    corpus: Annotated[
        str, Field(description=f'"{STDLIB}" for the source of the running Python\'s standard library, or a dataset.')
    ] = STDLIB
    corpus_characters: Annotated[int, Field(description="Most characters read of it.", ge=1000)] = 4_000_000
    output_model: Annotated[str | None, Field(description="Name of the result in the registry.")] = None
    tokenizer: Annotated[
        Literal["bytes", "bpe"], Field(description="One token a byte, or byte pairs learnt from the corpus.")
    ] = "bytes"
    vocab_size: Annotated[int, Field(description="Tokens that bpe may learn.", ge=300, le=200_000)] = 2048
    hidden_size: Annotated[int, Field(description="Width of the model.", ge=8)] = 128
    intermediate_size: Annotated[int, Field(description="Width inside a layer.", ge=8)] = 384
    layers: Annotated[int, Field(description="Number of layers.", ge=1)] = 4
    heads: Annotated[int, Field(description="Attention heads; they divide the width.", ge=1)] = 4
    block_length: Annotated[int, Field(description="Context in tokens.", ge=8)] = 256
    batch_size: Annotated[int, Field(description="Blocks in one step.", ge=1)] = 8
    learning_rate: Annotated[float, Field(description="Peak learning rate.", ge=0)] = 3e-3
    weight_decay: Annotated[float, Field(description="Decay of the weights (AdamW).", ge=0)] = 0.01
    max_steps: Annotated[int | None, Field(description="Steps of the optimiser.", ge=1)] = None
    max_seconds: Annotated[
        float | None, Field(description="Time to train; 30 if neither this nor max_steps is given.", ge=0.1)
    ] = None
    validate_every: Annotated[int, Field(description="Steps between validations; 0: at the end.", ge=0)] = 50
    checkpoint_every: Annotated[int, Field(description="Steps between checkpoints; 0: at the end.", ge=0)] = 0
    seed: Annotated[int, Field(description="Seed of weights and batches.", ge=0)] = 0

    def settings(self) -> pretrain.PretrainSettings:
        """These arguments as the trainer has them; Invalid where two do not go together."""
        if self.hidden_size % (2 * self.heads):
            # Each head's width must be even, since positions turn it in pairs.
            raise Invalid(f"hidden_size must be a multiple of {2 * self.heads} with {self.heads} heads",
                          field="hidden_size")  # fmt: skip
        return pretrain.PretrainSettings(
            tokenizer=self.tokenizer,
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            intermediate_size=self.intermediate_size,
            layers=self.layers,
            heads=self.heads,
            block_length=self.block_length,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            max_steps=self.max_steps,
            max_seconds=self.max_seconds if self.max_steps or self.max_seconds else 30.0,
            validate_every=self.validate_every,
            checkpoint_every=self.checkpoint_every,
            seed=self.seed,
        )


@recipe(
    name="pretrain",
    config=PretrainConfig,
    description="Pretrains a small language model and its tokenizer from plain text.",
    stages=("read", "train", "register"),
)
def main(ctx: RecipeContext, config: PretrainConfig) -> None:
    settings = config.settings()
    with ctx.stage("read") as stage:
        texts: list[str] = []
        left = config.corpus_characters
        for text in stdlib_texts() if config.corpus == STDLIB else dataset_texts(ctx, config.corpus):
            texts.append(text[:left])
            left -= len(texts[-1])
            stage.advance()
            if left <= 0:
                break
        ctx.say(f"read {len(texts)} texts, {config.corpus_characters - left:,} characters, of {config.corpus}")
    with ctx.stage("train") as stage:
        resume = ctx.checkpoint_folder()
        report = StageReport(ctx, stage)

        def train(to: Report) -> pretrain.Pretrained:
            return pretrain.train(texts, settings, ctx.work_dir, to, resume)

        decides = {**asdict(config), "output_model": None}
        # A dataset may have changed under its name, and a resumed training is not the same as a whole one.
        again = config.corpus == STDLIB and resume is None
        trained = cached(decides, ctx.work_dir, report, train) if again else train(report)
    with ctx.stage("register"):
        metrics = {"train_loss": trained.train_loss}
        if trained.validation_loss is not None:
            metrics |= {"validation_loss": trained.validation_loss, "perplexity": math.exp(trained.validation_loss)}
        name = config.output_model or ctx.output_model or "small-lm"
        made = ctx.register_model(
            trained.folder,
            name,
            metrics=metrics,
            description=f"A Llama of {trained.parameters:,} parameters, pretrained on {config.corpus}",
        )
        ctx.result(
            {
                "model": {"id": made.model_id, "key": made.key, "version": made.version},
                "steps": trained.steps,
                "parameters": trained.parameters,
                "metrics": metrics,
            }
        )
        ctx.say(f"registered {made.key}, version {made.version}: {trained.parameters:,} parameters")
    ctx.progress(1.0)


def stdlib_texts() -> Iterator[str]:
    """The modules of the running Python's standard library, always in the same mixed order."""
    root = Path(sysconfig.get_paths()["stdlib"])
    files = sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if not LEFT_OUT & set(path.relative_to(root).parts)
    )
    # Mixed, so that a cut corpus is not the letters a to d, and the validation at its end is like the rest.
    random.Random(0).shuffle(files)  # noqa: S311 - no secret
    for name in files:
        try:
            yield (root / name).read_text("utf-8")
        except UnicodeDecodeError:
            continue  # a few files are there to show other encodings


def dataset_texts(ctx: RecipeContext, ref: str) -> Iterator[str]:
    """The `text` of each row, or its conversation and reply as plain text."""
    for number, row in enumerate(ctx.dataset_rows(ref)):
        if isinstance(row.get("text"), str):
            yield row["text"]
        else:
            turns = [message["content"] for message in prompt_of(row, number)]
            reply = next((row[name] for name in ("completion", "expected_answer", "answer") if row.get(name)), "")
            yield "\n".join([*turns, str(reply)]).strip()
