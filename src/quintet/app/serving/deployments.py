"""Deployments: make a model or an upstream callable, in a project or for the whole space."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from quintet.app.authz import authorize
from quintet.app.context import Ctx, Effect, ReadTx, WriteTx
from quintet.app.projects.manage import ensure_project, find_project
from quintet.domain.errors import Conflict, Invalid, NotFound
from quintet.domain.identity import Permission
from quintet.domain.ids import Id, Kind, from_hex32, from_uuid, new_id, parse_id
from quintet.domain.models import Deployment, DeploymentState, Model, ModelFormat
from quintet.domain.projects import Project, check_name, slug
from quintet.storage import deployments as store
from quintet.storage import models as model_store
from quintet.storage import projects as project_store

SECRET_NAMES = ("key", "secret", "token", "password", "credential")
"""A configuration entry whose name holds one of these is sealed before it is stored and never shown again."""

MASK = "********"


def seal_config(ctx: Ctx[Any], config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with every secret sealed, nested ones too."""

    def sealed(name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return value if set(value) == {"sealed"} else {n: sealed(n, v) for n, v in value.items()}
        if isinstance(value, str) and value and any(s in name.lower() for s in SECRET_NAMES):
            return {"sealed": ctx.ports.sealer.seal(value)}
        return value

    return {name: sealed(name, value) for name, value in config.items()}


def masked_config(config: dict[str, Any]) -> dict[str, Any]:
    """What may be shown of a configuration."""
    shown: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            shown[name] = MASK if set(value) == {"sealed"} else masked_config(value)
        else:
            shown[name] = value
    return shown


@dataclass(frozen=True, slots=True)
class CreateEndpoint:
    """An endpoint of the whole space, over an upstream. `config` may hold base_url, api_key, headers, timeout."""

    key: str
    provider: str
    upstream_model: str
    name: str = ""
    task: str = "chat"
    engine: str = "openai_compatible"
    config: dict[str, Any] = field(default_factory=dict)
    allowed_users: tuple[Id, ...] | None = None
    project: str | None = None
    model_id: Id | None = None
    detail: dict[str, Any] = field(default_factory=dict)


TASKS = ("chat", "completion", "embedding")


def create_endpoint(ctx: Ctx[WriteTx], cmd: CreateEndpoint) -> Deployment:
    """A new endpoint; Conflict where its key is taken, Invalid where its task or URL cannot be."""
    authorize(ctx, Permission.DEPLOYMENT_WRITE)
    key = check_name(cmd.key, field="key")
    if len(key) > 200 or "/" in key:
        raise Invalid("an endpoint's key has at most 200 characters and no '/'", field="key")
    if cmd.task not in TASKS:
        raise Invalid(f"'{cmd.task}' is no task; there are: {', '.join(TASKS)}", field="task")
    check_url(cmd.config)
    project = find_project(ctx, cmd.project) if cmd.project else None
    if _same_key(ctx, project, key):
        raise Conflict(f"an endpoint '{key}' is there already", field="key")
    if project is None and ctx.actor.may(Permission.PROJECT_CREATE):
        # Its calls are recorded in the default project: without one, dialects that ask by project would find none.
        ensure_project(ctx)
    item = Deployment(
        id=new_id(), space_id=ctx.actor.space_id, project_id=project.id if project else None, key=key,
        name=check_name(cmd.name or key), engine=cmd.engine, created_at=ctx.now, updated_at=ctx.now,
        created_by=ctx.actor.user_id, model_id=cmd.model_id, task=cmd.task, provider=cmd.provider,
        upstream_model=cmd.upstream_model, config=seal_config(ctx, cmd.config), state=DeploymentState.ONLINE,
        allowed_users=cmd.allowed_users, detail=cmd.detail,
    )  # fmt: skip
    store.insert_deployment(ctx.tx, item)
    ctx.after_commit(Effect("routes", item.id))
    return item


def check_url(config: dict[str, Any]) -> None:
    """Invalid where a configuration has a `base_url` that is no http or https URL."""
    url = config.get("base_url")
    if url is None:
        return
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise Invalid("'base_url' must be an http or https URL", field="base_url")


def _same_key(ctx: Ctx[ReadTx], project: Project | None, key: str) -> bool:
    found = store.list_deployments(ctx.tx, ctx.actor.space_id, key=key)
    return any(d.project_id == (project.id if project else None) for d in found)


@dataclass(frozen=True, slots=True)
class AttachModel:
    """Attach `model` to `project`; the first attached model becomes the project's default."""

    project: str
    model_id: Id
    make_default: bool = False
    placement: dict[str, Any] = field(default_factory=dict)
    version: int | None = None


def attach_model(ctx: Ctx[WriteTx], cmd: AttachModel) -> Deployment:
    """The model service of that model in that project: a new one, or the one that was detached before."""
    authorize(ctx, Permission.DEPLOYMENT_WRITE)
    project = find_project(ctx, cmd.project)
    model = model_store.get(ctx.tx, ctx.actor.space_id, cmd.model_id)
    if model is None:
        raise NotFound.of("model", cmd.model_id)
    existing = store.list_deployments(ctx.tx, project.space_id, project_id=project.id, model_id=model.id)
    if existing:
        changed = replace(
            existing[0], attached=True, desired_online=True, updated_at=ctx.now, version=cmd.version,
            placement=cmd.placement or existing[0].placement,
        )  # fmt: skip
        store.save_deployment(ctx.tx, changed)
    else:
        changed = _service_of(ctx, project, model, cmd)
        store.insert_deployment(ctx.tx, changed)
    if cmd.make_default or project.default_deployment_id is None:
        make_default(ctx, project, changed)
    ctx.after_commit(Effect("routes", changed.id))
    return changed


def _service_of(ctx: Ctx[WriteTx], project: Project, model: Model, cmd: AttachModel) -> Deployment:
    upstream = model.format is ModelFormat.UPSTREAM
    config = dict(model.detail.get("upstream", {})) if upstream else {}
    return Deployment(
        id=new_id(), space_id=ctx.actor.space_id, project_id=project.id, key=model.key, name=model.name,
        engine=str(config.pop("engine", "openai_compatible")) if upstream else "transformers",
        created_at=ctx.now, updated_at=ctx.now, created_by=ctx.actor.user_id, model_id=model.id,
        version=cmd.version, task="embedding" if model.kind == "embedding" else "chat",
        provider=str(config.pop("provider", "")) if upstream else "local",
        upstream_model=str(config.pop("model", "")) if upstream else "", config=config,
        state=DeploymentState.ONLINE if upstream else DeploymentState.PENDING, placement=cmd.placement,
    )  # fmt: skip


def make_default(ctx: Ctx[WriteTx], project: Project, deployment: Deployment) -> None:
    """Requests that name only the project go to `deployment` from now on."""
    current = project_store.get(ctx.tx, project.space_id, project.id) or project
    changed = replace(current, default_deployment_id=deployment.id, updated_at=ctx.now)
    project_store.save_project(ctx.tx, changed)
    ctx.after_commit(Effect("routes", deployment.id))


EDITABLE = frozenset(
    {"name", "key", "attached", "desired_online", "placement", "config", "allowed_users", "upstream_model",
     "provider", "task", "engine", "detail", "version", "state", "error"}
)  # fmt: skip


def edit_deployment(ctx: Ctx[WriteTx], deployment_id: Id, changes: dict[str, Any]) -> Deployment:
    """Replaces the given fields; secrets in a new `config` are sealed. Detaching a default leaves none."""
    authorize(ctx, Permission.DEPLOYMENT_WRITE)
    item = get_deployment(ctx, deployment_id)
    unknown = set(changes) - EDITABLE
    if unknown:
        raise Invalid(f"a deployment has no field '{min(unknown)}' to change", field=min(unknown))
    if "config" in changes:
        check_url(changes["config"])
        changes = {**changes, "config": seal_config(ctx, changes["config"])}
    changed = replace(item, **changes, updated_at=ctx.now)
    store.save_deployment(ctx.tx, changed)
    if item.attached and not changed.attached and item.project_id is not None:
        project = project_store.get(ctx.tx, item.space_id, item.project_id)
        if project is not None and project.default_deployment_id == item.id:
            project_store.save_project(ctx.tx, replace(project, default_deployment_id=None, updated_at=ctx.now))
    ctx.after_commit(Effect("routes", item.id))
    return changed


def delete_deployment(ctx: Ctx[WriteTx], deployment_id: Id) -> Deployment:
    authorize(ctx, Permission.DEPLOYMENT_WRITE)
    item = get_deployment(ctx, deployment_id)
    store.delete_deployment(ctx.tx, item.id)
    ctx.after_commit(Effect("routes", item.id))
    return item


def get_deployment(ctx: Ctx[ReadTx], deployment_id: Id) -> Deployment:
    authorize(ctx, Permission.MODEL_READ)
    item = store.find_deployment(ctx.tx, ctx.actor.space_id, deployment_id)
    if item is None:
        raise NotFound.of("deployment", deployment_id)
    return item


def find_deployment(ctx: Ctx[ReadTx], ref: str, project_id: Id | None = None) -> Deployment:
    """A deployment by id (any spelling), key, or the key of its model, within `project_id` where given."""
    authorize(ctx, Permission.MODEL_READ)
    ids = [i for i in (parse_id(ref), from_hex32(ref, Kind.DEPLOYMENT), from_uuid(ref, Kind.DEPLOYMENT)) if i]
    ids += [i for i in (from_uuid(ref, Kind.MODEL),) if i]
    for item in store.list_deployments(ctx.tx, ctx.actor.space_id, project_id=project_id):
        if item.key == ref or item.id in ids or item.model_id in ids:
            return item
    raise NotFound.of("deployment", ref)


def list_deployments(
    ctx: Ctx[ReadTx],
    *,
    project_id: Id | None = None,
    model_id: Id | None = None,
    endpoints_only: bool = False,
    mine_only: bool = False,
) -> list[Deployment]:
    """Deployments of the space; `mine_only` leaves out those that the actor may not call."""
    authorize(ctx, Permission.MODEL_READ)
    found = store.list_deployments(
        ctx.tx, ctx.actor.space_id, project_id=project_id, model_id=model_id, endpoints_only=endpoints_only
    )
    if not mine_only or ctx.actor.may(Permission.ADMIN):
        return found
    return [d for d in found if d.allowed_users is None or ctx.actor.user_id in d.allowed_users]


def endpoint_key(name: str) -> str:
    """A key for an endpoint made from a name."""
    return slug(name, "endpoint")
