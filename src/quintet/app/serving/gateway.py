"""Gateway endpoints: upstream providers made callable by name, with the provider's own configuration kept beside.

A provider's configuration is kept as it was given, its secrets sealed, so that it can be shown (masked) and changed
entry by entry; what the engine needs is derived from it here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quintet.app.audit import note
from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx, WriteTx
from quintet.app.models.registry import find_model
from quintet.app.references import check_member
from quintet.app.serving.deployments import (
    MASK,
    CreateEndpoint,
    create_endpoint,
    delete_deployment,
    edit_deployment,
    list_deployments,
    masked_config,
    seal_config,
)
from quintet.domain.errors import Conflict, Invalid, NotFound
from quintet.domain.identity import Permission
from quintet.domain.ids import Id
from quintet.domain.models import Deployment
from quintet.domain.projects import check_name

GIVEN = "provider_config"
"""The entry of `Deployment.detail` that holds what was given for the provider."""

OWN = "quintet"
"""The provider of models that are registered here."""

PROVIDERS: dict[str, str | None] = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com/v1",
    "gemini": "https://generativelanguage.googleapis.com/v1beta/openai",
    "mistral": "https://api.mistral.ai/v1",
    "togetherai": "https://api.together.xyz/v1",
    "groq": "https://api.groq.com/openai/v1",
    "deepseek": "https://api.deepseek.com/v1",
    "xai": "https://api.x.ai/v1",
    "openrouter": "https://openrouter.ai/api/v1",
    "mosaicml": None,
    "ollama": None,
    "litellm": None,
    "huggingface-text-generation-inference": None,
    "mlflow-model-serving": None,
}
"""Providers that speak OpenAI's calls, and where; None is for those that everybody runs somewhere else."""


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """`provider` is one of `PROVIDERS`, or `OWN` with `model` naming a registered model.

    `config` holds the provider's own entries: `<provider>_api_key`, `<provider>_api_base`, or `api_key`, `api_base`.
    """

    key: str
    task: str
    provider: str
    model: str
    config: Mapping[str, Any] = field(default_factory=dict)
    everyone: bool = True
    users: Sequence[Id] = ()


@dataclass(frozen=True, slots=True)
class EndpointChanges:
    """None leaves a thing as it is. Secrets that come back masked stay."""

    key: str | None = None
    task: str | None = None
    provider: str | None = None
    model: str | None = None
    config: Mapping[str, Any] | None = None


def open_endpoint(ctx: Ctx[WriteTx], cmd: NewEndpoint) -> Deployment:
    """A new endpoint of the space; Conflict for a name in use, Invalid for a provider that cannot be called."""
    authorize(ctx, Permission.DEPLOYMENT_WRITE)
    engine, config, model = _engine(ctx, cmd.provider, cmd.model, cmd.config)
    made = create_endpoint(
        ctx,
        CreateEndpoint(
            cmd.key, cmd.provider, cmd.model, task=cmd.task, engine=engine, config=config, model_id=model,
            allowed_users=_allowed(ctx, cmd.everyone, cmd.users),
            detail={GIVEN: seal_config(ctx, dict(cmd.config))},
        ),
    )  # fmt: skip
    note(ctx, "endpoint.create", "deployment", made.id, key=made.key)
    return made


def find_endpoint(ctx: Ctx[ReadTx], key: str) -> Deployment:
    """An endpoint of the space by its name; NotFound too for those that the actor may not call."""
    for item in list_deployments(ctx, endpoints_only=True, mine_only=True):
        if item.key == key:
            return item
    raise NotFound.of("endpoint", key)


def given_config(item: Deployment) -> dict[str, Any]:
    """What was given for the provider, its secrets masked."""
    return masked_config(item.detail.get(GIVEN, {}))


