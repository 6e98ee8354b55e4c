"""Register, find and change the numbered versions of a model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from quintet.app.audit import note
from quintet.app.authz import authorize
from quintet.app.context import Ctx, Effect
from quintet.app.leftovers import leave
from quintet.app.models.registry import find_model, insert_under_key, look_up
from quintet.app.references import authorize_output, check_blob, check_project, check_run
from quintet.domain.errors import Invalid, NotFound, Precondition
from quintet.domain.identity import Permission
from quintet.domain.ids import Id, Kind, from_uuid, new_id, parse_id
from quintet.domain.models import Model, ModelFormat, ModelKind, ModelVersion
from quintet.domain.page import Page, PageRequest
from quintet.domain.projects import check_name, slug
from quintet.storage import models as store
from quintet.storage.tx import ReadTx, WriteTx

EDITABLE = frozenset({"description", "tags", "metrics", "source"})
"""What `edit_version` may change: what a version is made of never changes, and stages have their own rule."""


@dataclass(frozen=True, slots=True)
class RegisterVersion:
    """A new version of the model `model` (id, key or name), which is made where `create` and it is missing.

    `files` is `{relative path: {"size": int, "sha256": str}}` below `blob_prefix`. `backbone` names the model
    that an adapter was trained on; the version pinned is `backbone_version`, its latest where absent. `key`,
    `kind` and `project_id` count only for a model that is made here.
    """

    model: str
    format: ModelFormat = ModelFormat.TRANSFORMERS
    create: bool = True
    key: str | None = None
    kind: ModelKind = ModelKind.GENERATION
    project_id: Id | None = None
    run_id: Id | None = None
    checkpoint_id: Id | None = None
    backbone: str | None = None
    backbone_version: int | None = None
    blob_prefix: str | None = None
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    description: str = ""
    source: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    framework: str = ""
    ready: bool = False


def register_version(ctx: Ctx[WriteTx], cmd: RegisterVersion) -> tuple[Model, ModelVersion]:
    """The model and its new version, whose number is one more than any the model ever had.

    A run that was tried again and registers the same files as before gets the version that it made then.
    """
    authorize_output(ctx, Permission.MODEL_WRITE, cmd.run_id)
    check_run(ctx, cmd.run_id)
    size = check_files(cmd.files)
    _check_metrics(cmd.metrics)
    if cmd.blob_prefix is not None:
        check_blob(ctx, cmd.blob_prefix, "blob_prefix")
    backbone = _backbone(ctx, cmd)
    model = _model_for(ctx, cmd)
    if cmd.run_id is not None and cmd.blob_prefix is not None:
        earlier = store.version_of_run(ctx.tx, model.id, cmd.run_id, cmd.blob_prefix)
        if earlier is not None:
            return model, _renewed(ctx, earlier, cmd, size)
    number = store.next_version(ctx.tx, model.id)
    version = ModelVersion(
        id=new_id(), model_id=model.id, number=number, created_at=ctx.now, updated_at=ctx.now,
        created_by=ctx.actor.user_id, description=cmd.description, run_id=cmd.run_id,
        checkpoint_id=cmd.checkpoint_id, blob_prefix=cmd.blob_prefix, files=cmd.files, size=size,
        source=cmd.source, tags=cmd.tags, metrics=cmd.metrics, format=cmd.format,
        backbone_id=backbone.model_id if backbone else None,
        backbone_version=backbone.number if backbone else None,
    )  # fmt: skip
    store.insert_version(ctx.tx, version)
    # The number was taken under a lock on the row, so what is read now is what no other transaction changes.
    model = store.get(ctx.tx, model.space_id, model.id) or model
    model = replace(
        model, latest_version=number, updated_at=ctx.now, format=cmd.format, run_id=cmd.run_id or model.run_id,
        backbone_id=version.backbone_id, framework=cmd.framework or model.framework,
        ready=model.ready or cmd.ready,
    )  # fmt: skip
    store.save_model(ctx.tx, model)
    ctx.after_commit(Effect("model", model.id, {"version": number}))
    note(ctx, "model.version", "model", model.id, name=model.name, version=number)
    return model, version


def _renewed(ctx: Ctx[WriteTx], earlier: ModelVersion, cmd: RegisterVersion, size: int) -> ModelVersion:
    changed = replace(earlier, files=cmd.files, size=size, metrics=cmd.metrics, updated_at=ctx.now)
    store.save_version(ctx.tx, changed)
    ctx.after_commit(Effect("model", earlier.model_id, {"version": earlier.number}))
    return changed


def check_files(files: Mapping[str, Mapping[str, Any]]) -> int:
    """The size of all files together; Invalid where a path leaves its folder or a size is not one."""
    total = 0
    for path, info in files.items():
        if not path or path.startswith("/") or any(part in ("", ".", "..") for part in path.split("/")):
            raise Invalid(f"'{path}' is not a relative path", field="files")
        size = info.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise Invalid(f"the file '{path}' has no size", field="files")
        total += size
    return total


def _check_metrics(metrics: Mapping[str, float]) -> None:
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise Invalid(f"the metric '{name}' is not a finite number", field="metrics")


def _backbone(ctx: Ctx[WriteTx], cmd: RegisterVersion) -> ModelVersion | None:
    if cmd.backbone is None:
        if cmd.format is ModelFormat.ADAPTER:
            raise Invalid("an adapter needs the backbone that it was trained on", field="backbone")
        return None
    if cmd.format is not ModelFormat.ADAPTER:
        raise Invalid("only an adapter has a backbone", field="backbone")
    found = look_up(ctx.tx, ctx.actor.space_id, cmd.backbone)
    if found is None:
        raise NotFound.of("model", cmd.backbone)
    return _version(ctx.tx, found, cmd.backbone_version)


def _model_for(ctx: Ctx[WriteTx], cmd: RegisterVersion) -> Model:
    """The model to register under, as it is now; made if it may be.

    Two transactions that both miss it meet at the unique key: the second then finds what the first has made.
    """
    space = ctx.actor.space_id
    found = look_up(ctx.tx, space, cmd.model)
    if found is not None:
        return found
    if not cmd.create:
        raise NotFound.of("model", cmd.model)
    check_project(ctx, cmd.project_id)
    made = Model(
        id=new_id(), space_id=space, project_id=cmd.project_id, name=check_name(cmd.model), key="", kind=cmd.kind,
        format=cmd.format, created_at=ctx.now, updated_at=ctx.now, created_by=ctx.actor.user_id, run_id=cmd.run_id,
    )  # fmt: skip
    first = replace(made, key=cmd.key or slug(made.name, "model"))
    if cmd.key is None and not store.insert_model(ctx.tx, first):
        other = store.by_key(ctx.tx, space, first.key)
        return other if other and other.name == made.name else insert_under_key(ctx, made, None)
    return insert_under_key(ctx, made, cmd.key) if cmd.key is not None else first


def _version(tx: ReadTx, model: Model, number: int | None) -> ModelVersion:
    found = store.latest_version(tx, model.id) if number is None else store.get_version(tx, model.id, number)
    if found is None:
        wanted = "a version" if number is None else f"the version {number}"
        raise NotFound(f"the model '{model.name}' has no such version", kind="version", id=wanted, model=model.id)
    return found


def get_version(ctx: Ctx[ReadTx], ref: str, number: int | None = None) -> tuple[Model, ModelVersion]:
    """A version of a model, the latest where no number is given; NotFound otherwise."""
    model = find_model(ctx, ref)
    return model, _version(ctx.tx, model, number)


def find_version(ctx: Ctx[ReadTx], ref: str) -> tuple[Model, ModelVersion]:
    """A version by its own id in any spelling; NotFound otherwise."""
    authorize(ctx, Permission.MODEL_READ)
    for ident in (parse_id(ref), from_uuid(ref, Kind.VERSION)):
        version = store.version_by_id(ctx.tx, ident) if ident is not None else None
        if version is None:
            continue
        model = store.get(ctx.tx, ctx.actor.space_id, version.model_id)
        if model is not None:
            return model, version
    raise NotFound.of("version", ref)


def list_versions(
    ctx: Ctx[ReadTx],
    ref: str,
    page: PageRequest | None = None,
    *,
    descending: bool = False,
    count: bool = False,
) -> tuple[Model, Page[ModelVersion]]:
    """A page of the versions of a model, by number."""
    model = find_model(ctx, ref)
    return model, store.list_versions(
        ctx.tx, model.id, page or PageRequest(), descending=descending, count=count
    )


def search_versions(
    ctx: Ctx[ReadTx],
    page: PageRequest | None = None,
    *,
    model_ids: Sequence[Id] | None = None,
    run_ids: Sequence[Id] | None = None,
    stages: Sequence[str] | None = None,
    descending: bool = True,
    count: bool = False,
) -> Page[ModelVersion]:
    """A page of versions of any model of the space, newest first unless `descending` is false."""
    authorize(ctx, Permission.MODEL_READ)
    return store.search_versions(
        ctx.tx, ctx.actor.space_id, page or PageRequest(), model_ids=model_ids, run_ids=run_ids, stages=stages,
        descending=descending, count=count,
    )  # fmt: skip


def latest_versions(ctx: Ctx[ReadTx], model_ids: Sequence[Id]) -> dict[Id, ModelVersion]:
    """The latest version of each of the space's models among `model_ids` that has one."""
    authorize(ctx, Permission.MODEL_READ)
    mine = store.get_many(ctx.tx, ctx.actor.space_id, model_ids)
    return store.latest_versions(ctx.tx, list(mine))


