"""Models: a registry of names, their numbered versions, stages and reviews, and deployments that make them callable."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from quintet.domain.ids import Id


class ModelKind(StrEnum):
    GENERATION = "generation"
    EMBEDDING = "embedding"
    REWARD = "reward"
    TABULAR = "tabular"
    OTHER = "other"


class ModelFormat(StrEnum):
    """What the files of a version are. ADAPTER needs its `backbone_id`; NONE is only a record (a URI of a client)."""

    TRANSFORMERS = "transformers"
    ADAPTER = "adapter"
    UPSTREAM = "upstream"
    NONE = "none"


DEFAULT_STAGES: tuple[str, ...] = ("None", "Staging", "Production", "Archived")


@dataclass(frozen=True, slots=True)
class Model:
    """One name in the registry. `key` is unique in the space; `uri` is what a client said, if anything."""

    id: Id
    space_id: Id
    project_id: Id | None
    name: str
    key: str
    kind: ModelKind
    format: ModelFormat
    created_at: int
    updated_at: int
    created_by: Id
    description: str = ""
    uri: str = ""
    framework: str = ""
    run_id: Id | None = None
    parent_id: Id | None = None
    backbone_id: Id | None = None
    latest_version: int = 0
    ready: bool = False
    discoverable: bool = True
    archived: bool = False
    tags: tuple[str, ...] = ()
    system_tags: tuple[str, ...] = ()
    labels: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """Version `number` (from 1). Its files lie in the blob store under `blob_prefix`; `files` is
    `{relative path: {"size": int, "sha256": str}}`. An adapter is pinned to the version of its backbone that it
    was trained on, because a later one has other weights."""

    id: Id
    model_id: Id
    number: int
    created_at: int
    updated_at: int
    created_by: Id
    stage: str = "None"
    description: str = ""
    run_id: Id | None = None
    checkpoint_id: Id | None = None
    blob_prefix: str | None = None
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    size: int = 0
    source: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    format: ModelFormat = ModelFormat.NONE
    backbone_id: Id | None = None
    backbone_version: int | None = None


class ReviewState(StrEnum):
    OPEN = "open"
    APPROVED = "approved"
    CHANGES_REQUESTED = "changes_requested"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Review:
    """A request to move a version to `target_stage`; `responses` are `{user_id, decision, notes, at}`."""

    id: Id
    version_id: Id
    target_stage: str
    state: ReviewState
    requested_by: Id
    created_at: int
    updated_at: int
    notes: str = ""
    reviewers: tuple[Id, ...] = ()
    responses: tuple[dict[str, Any], ...] = ()


class DeploymentState(StrEnum):
    """ONLINE answers; PENDING is loading; OFFLINE is not loaded; ERROR could not be."""

    ONLINE = "online"
    PENDING = "pending"
    OFFLINE = "offline"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model or an upstream made callable under `key`.

    In a project (`project_id` set) it is a model service of that use case, addressed `project/key`; without
    one it is an endpoint of the whole space. `config` is what its engine needs, with secrets sealed
    (`{"sealed": "..."}`); `allowed_users` None means everyone in the space who may infer.
    """

    id: Id
    space_id: Id
    project_id: Id | None
    key: str
    name: str
    engine: str
    created_at: int
    updated_at: int
    created_by: Id
    model_id: Id | None = None
    version: int | None = None
    task: str = "chat"
    provider: str = ""
    upstream_model: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    attached: bool = True
    desired_online: bool = True
    state: DeploymentState = DeploymentState.OFFLINE
    error: str = ""
    allowed_users: tuple[Id, ...] | None = None
    placement: dict[str, Any] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)
