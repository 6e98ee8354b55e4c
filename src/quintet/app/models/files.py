"""What a version is made of: where its files lie and, for an adapter, those of its backbone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quintet.app.authz import authorize
from quintet.app.context import Ctx, Ports
from quintet.app.models.versions import get_version
from quintet.domain.errors import Precondition
from quintet.domain.identity import Permission
from quintet.domain.ids import Id, new_id
from quintet.domain.models import Model, ModelFormat, ModelVersion
from quintet.storage import models as store
from quintet.storage.tx import ReadTx


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files of one version, for engines and recipes.

    `keys` maps each relative path to its blob; `path` is the folder itself where the store is a local one.
    `weights` is what caches go by: the model and its version.
    """

    model: Model
    version: ModelVersion
    format: ModelFormat
    prefix: str
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    path: Path | None = None
    backbone: ModelFiles | None = None

    @property
    def keys(self) -> dict[str, str]:
        return {path: f"{self.prefix}/{path}" for path in self.files}

    @property
    def weights(self) -> str:
        return f"{self.model.id}:{self.version.number}"


def model_files(ctx: Ctx[ReadTx], ref: str, version: int | None = None) -> ModelFiles:
    """The files of a version (the latest by default) and of its backbone.

    NotFound where there is no such version; Precondition where it has no files here, as an upstream has none.
    """
    authorize(ctx, Permission.MODEL_READ)
    model, found = get_version(ctx, ref, version)
    return _files(ctx, model, found)


def _files(ctx: Ctx[ReadTx], model: Model, version: ModelVersion) -> ModelFiles:
    if version.blob_prefix is None or version.format in (ModelFormat.UPSTREAM, ModelFormat.NONE):
        raise Precondition(
            f"version {version.number} of the model '{model.name}' has no files here", model=model.id
        )
    return ModelFiles(
        model,
        version,
        version.format,
        version.blob_prefix,
        version.files,
        ctx.ports.blobs.local_path(version.blob_prefix),
        _backbone(ctx, model, version),
    )


def _backbone(ctx: Ctx[ReadTx], model: Model, version: ModelVersion) -> ModelFiles | None:
    if version.backbone_id is None:
        return None
    below = store.get(ctx.tx, ctx.actor.space_id, version.backbone_id)
    pinned = store.get_version(ctx.tx, version.backbone_id, version.backbone_version or 1)
    if below is None or pinned is None:
        raise Precondition(f"the backbone of the model '{model.name}' is gone", model=model.id)
    if pinned.format is not ModelFormat.TRANSFORMERS:
        raise Precondition(f"the backbone of the model '{model.name}' has no weights of its own", model=model.id)
    return _files(ctx, below, pinned)


def new_prefix(space_id: Id) -> str:
    """A fresh folder for the files of a version."""
    return f"models/{space_id}/{new_id()}"


def files_under(ports: Ports, prefix: str) -> dict[str, dict[str, Any]]:
    """The manifest of what was uploaded below a prefix, by relative path. Asks the store: not in a transaction."""
    cut = len(prefix.rstrip("/")) + 1
    return {info.key[cut:]: {"size": info.size, "sha256": info.sha256} for info in ports.blobs.list(prefix)}
