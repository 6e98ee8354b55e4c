"""Deployments of many projects or models at once, for pages that show them nested."""

from __future__ import annotations

from collections.abc import Sequence

from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx
from quintet.domain.identity import Permission
from quintet.domain.ids import Id
from quintet.domain.models import Deployment
from quintet.storage import deployments as store


def get_deployments(ctx: Ctx[ReadTx], ids: Sequence[Id]) -> dict[Id, Deployment]:
    """Deployments of the actor's space by id; those that are not there are missing from the answer."""
    authorize(ctx, Permission.MODEL_READ)
    return {d.id: d for d in store.list_deployments(ctx.tx, ctx.actor.space_id, ids=ids)}


def deployments_of_projects(ctx: Ctx[ReadTx], project_ids: Sequence[Id]) -> dict[Id, list[Deployment]]:
    """The deployments of each project that has any, in the order of their making."""
    authorize(ctx, Permission.MODEL_READ)
    found: dict[Id, list[Deployment]] = {}
    for item in store.list_deployments(ctx.tx, ctx.actor.space_id, project_ids=project_ids):
        if item.project_id is not None:
            found.setdefault(item.project_id, []).append(item)
    return found


def deployments_of_models(ctx: Ctx[ReadTx], model_ids: Sequence[Id]) -> dict[Id, list[Deployment]]:
    """The deployments of each model that has any, in the order of their making."""
    authorize(ctx, Permission.MODEL_READ)
    found: dict[Id, list[Deployment]] = {}
    for item in store.list_deployments(ctx.tx, ctx.actor.space_id, model_ids=model_ids):
        if item.model_id is not None:
            found.setdefault(item.model_id, []).append(item)
    return found
