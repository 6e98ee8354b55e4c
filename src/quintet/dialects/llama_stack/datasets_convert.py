"""Datasets as Llama Stack shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quintet.domain.data import Dataset, DatasetKind

PURPOSES = ("post-training/messages", "eval/question-answer", "eval/messages-answer")
PROVIDER = "quintet"

_PURPOSE_OF = {
    DatasetKind.PROMPT: "post-training/messages",
    DatasetKind.PROMPT_COMPLETION: "post-training/messages",
    DatasetKind.PROMPT_COMPLETION_FEEDBACK: "post-training/messages",
    DatasetKind.PREFERENCE: "post-training/messages",
    DatasetKind.QUESTION_ANSWER: "eval/question-answer",
    DatasetKind.ROWS: "post-training/messages",
    DatasetKind.FILES: "post-training/messages",
}
"""What a dataset that another dialect made is good for. Of preferences, free rows and files, which the API has
no word for, it is said that they are for training."""


def from_dataset(dataset: Dataset, rows: Sequence[Any]) -> dict[str, Any]:
    """`rows` are those that the source shows, where it was given as rows."""
    return {
        "identifier": dataset.key,
        "provider_id": PROVIDER,
        "provider_resource_id": dataset.key,
        "type": "dataset",
        "purpose": purpose_of(dataset),
        "source": source_of(dataset, rows),
        "metadata": dataset.metadata,
        "owner": None,
    }


def purpose_of(dataset: Dataset) -> str:
    return dataset.purpose if dataset.purpose in PURPOSES else _PURPOSE_OF[dataset.kind]


def source_of(dataset: Dataset, rows: Sequence[Any]) -> dict[str, Any]:
    if dataset.origin.get("type") == "uri":
        return {"type": "uri", "uri": str(dataset.origin.get("uri", ""))}
    return {"type": "rows", "rows": list(rows)}
