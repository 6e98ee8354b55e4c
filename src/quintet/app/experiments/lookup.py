"""A/B tests of many projects at once, for pages that show them nested."""

from __future__ import annotations

from collections.abc import Sequence

from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx
from quintet.domain.identity import Permission
from quintet.domain.ids import Id
from quintet.domain.interactions import Experiment
from quintet.storage import deployments as store


def experiments_of_projects(ctx: Ctx[ReadTx], project_ids: Sequence[Id]) -> dict[Id, list[Experiment]]:
    """The experiments of each project that has any, newest first."""
    authorize(ctx, Permission.PROJECT_READ)
    found: dict[Id, list[Experiment]] = {}
    for item in store.list_experiments(ctx.tx, ctx.actor.space_id, project_ids=project_ids):
        found.setdefault(item.project_id, []).append(item)
    return found