def change_endpoint(ctx: Ctx[WriteTx], key: str, cmd: EndpointChanges) -> Deployment:
    """Changes what is given; Conflict for a new name in use."""
    authorize(ctx, Permission.DEPLOYMENT_WRITE)
    item = find_endpoint(ctx, key)
    given = item.detail.get(GIVEN, {})
    if cmd.config is not None:
        given = {n: given.get(n, v) if v == MASK else v for n, v in cmd.config.items()}
    provider, model = cmd.provider or item.provider, cmd.model or item.upstream_model
    engine, config, model_id = item.engine, item.config, item.model_id
    if cmd.config is not None or cmd.provider is not None or cmd.model is not None:
        engine, config, model_id = _engine(ctx, provider, model, given)
    changes: dict[str, Any] = {
        "provider": provider, "upstream_model": model, "engine": engine, "config": config,
        "task": cmd.task or item.task, "detail": {**item.detail, GIVEN: seal_config(ctx, given)},
    }  # fmt: skip
    if cmd.key is not None and cmd.key != item.key:
        changes["key"] = _free_key(ctx, cmd.key)
    if model_id != item.model_id:
        raise Invalid("an endpoint keeps its registered model; make another endpoint", field="modelName")
    changed = edit_deployment(ctx, item.id, changes)
    note(ctx, "endpoint.update", "deployment", item.id, key=changed.key)
    return changed


def _free_key(ctx: Ctx[ReadTx], key: str) -> str:
    checked = check_name(key, field="key")
    if len(checked) > 200 or "/" in checked:
        raise Invalid("an endpoint's key has at most 200 characters and no '/'", field="key")
    if any(d.key == checked for d in list_deployments(ctx, endpoints_only=True)):
        raise Conflict(f"an endpoint '{checked}' is there already", field="key")
    return checked


def close_endpoint(ctx: Ctx[WriteTx], key: str) -> Deployment:
    """Takes an endpoint away."""
    authorize(ctx, Permission.DEPLOYMENT_WRITE)
    gone = delete_deployment(ctx, find_endpoint(ctx, key).id)
    note(ctx, "endpoint.delete", "deployment", gone.id, key=gone.key)
    return gone


def set_access(
    ctx: Ctx[WriteTx], key: str, everyone: bool | None = None, users: Sequence[Id] | None = None
) -> Deployment:
    """Who may call an endpoint: everyone in the space, or these users."""
    authorize(ctx, Permission.DEPLOYMENT_WRITE)
    item = find_endpoint(ctx, key)
    open_to_all = everyone if everyone is not None else users is None and item.allowed_users is None
    allowed = _allowed(ctx, open_to_all, users if users is not None else item.allowed_users or ())
    changed = edit_deployment(ctx, item.id, {"allowed_users": allowed})
    note(ctx, "endpoint.access", "deployment", item.id, key=item.key, everyone=allowed is None)
    return changed


def _allowed(ctx: Ctx[ReadTx], everyone: bool, users: Sequence[Id]) -> tuple[Id, ...] | None:
    if everyone:
        return None
    for user in users:
        check_member(ctx, user, "userIds")
    return tuple(dict.fromkeys(users))


def _engine(
    ctx: Ctx[ReadTx], provider: str, model: str, given: Mapping[str, Any]
) -> tuple[str, dict[str, Any], Id | None]:
    """The engine for a provider, its configuration, and the registered model that it serves, if any."""
    if provider == OWN:
        return "transformers", {}, find_model(ctx, model).id
    if provider not in PROVIDERS:
        known = ", ".join((OWN, *PROVIDERS))
        raise Invalid(f"'{provider}' cannot be called; there are: {known}", field="modelProvider")
    names = (provider.replace("-", "_"), "openai")
    base = _first(given, [f"{n}_api_base" for n in names], "api_base", "hf_server_url", "model_server_url")
    key = _first(given, [f"{n}_api_key" for n in names], "api_key")
    config: dict[str, Any] = {"base_url": base or PROVIDERS[provider]}
    if config["base_url"] is None:
        raise Invalid("this provider needs the URL that it is at, as 'api_base'", field="modelConfig.api_base")
    if key is not None:
        config["api_key"] = key
    return "openai_compatible", config, None


def _first(given: Mapping[str, Any], names: Sequence[str], *more: str) -> Any:
    return next((given[n] for n in (*names, *more) if given.get(n)), None)


def open_to(item: Deployment) -> tuple[bool, tuple[Id, ...]]:
    """Whether everyone may call it, and else who."""
    return item.allowed_users is None, item.allowed_users or ()
