"""Supervised fine-tuning: teaches a model the replies of a dataset (TRL's SFTTrainer).

Rows may be `{messages, completion}`, `{messages}` that end with the assistant, `{prompt, completion}`,
`{input_query or question, expected_answer or answer}`, or `{chat_completion_input, expected_answer}`. The loss
falls on the reply only.
"""

from __future__ import annotations

from dataclasses import dataclass

from quintet.recipes.context import RecipeContext
from quintet.recipes.declare import recipe
from quintet.recipes.training import StageReport, TrainingConfig, read_examples, register, source_of
from quintet.trainers import rows, sft


@dataclass(frozen=True, slots=True, kw_only=True)
class SftConfig(TrainingConfig):
    """Arguments of the recipe `sft`."""


@recipe(
    name="sft",
    config=SftConfig,
    description="Supervised fine-tuning: teaches a model the replies of a dataset.",
    stages=("read", "train", "register"),
)
def main(ctx: RecipeContext, config: SftConfig) -> None:
    training, validation = read_examples(ctx, config, rows.example)
    model = ctx.load_model_folder(config.model)
    with ctx.stage("train") as stage:
        trained = sft.train(
            source_of(model),
            training,
            validation,
            config.loop(),
            config.adapter(),
            ctx.work_dir,
            StageReport(ctx, stage),
            resume=ctx.checkpoint_folder(),
            base_name=model.base_key,
        )
    register(ctx, config, model, trained, "sft")
