"""Make, find, change and delete models."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from quintet.app.audit import note
from quintet.app.authz import authorize
from quintet.app.context import Ctx, Effect
from quintet.app.leftovers import leave
from quintet.app.references import authorize_output, check_project, check_run
from quintet.domain.errors import Conflict, Invalid, NotFound, Precondition
from quintet.domain.identity import Permission
from quintet.domain.ids import Id, Kind, from_uuid, new_id, parse_id
from quintet.domain.models import Model, ModelFormat, ModelKind
from quintet.domain.page import Page, PageRequest
from quintet.domain.projects import check_name, slug
from quintet.storage import models as store
from quintet.storage import refs
from quintet.storage.models import ModelFilter as ModelFilter
from quintet.storage.tx import ReadTx, WriteTx

MAX_KEY = 200
ARCHIVED = "archived"
"""The system tag that says the same as `Model.archived`; the two always agree."""

EDITABLE = frozenset(
    {"name", "description", "uri", "framework", "kind", "format", "project_id", "run_id", "parent_id", "ready",
     "discoverable", "archived", "tags", "system_tags", "labels", "metadata", "detail"}
)  # fmt: skip
"""What `edit_model` may change. Keys, versions and owners never change."""

LOCKED_WHEN_READY = frozenset({"uri", "framework", "format", "run_id", "labels", "parent_id"})
"""What defines a published model: others may use it already, so these stay as they were published."""


@dataclass(frozen=True, slots=True)
class CreateModel:
    """`key` is derived from the name where absent; `unique_name` refuses a name that another model has."""

    name: str
    key: str | None = None
    project_id: Id | None = None
    kind: ModelKind = ModelKind.GENERATION
    format: ModelFormat = ModelFormat.NONE
    description: str = ""
    uri: str = ""
    framework: str = ""
    run_id: Id | None = None
    parent_id: Id | None = None
    backbone_id: Id | None = None
    ready: bool = False
    discoverable: bool = True
    tags: tuple[str, ...] = ()
    system_tags: tuple[str, ...] = ()
    labels: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)
    unique_name: bool = False


def create_model(ctx: Ctx[WriteTx], cmd: CreateModel) -> Model:
    """A new model without versions. Conflict where a key that was asked for, or a `unique_name`, is taken."""
    authorize_output(ctx, Permission.MODEL_WRITE, cmd.run_id)
    name = check_name(cmd.name)
    space = ctx.actor.space_id
    if cmd.unique_name and store.by_name(ctx.tx, space, name) is not None:
        raise Conflict(f"a model named '{name}' is there already", field="name", name=name)
    check_project(ctx, cmd.project_id)
    check_run(ctx, cmd.run_id)
    for other, label in ((cmd.parent_id, "parent_id"), (cmd.backbone_id, "backbone_id")):
        _check_model(ctx, other, label)
    model = Model(
        id=new_id(), space_id=space, project_id=cmd.project_id, name=name, key="", kind=cmd.kind,
        format=cmd.format, created_at=ctx.now, updated_at=ctx.now, created_by=ctx.actor.user_id,
        description=cmd.description, uri=cmd.uri, framework=cmd.framework, run_id=cmd.run_id,
        parent_id=cmd.parent_id, backbone_id=cmd.backbone_id, ready=cmd.ready, discoverable=cmd.discoverable,
        archived=ARCHIVED in cmd.system_tags, tags=cmd.tags, system_tags=cmd.system_tags, labels=cmd.labels,
        metadata=cmd.metadata, detail=cmd.detail,
    )  # fmt: skip
    model = insert_under_key(ctx, model, cmd.key)
    ctx.after_commit(Effect("model", model.id))
    note(ctx, "model.create", "model", model.id, name=model.name)
    return model


def insert_under_key(ctx: Ctx[WriteTx], model: Model, key: str | None) -> Model:
    """Stores the model under `key`, or under the first free key that its name gives."""
    if key is not None:
        model = replace(model, key=_checked_key(key))
        if not store.insert_model(ctx.tx, model):
            raise Conflict(f"a model with the key '{key}' is there already", field="key", key=key)
        return model
    base = slug(model.name, "model")
    number = 1
    while True:
        model = replace(model, key=base if number == 1 else f"{base}-{number}")
        if store.insert_model(ctx.tx, model):
            return model
        number += 1


def _checked_key(key: str) -> str:
    checked = check_name(key, field="key")
    if len(checked) > MAX_KEY:
        raise Invalid(f"'key' is longer than {MAX_KEY} characters", field="key")
    return checked


def _check_model(ctx: Ctx[ReadTx], model_id: Id | None, label: str) -> None:
    if model_id is not None and store.get(ctx.tx, ctx.actor.space_id, model_id) is None:
        raise NotFound(f"'{label}' names the model '{model_id}', which was not found", field=label, kind="model")


def look_up(tx: ReadTx, space_id: Id, ref: str) -> Model | None:
    """The model of a space by id (in any dialect's spelling), key, name, or a name from elsewhere."""
    for ident in (parse_id(ref), from_uuid(ref, Kind.MODEL)):
        if ident is not None and (found := store.get(tx, space_id, ident)) is not None:
            return found
    found = store.by_key(tx, space_id, ref) or store.by_name(tx, space_id, ref)
    if found is None and (target := refs.find_any(tx, space_id, "model", ref)) is not None:
        found = store.get(tx, space_id, target)
    return found


def find_model(ctx: Ctx[ReadTx], ref: str) -> Model:
    """A model by id, key, name or any dialect's spelling of it; NotFound otherwise."""
    authorize(ctx, Permission.MODEL_READ)
    found = look_up(ctx.tx, ctx.actor.space_id, ref)
    if found is None:
        raise NotFound.of("model", ref)
    return found


def get_models(ctx: Ctx[ReadTx], ids: Sequence[Id]) -> dict[Id, Model]:
    """Models of the actor's space by id; those that are not there are missing from the answer."""
    authorize(ctx, Permission.MODEL_READ)
    return store.get_many(ctx.tx, ctx.actor.space_id, ids)


def list_models(
    ctx: Ctx[ReadTx],
    wanted: ModelFilter | None = None,
    page: PageRequest | None = None,
    *,
    order: str = "id",
    descending: bool = False,
    count: bool = False,
) -> Page[Model]:
    """A page of models sorted by id, created_at, updated_at, name or key.

    A cursor is `encode_cursor(<value of the order column>, model.id)`; Invalid for a bad pattern or order.
    """
    authorize(ctx, Permission.MODEL_READ)
    wanted = wanted or ModelFilter()
    if order not in store.ORDERS:
        raise Invalid(f"models are not sorted by '{order}'", field="order")
    if wanted.name_pattern:
        _check_pattern(wanted.name_pattern)
    return store.list_models(
        ctx.tx, ctx.actor.space_id, wanted, page or PageRequest(), order=order, descending=descending, count=count
    )


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise Invalid(f"'{pattern}' is not a regular expression: {error}", field="name_pattern") from error


def list_frameworks(ctx: Ctx[ReadTx], project_ids: Sequence[Id] | None = None) -> list[str]:
    """The frameworks that models name, sorted."""
    authorize(ctx, Permission.MODEL_READ)
    return store.frameworks(ctx.tx, ctx.actor.space_id, project_ids)


def edit_model(ctx: Ctx[WriteTx], ref: str, changes: Mapping[str, Any], *, force: bool = False) -> Model:
    """Replaces the given fields (`EDITABLE`). Precondition for what defines a published model, unless `force`."""
    model = find_model(ctx, ref)
    authorize_output(ctx, Permission.MODEL_WRITE, model.run_id)
    unknown = set(changes) - EDITABLE
    if unknown:
        raise Invalid(f"a model has no field '{min(unknown)}' to change", field=min(unknown))
    real = {k: v for k, v in changes.items() if getattr(model, k) != v}
    locked = set(real) & LOCKED_WHEN_READY
    if model.ready and locked and not force:
        raise Precondition(f"the model '{model.name}' is published, so '{min(locked)}' stays", field=min(locked))
    if "name" in real:
        real["name"] = check_name(real["name"])
    check_project(ctx, real.get("project_id"))
    check_run(ctx, real.get("run_id"))
    _check_model(ctx, real.get("parent_id"), "parent_id")
    return _save(ctx, replace(model, **_agreeing_tags(model, real)))


def _agreeing_tags(model: Model, changes: dict[str, Any]) -> dict[str, Any]:
    """Keeps the flag and the system tag of an archived model the same, whichever of them was changed."""
    if "system_tags" in changes:
        return {**changes, "archived": ARCHIVED in changes["system_tags"]}
    if "archived" in changes:
        others = tuple(tag for tag in model.system_tags if tag != ARCHIVED)
        return {**changes, "system_tags": (*others, ARCHIVED) if changes["archived"] else others}
    return changes


def _save(ctx: Ctx[WriteTx], model: Model) -> Model:
    changed = replace(model, updated_at=ctx.now)
    store.save_model(ctx.tx, changed)
    ctx.after_commit(Effect("model", model.id))
    return changed


def archive_model(ctx: Ctx[WriteTx], ref: str, archived: bool = True) -> Model:
    """Archives a model, or brings it back."""
    return edit_model(ctx, ref, {"archived": archived})


def publish_model(ctx: Ctx[WriteTx], ref: str) -> Model:
    """Marks a model ready for others; Precondition where it is already."""
    model = find_model(ctx, ref)
    if model.ready:
        raise Precondition(f"the model '{model.name}' is published already", field="ready", model=model.id)
    published = edit_model(ctx, model.id, {"ready": True})
    note(ctx, "model.publish", "model", model.id, name=model.name)
    return published


def edit_metadata(
    ctx: Ctx[WriteTx],
    ref: str,
    changes: Mapping[str, Any],
    *,
    remove: Sequence[str] = (),
    replace_all: bool = False,
) -> Model:
    """Sets and removes single metadata entries, or with `replace_all` all of them at once."""
    model = find_model(ctx, ref)
    kept = {} if replace_all else {k: v for k, v in model.metadata.items() if k not in remove}
    return edit_model(ctx, model.id, {"metadata": {**kept, **changes}})


def delete_model(ctx: Ctx[WriteTx], ref: str, *, force: bool = False) -> Model:
    """Deletes a model with its versions; their files follow after the commit.

    Precondition where it is published or deployed (unless `force`), and always where adapters rest on it.
    """
    model = find_model(ctx, ref)
    authorize(ctx, Permission.MODEL_WRITE)
    if adapters := store.adapters_of(ctx.tx, model.id):
        raise Precondition(f"{len(adapters)} adapter(s) rest on the model '{model.name}'", adapters=adapters)
    if model.ready and not force:
        raise Precondition(f"the model '{model.name}' is published", field="ready", model=model.id)
    used = store.deployments_of(ctx.tx, model.id)
    if used and not force:
        raise Precondition(f"the model '{model.name}' is deployed", model=model.id, deployments=used)
    prefixes = store.prefixes_of(ctx.tx, model.id)
    store.delete_model(ctx.tx, model.id)
    refs.drop_target(ctx.tx, ctx.actor.space_id, "model", model.id)
    leave(ctx, prefixes=store.unshared_prefixes(ctx.tx, prefixes))
    ctx.after_commit(Effect("model", model.id, {"deleted": True}))
    note(ctx, "model.delete", "model", model.id, name=model.name)
    return model
