"""Model services: which models a project serves, which of them by default, and which are in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from quintet.app.authz import authorize
from quintet.app.context import Ctx, Effect, ReadTx, WriteTx
from quintet.app.models.registry import CreateModel, create_model, edit_model, find_model
from quintet.app.projects.manage import find_project
from quintet.app.serving.deployments import (
    AttachModel,
    CreateEndpoint,
    attach_model,
    check_url,
    create_endpoint,
    edit_deployment,
    find_deployment,
    make_default,
    seal_config,
)
from quintet.domain.errors import Invalid, NotFound, Precondition
from quintet.domain.identity import Permission
from quintet.domain.models import Deployment, Model, ModelFormat, ModelKind
from quintet.storage import deployments as store
from quintet.storage import projects as project_store


@dataclass(frozen=True, slots=True)
class AddExternalModel:
    """A model that an upstream serves. `config` is what its engine needs; secrets in it are sealed."""

    name: str
    provider: str
    upstream_model: str
    config: Mapping[str, Any]
    engine: str = "openai_compatible"
    kind: ModelKind = ModelKind.GENERATION
    description: str = ""
    key: str | None = None


def add_external_model(ctx: Ctx[WriteTx], cmd: AddExternalModel) -> Model:
    """A model of the registry without files of ours; it can be attached to projects like any other."""
    authorize(ctx, Permission.MODEL_WRITE)
    check_url(dict(cmd.config))
    upstream = {
        "engine": cmd.engine, "provider": cmd.provider, "model": cmd.upstream_model,
        **seal_config(ctx, dict(cmd.config)),
    }  # fmt: skip
    return create_model(
        ctx,
        CreateModel(
            name=cmd.name, key=cmd.key, kind=cmd.kind, format=ModelFormat.UPSTREAM, description=cmd.description,
            ready=True, detail={"upstream": upstream},
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class UpdateService:
    """Changes of a model service, addressed by its own or its model's id or key; None leaves what is."""

    project: str
    service: str
    is_default: bool | None = None
    attached: bool | None = None
    desired_online: bool | None = None
    name: str | None = None
    placement: dict[str, Any] | None = None
    detail: dict[str, Any] = field(default_factory=dict)


def find_service(ctx: Ctx[ReadTx], project: str, ref: str) -> Deployment:
    """A model service of a project. A model that has none there is reported as not found."""
    owner = find_project(ctx, project)
    try:
        return find_deployment(ctx, ref, owner.id)
    except NotFound:
        raise NotFound.of("model", ref) from None


def attach_to_project(ctx: Ctx[WriteTx], project: str, model: str, placement: dict[str, Any]) -> Deployment:
    """The model as a service of the project; see `attach_model`."""
    return attach_model(ctx, AttachModel(project, find_model(ctx, model).id, placement=placement))


def update_service(ctx: Ctx[WriteTx], cmd: UpdateService) -> Deployment:
    """Changes a service; only an attached one can be the default."""
    authorize(ctx, Permission.DEPLOYMENT_WRITE)
    service = find_service(ctx, cmd.project, cmd.service)
    given = {
        "attached": cmd.attached, "desired_online": cmd.desired_online, "name": cmd.name, "placement": cmd.placement,
    }  # fmt: skip
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if cmd.detail:
        changes["detail"] = {**service.detail, **cmd.detail}
    changed = edit_deployment(ctx, service.id, changes) if changes else service
    if cmd.is_default is not None and changed.project_id is not None:
        project = project_store.get(ctx.tx, changed.space_id, changed.project_id)
        if project is not None and cmd.is_default:
            if not changed.attached:
                raise Precondition(f"'{changed.key}' is not attached to the project", field="isDefault")
            make_default(ctx, project, changed)
        elif project is not None and project.default_deployment_id == changed.id:
            project_store.save_project(ctx.tx, replace(project, default_deployment_id=None, updated_at=ctx.now))
            ctx.after_commit(Effect("routes", changed.id))
    return changed


COMPUTE = "compute"
"""The entry of `Model.detail` with what serving the model needs; see `set_compute`."""


def set_compute(ctx: Ctx[WriteTx], ref: str, changes: Mapping[str, int]) -> Model:
    """Sets what serving the model takes, entry by entry: numbers above 0. Precondition for an upstream's model."""
    authorize(ctx, Permission.DEPLOYMENT_WRITE)
    model = find_model(ctx, ref)
    if model.format is ModelFormat.UPSTREAM:
        raise Precondition(f"'{model.key}' is served elsewhere, so there is nothing to set", field="idOrKey")
    for name, value in changes.items():
        if value < 1:
            raise Invalid(f"'{name}' is at least 1", field=name)
    merged = {**model.detail.get(COMPUTE, {}), **changes}
    return edit_model(ctx, model.id, {"detail": {**model.detail, COMPUTE: merged}})


def deploy_model(ctx: Ctx[WriteTx], ref: str, placement: dict[str, Any] | None = None) -> list[Deployment]:
    """Wants the model in memory wherever it is attached; one that is attached nowhere serves the whole space."""
    authorize(ctx, Permission.DEPLOYMENT_WRITE)
    model = find_model(ctx, ref)
    found = [d for d in store.list_deployments(ctx.tx, model.space_id, model_id=model.id) if d.attached]
    if not found:
        return [_endpoint_of(ctx, model, placement or {})]
    changes: dict[str, Any] = {"desired_online": True, **({"placement": placement} if placement else {})}
    return [edit_deployment(ctx, d.id, changes) for d in found]


def _endpoint_of(ctx: Ctx[WriteTx], model: Model, placement: dict[str, Any]) -> Deployment:
    upstream = dict(model.detail.get("upstream", {})) if model.format is ModelFormat.UPSTREAM else {}
    engine = str(upstream.pop("engine", "openai_compatible")) if upstream else "transformers"
    provider, name = str(upstream.pop("provider", "local")), str(upstream.pop("model", ""))
    task = "embedding" if model.kind is ModelKind.EMBEDDING else "chat"
    made = create_endpoint(
        ctx,
        CreateEndpoint(
            key=model.key, provider=provider, upstream_model=name, name=model.name, task=task, engine=engine,
            config=upstream, model_id=model.id,
        ),
    )  # fmt: skip
    return edit_deployment(ctx, made.id, {"placement": placement}) if placement else made


def terminate_model(ctx: Ctx[WriteTx], ref: str, *, force: bool = False) -> list[Deployment]:
    """Wants the model out of memory everywhere; `force` where more than one project serves it."""
    authorize(ctx, Permission.DEPLOYMENT_WRITE)
    model = find_model(ctx, ref)
    found = [d for d in store.list_deployments(ctx.tx, model.space_id, model_id=model.id) if d.attached]
    if len([d for d in found if d.project_id is not None]) > 1 and not force:
        raise Precondition(f"several projects serve '{model.key}'; end it in all of them by force", field="force")
    return [edit_deployment(ctx, d.id, {"desired_online": False}) for d in found]
