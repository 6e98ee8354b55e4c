"""Direct preference optimisation: teaches a model which of two replies people preferred (TRL's DPOTrainer).

Rows may be `{messages, preferred_completion, other_completion}` or `{prompt, chosen, rejected}`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from quintet.recipes.context import RecipeContext
from quintet.recipes.declare import recipe
from quintet.recipes.schema import Field
from quintet.recipes.training import StageReport, TrainingConfig, read_examples, register, source_of
from quintet.trainers import dpo, rows


@dataclass(frozen=True, slots=True, kw_only=True)
class DpoConfig(TrainingConfig):
    """Arguments of the recipe `dpo`."""

    learning_rate: Annotated[float, Field(description="Peak learning rate.", ge=0)] = 1e-6
    beta: Annotated[
        float, Field(description="How strongly the model is held to where it started; small lets it go.", ge=0)
    ] = 0.1
    loss_type: Annotated[
        Literal["sigmoid", "hinge", "ipo", "robust", "apo_zero", "apo_down", "nca_pair", "sppo_hard", "aot"],
        Field(description="The loss; sigmoid is that of the DPO paper."),
    ] = "sigmoid"
    label_smoothing: Annotated[
        float, Field(description="Share of preferences taken to be the wrong way round.", ge=0, le=0.5)
    ] = 0.0
    sft_weight: Annotated[
        float, Field(description="How much of the plain loss on the preferred reply is added to it.", ge=0)
    ] = 0.0


@recipe(
    name="dpo",
    config=DpoConfig,
    description="Direct preference optimisation: teaches a model which of two replies people preferred.",
    stages=("read", "train", "register"),
)
def main(ctx: RecipeContext, config: DpoConfig) -> None:
    training, validation = read_examples(ctx, config, rows.preference)
    model = ctx.load_model_folder(config.model)
    with ctx.stage("train") as stage:
        trained = dpo.train(
            source_of(model),
            training,
            validation,
            config.loop(),
            dpo.DpoSettings(config.beta, config.loss_type, config.label_smoothing, config.sft_weight),
            config.adapter(),
            ctx.work_dir,
            StageReport(ctx, stage),
            resume=ctx.checkpoint_folder(),
            base_name=model.base_key,
        )
    register(ctx, config, model, trained, "dpo")
