"""Models that are registered and deployed nowhere: served from the first call that names one.

Clients that train a model and then call it by its name have no word for "deploy". Whoever may deploy does so by
calling; everybody else is told that it takes a deployment. A model that is served already costs nothing here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from quintet.app.authz import authorize
from quintet.app.context import Ctx, WriteTx
from quintet.app.core import Core
from quintet.app.models.registry import find_model
from quintet.app.services import callpath
from quintet.app.serving.callpath import Completed, Completion, StreamPart
from quintet.app.serving.routes import Route
from quintet.app.serving.services import deploy_model
from quintet.domain.errors import NotFound, Precondition
from quintet.domain.identity import Actor, Permission
from quintet.domain.models import Model, ModelFormat

WITH_WEIGHTS = frozenset({ModelFormat.TRANSFORMERS, ModelFormat.ADAPTER})
"""The formats of models that we can load ourselves."""


def is_loadable(model: Model) -> bool:
    """Whether the model has weights here, so that it can be served."""
    return model.format in WITH_WEIGHTS and model.latest_version > 0 and not model.archived


def serve_registered(ctx: Ctx[WriteTx], ref: str) -> str:
    """Deploys a registered model and says under which name it is called.

    NotFound where there is no such model or it cannot be loaded; Precondition where the actor may not deploy.
    """
    authorize(ctx, Permission.INFER)
    model = find_model(ctx, ref)
    if not is_loadable(model):
        raise NotFound.of("model", ref)
    if not ctx.actor.may(Permission.DEPLOYMENT_WRITE):
        raise Precondition(f"the model '{model.key}' is not deployed, and you may not deploy it", field="model")
    deploy_model(ctx, model.id)
    return model.key


async def complete(core: Core, actor: Actor, wanted: Completion) -> Completed:
    """As `CallPath.complete`, for registered models too."""
    path = callpath(core)
    try:
        return await path.complete(actor, wanted)
    except NotFound as missing:
        served = await _served(core, actor, wanted.model, missing)
    return await path.complete(actor, replace(wanted, model=served))


async def stream(core: Core, actor: Actor, wanted: Completion) -> tuple[Route, AsyncIterator[StreamPart]]:
    """As `CallPath.stream`, for registered models too."""
    path = callpath(core)
    try:
        return await path.stream(actor, wanted)
    except NotFound as missing:
        served = await _served(core, actor, wanted.model, missing)
    return await path.stream(actor, replace(wanted, model=served))


async def embed(
    core: Core, actor: Actor, model: str, texts: Sequence[str], *, dialect: str
) -> tuple[Route, list[list[float]]]:
    """As `CallPath.embed`, for registered models too."""
    path = callpath(core)
    try:
        return await path.embed(actor, model, texts, dialect=dialect)
    except NotFound as missing:
        served = await _served(core, actor, model, missing)
    return await path.embed(actor, served, texts, dialect=dialect)


async def _served(core: Core, actor: Actor, model: str, missing: NotFound) -> str:
    if missing.data.get("kind") != "model":
        raise missing
    try:
        return await core.write(actor, serve_registered, model)
    except NotFound:
        raise missing from None