def edit_version(ctx: Ctx[WriteTx], ref: str, number: int | None, changes: Mapping[str, Any]) -> ModelVersion:
    """Replaces description, tags, metrics or source of a version."""
    model, version = get_version(ctx, ref, number)
    authorize_output(ctx, Permission.MODEL_WRITE, version.run_id)
    unknown = set(changes) - EDITABLE
    if unknown:
        raise Invalid(f"a version has no field '{min(unknown)}' to change", field=min(unknown))
    _check_metrics(changes.get("metrics", {}))
    changed = replace(version, **changes, updated_at=ctx.now)
    store.save_version(ctx.tx, changed)
    ctx.after_commit(Effect("model", model.id, {"version": version.number}))
    return changed


def delete_version(ctx: Ctx[WriteTx], ref: str, number: int) -> ModelVersion:
    """Deletes one version; its number is not given again. Precondition where an adapter rests on it."""
    authorize(ctx, Permission.MODEL_WRITE)
    model, version = get_version(ctx, ref, number)
    if adapters := store.adapters_of(ctx.tx, model.id, number):
        raise Precondition(f"{len(adapters)} adapter(s) rest on version {number}", model=model.id, adapters=adapters)
    store.delete_version(ctx.tx, version.id)
    if version.blob_prefix is not None:
        leave(ctx, prefixes=store.unshared_prefixes(ctx.tx, [version.blob_prefix]))
    ctx.after_commit(Effect("model", model.id, {"version": number, "deleted": True}))
    note(ctx, "model.version.delete", "model", model.id, name=model.name, version=number)
    return version
