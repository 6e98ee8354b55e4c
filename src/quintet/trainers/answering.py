"""Lets a model answer many prompts in batches, in this process: for evaluation, where only throughput counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from quintet.trainers import loading
from quintet.trainers.sft import encode, render


@dataclass(frozen=True, slots=True)
class Sampling:
    """`temperature` 0 always takes the likeliest token. `max_tokens` None is as many as the context has room for."""

    max_tokens: int | None = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


class Answer(NamedTuple):
    """The reply to prompt number `number`."""

    number: int
    text: str


def answer(
    source: loading.Source, prompts: Sequence[list[dict[str, Any]]], sampling: Sampling, batch_size: int
) -> Iterator[list[Answer]]:
    """The replies, a batch at a time, in no particular order: prompts of like length go together."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded = loading.load(source, None)
    model, tokenizer = loaded.model.to(device).eval(), loaded.tokenizer
    context = getattr(model.config, "max_position_embeddings", None) or 2048
    encoded = [encode(tokenizer, [render(tokenizer, prompt, prompt=True)])[0] for prompt in prompts]
    # The end of a prompt that is too long holds the question; some room is left to answer it.
    room = max(1, context - min(sampling.max_tokens or context // 4, context // 4))
    encoded = [ids[-room:] for ids in encoded]
    torch.manual_seed(sampling.seed)
    order = sorted(range(len(prompts)), key=lambda number: len(encoded[number]))
    for start in range(0, len(order), batch_size):
        numbers = order[start : start + batch_size]
        batch = tokenizer.pad(
            {"input_ids": [encoded[number] for number in numbers]}, padding_side="left", return_tensors="pt"
        ).to(device)
        length = batch["input_ids"].shape[1]
        with torch.inference_mode():
            output = model.generate(
                **batch,
                max_new_tokens=max(1, min(sampling.max_tokens or context, context - length)),
                pad_token_id=tokenizer.pad_token_id,
                **_how(sampling),
            )
        texts = tokenizer.batch_decode(output[:, length:], skip_special_tokens=True)
        yield [Answer(number, text) for number, text in zip(numbers, texts, strict=True)]


def _how(sampling: Sampling) -> dict[str, Any]:
    if sampling.temperature <= 0:
        # Named although off: a model's own settings may hold values that the library would warn of.
        return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    return {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
