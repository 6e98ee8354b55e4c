"""Datasets: named rows, in immutable segments, with what they came from and what they are for."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from quintet.domain.ids import Id


class DatasetKind(StrEnum):
    """What a row holds; FILES are datasets without rows (a folder of blobs)."""

    PROMPT = "prompt"
    PROMPT_COMPLETION = "prompt_completion"
    PROMPT_COMPLETION_FEEDBACK = "prompt_completion_feedback"
    PREFERENCE = "preference"
    QUESTION_ANSWER = "question_answer"
    ROWS = "rows"
    FILES = "files"


class DatasetSource(StrEnum):
    UPLOADED = "uploaded"
    GENERATED = "generated"
    FILTERED = "filtered"
    URI = "uri"
    ROWS = "rows"


@dataclass(frozen=True, slots=True)
class Dataset:
    """`key` is what clients call it, unique in the project; `origin` the dialect's own source object."""

    id: Id
    space_id: Id
    project_id: Id | None
    key: str
    name: str
    kind: DatasetKind
    source: DatasetSource
    created_at: int
    updated_at: int
    created_by: Id
    records: int = 0
    purpose: str = ""
    description: str = ""
    origin: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    metrics_usage: dict[str, dict[str, int]] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    run_id: Id | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """`rows` rows as JSON lines in the blob `blob`; the first is row number `start` of the dataset."""

    dataset_id: Id
    position: int
    start: int
    rows: int
    size: int
    blob: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A dataset as it was: its first `records` rows (rows are only ever added), or the named `files`.

    A tag belongs to one snapshot of a dataset at a time; `files` is `[{"path": str, "size": int, ...}]`.
    """

    id: Id
    dataset_id: Id
    created_at: int
    created_by: Id
    description: str = ""
    status: str = "active"
    tags: tuple[str, ...] = ()
    records: int = 0
    files: tuple[dict[str, Any], ...] = ()


class GrantRole(StrEnum):
    OWNER = "owner"
    EDITOR = "editor"
    READER = "reader"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a user or organisation (`target_id`) may do with a dataset, whatever the project says."""

    dataset_id: Id
    target_id: Id
    role: GrantRole


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that comes in `parts` pieces, numbered from 1; `done` are those that are here."""

    id: Id
    space_id: Id
    created_by: Id
    created_at: int
    content_type: str
    parts: int
    done: tuple[int, ...] = ()
    detail: dict[str, Any] = field(default_factory=dict)
