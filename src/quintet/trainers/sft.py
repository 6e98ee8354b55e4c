"""Supervised fine-tuning with TRL's SFTTrainer: the loss falls on the reply only.

Rows are tokenised here, in batches, before the trainer sees them: it would take each row alone through a chain
of maps, which for short rows costs more time than the training steps do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from quintet.domain.errors import Invalid
from quintet.trainers import loading, loop
from quintet.trainers.report import Report
from quintet.trainers.rows import Example

BATCH = 1000
"""Conversations rendered and tokenised at once: enough to keep the tokenizer's threads busy, little memory."""

IGNORED = -100
"""The label that the loss skips."""


class Tokenised(NamedTuple):
    """Columns of equal length. `dropped` rows had no room for any of their reply."""

    input_ids: list[list[int]]
    labels: list[list[int]]
    dropped: int


def train(
    source: loading.Source,
    training: Sequence[Example],
    validation: Sequence[Example],
    settings: loop.LoopSettings,
    lora: loading.Lora | None,
    work_dir: Path,
    report: Report,
    resume: Path | None = None,
    base_name: str = "",
) -> loop.Trained:
    """Trains on `training`, saves to `work_dir/model`; `base_name` is written into an adapter as its base.

    Invalid if no row is left after cutting to `settings.max_length` tokens.
    """
    from trl import SFTConfig, SFTTrainer

    model, tokenizer, peft_config = loading.load(source, lora)
    columns = tokenise(tokenizer, training, settings.max_length)
    if not columns.input_ids:
        raise Invalid(
            f"none of the {len(training)} rows fits {settings.max_length} tokens with its prompt", field="max_length"
        )
    if columns.dropped:
        report.say(f"{columns.dropped} rows left out: their prompt alone fills {settings.max_length} tokens")
    kept = tokenise(tokenizer, validation, settings.max_length)
    arguments = loop.arguments(settings, work_dir, len(columns.input_ids))
    # `max_length` was applied above, and the trainer's own preparation is what we do without.
    arguments |= {"packing": False, "dataset_kwargs": {"skip_prepare_dataset": True}}
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(**arguments),
        train_dataset=_dataset(columns),
        eval_dataset=_dataset(kept) if kept.input_ids else None,
        processing_class=tokenizer,
        peft_config=peft_config,
    )
    metrics = loop.run(trainer, settings, report, resume)
    folder = work_dir / "model"
    saved = loading.save(trainer.accelerator.unwrap_model(trainer.model), tokenizer, folder, base_name)
    return loop.Trained(folder, saved, trainer.state.global_step, metrics)


def tokenise(tokenizer: Any, examples: Sequence[Example], max_length: int) -> Tokenised:
    """Token ids and labels of `examples`, cut at the end to `max_length`."""
    input_ids: list[list[int]] = []
    labels: list[list[int]] = []
    for start in range(0, len(examples), BATCH):
        part = examples[start : start + BATCH]
        prompts = [render(tokenizer, e.prompt, prompt=True) for e in part]
        whole = [render(tokenizer, [*e.prompt, {"role": "assistant", "content": e.completion}]) for e in part]
        for before, ids in zip(encode(tokenizer, prompts), encode(tokenizer, whole), strict=True):
            # Where the two part is where the reply begins: tokens may merge across the end of the prompt.
            asked = _common(before, ids)
            if asked < min(len(ids), max_length):
                input_ids.append(ids[:max_length])
                labels.append(([IGNORED] * asked + ids[asked:])[:max_length])
    return Tokenised(input_ids, labels, len(examples) - len(input_ids))


def render(tokenizer: Any, messages: list[dict[str, Any]], *, prompt: bool = False) -> str:
    """The conversation as the model's template writes it; with `prompt`, up to where its reply begins."""
    text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
    return text


def encode(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """Token ids of rendered conversations; the template has written the special tokens already."""
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"]
    return ids


def _common(first: list[int], second: list[int]) -> int:
    for position, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return position
    return min(len(first), len(second))


def _dataset(columns: Tokenised) -> Any:
    from datasets import Dataset

    return Dataset.from_dict({"input_ids": columns.input_ids, "labels": columns.labels})
