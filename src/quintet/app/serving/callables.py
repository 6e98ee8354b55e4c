"""What an actor may call: everything that is deployed, and registered models that can be served on demand."""

from __future__ import annotations

from dataclasses import dataclass

from quintet.app.context import Ctx, ReadTx
from quintet.app.models.registry import get_models, list_models, look_up
from quintet.app.projects.manage import find_project, get_projects
from quintet.app.serving.deployments import list_deployments
from quintet.app.serving.on_demand import is_loadable
from quintet.domain.errors import NotFound
from quintet.domain.models import Deployment, Model
from quintet.domain.page import MAX_PAGE, PageRequest


@dataclass(frozen=True, slots=True)
class CallableModel:
    """A name that completions may be asked of: deployed (in `projects`, by key), registered, or both."""

    key: str
    model: Model | None
    deployment: Deployment | None
    projects: tuple[str, ...] = ()

    @property
    def created_at(self) -> int:
        return self.model.created_at if self.model else self.deployment.created_at if self.deployment else 0


def list_callable(ctx: Ctx[ReadTx]) -> list[CallableModel]:
    """Every name once, deployed ones first."""
    deployed: dict[str, list[Deployment]] = {}
    for item in list_deployments(ctx, mine_only=True):
        if item.attached:
            deployed.setdefault(item.key, []).append(item)
    models = get_models(ctx, [d.model_id for ds in deployed.values() for d in ds if d.model_id is not None])
    projects = get_projects(ctx, [d.project_id for ds in deployed.values() for d in ds if d.project_id is not None])
    found = [
        CallableModel(
            key,
            next((models[d.model_id] for d in items if d.model_id in models), None),
            items[0],
            tuple(projects[d.project_id].key for d in items if d.project_id in projects),
        )
        for key, items in deployed.items()
    ]
    return found + [CallableModel(m.key, m, None) for m in _loadable(ctx) if m.key not in deployed]


def _loadable(ctx: Ctx[ReadTx]) -> list[Model]:
    found: list[Model] = []
    page = list_models(ctx, page=PageRequest(limit=MAX_PAGE))
    found += page.items
    while page.next_cursor is not None:
        page = list_models(ctx, page=PageRequest(limit=MAX_PAGE, after=page.next_cursor))
        found += page.items
    return [m for m in found if is_loadable(m)]


def find_callable(ctx: Ctx[ReadTx], ref: str) -> CallableModel:
    """One of `list_callable` by its key, `project/key`, or any spelling of its model; NotFound otherwise."""
    everything = {c.key: c for c in list_callable(ctx)}
    if ref in everything:
        return everything[ref]
    head, _, tail = ref.partition("/")
    if tail in everything:
        try:
            project = find_project(ctx, head)
        except NotFound:
            raise NotFound.of("model", ref) from None
        if project.key in everything[tail].projects:
            return everything[tail]
    model = look_up(ctx.tx, ctx.actor.space_id, ref)
    if model is None or model.key not in everything:
        raise NotFound.of("model", ref)
    return everything[model.key]
