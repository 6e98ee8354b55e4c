"""Direct preference optimisation with TRL's DPOTrainer.

The reference is the model as it was: for adapters the same weights with the adapter off (or as it was), else a
second copy, read from the same folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quintet.trainers import loading, loop
from quintet.trainers.report import Report
from quintet.trainers.rows import Preference


@dataclass(frozen=True, slots=True)
class DpoSettings:
    """`beta` holds the model to its reference; `label_smoothing` is the share of preferences taken to be wrong.

    `sft_weight` adds that much of the plain loss on the preferred reply. Without it only the distance of the two
    replies counts, and both may become less likely.
    """

    beta: float = 0.1
    loss_type: str = "sigmoid"
    label_smoothing: float = 0.0
    sft_weight: float = 0.0


def train(
    source: loading.Source,
    training: Sequence[Preference],
    validation: Sequence[Preference],
    settings: loop.LoopSettings,
    preference: DpoSettings,
    lora: loading.Lora | None,
    work_dir: Path,
    report: Report,
    resume: Path | None = None,
    base_name: str = "",
) -> loop.Trained:
    """Trains on `training`, saves to `work_dir/model`; `base_name` is written into an adapter as its base."""
    from trl import DPOConfig, DPOTrainer

    model, tokenizer, peft_config = loading.load(source, lora)
    arguments = loop.arguments(settings, work_dir, len(training))
    arguments |= {
        "beta": preference.beta,
        "loss_type": [preference.loss_type, *(["sft"] if preference.sft_weight else [])],
        "loss_weights": [1.0, *([preference.sft_weight] if preference.sft_weight else [])],
        "label_smoothing": preference.label_smoothing,
    }
    trainer = DPOTrainer(
        model=model,
        # A merged adapter is nowhere in the folder, so the trainer could not read this reference itself.
        ref_model=_copy(model) if source.adapter is not None and lora is None else None,
        args=DPOConfig(**arguments),
        train_dataset=_dataset(training),
        eval_dataset=_dataset(validation) if validation else None,
        processing_class=tokenizer,
        peft_config=peft_config,
    )
    metrics = loop.run(trainer, settings, report, resume)
    folder = work_dir / "model"
    saved = loading.save(trainer.accelerator.unwrap_model(trainer.model), tokenizer, folder, base_name)
    return loop.Trained(folder, saved, trainer.state.global_step, metrics)


def _copy(model: Any) -> Any:
    import copy

    return copy.deepcopy(model)


def _dataset(preferences: Sequence[Preference]) -> Any:
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "prompt": [_plain(p.prompt) for p in preferences],
            "chosen": [[{"role": "assistant", "content": p.chosen}] for p in preferences],
            "rejected": [[{"role": "assistant", "content": p.rejected}] for p in preferences],
        }
    )


def _plain(messages: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Messages of the same two fields in every row: the trainer's table has one type for a whole column."""
    return [{"role": message["role"], "content": message["content"]} for message in messages]
