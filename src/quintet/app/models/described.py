"""Models and versions together with what people want to see beside them, in one read: project, owner, run, review."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from quintet.app.context import Ctx, ReadTx
from quintet.app.events.read import get_rollups
from quintet.app.identity.accounts import get_users
from quintet.app.models.registry import ModelFilter, find_model, list_models
from quintet.app.models.versions import get_version, latest_versions, list_versions
from quintet.app.projects.collaboration import ProjectView, with_owners
from quintet.app.projects.manage import get_projects
from quintet.app.runs.read import get_runs
from quintet.domain.identity import Permission, User
from quintet.domain.ids import Id
from quintet.domain.models import Model, ModelVersion, Review
from quintet.domain.page import Page, PageRequest
from quintet.domain.projects import slug
from quintet.domain.runs import Run
from quintet.domain.series import RollUp
from quintet.storage import models as store


@dataclass(frozen=True, slots=True)
class ModelView:
    """A model with its project, its owner, and its latest version."""

    model: Model
    project: ProjectView | None = None
    owner: User | None = None
    latest: ModelVersion | None = None
    rollups: Sequence[RollUp] = ()

    @property
    def name(self) -> str:
        return shown_name(self.model)


@dataclass(frozen=True, slots=True)
class VersionView:
    """A version with its model, its run as far as the actor may see it, and its reviews, newest first."""

    of: ModelView
    version: ModelVersion
    owner: User | None = None
    run: Run | None = None
    rollups: Sequence[RollUp] = ()
    reviews: Sequence[Review] = ()
    people: Mapping[Id, User] = field(default_factory=dict)


def shown_name(model: Model) -> str:
    """A name that no other model has: its own, or its key where another model was called so before."""
    return model.name if slug(model.name, "model") == model.key else model.key


def find_named(ctx: Ctx[ReadTx], name: str) -> Model:
    """The model whose `shown_name` is `name`, or whatever else `find_model` takes; NotFound otherwise."""
    found = find_model(ctx, name)
    if shown_name(found) != name:
        keyed = store.by_key(ctx.tx, ctx.actor.space_id, slug(name, "model"))
        if keyed is not None and shown_name(keyed) == name:
            return keyed
    return found


def describe_models(ctx: Ctx[ReadTx], models: Sequence[Model], *, metrics: bool = False) -> list[ModelView]:
    """The models with what belongs to them; with `metrics` also the figures of their latest version's run."""
    ids = [m.project_id for m in models if m.project_id is not None]
    may_see = ctx.actor.may(Permission.PROJECT_READ)
    projects = list(get_projects(ctx, list(dict.fromkeys(ids))).values()) if may_see else []
    views = {v.project.id: v for v in with_owners(ctx, projects)} if may_see else {}
    owners = get_users(ctx, list(dict.fromkeys(m.created_by for m in models)))
    latest = latest_versions(ctx, [m.id for m in models])
    rollups = _rollups(ctx, [v.run_id for v in latest.values() if v.run_id is not None]) if metrics else {}
    described = []
    for model in models:
        version = latest.get(model.id)
        figures = rollups.get(version.run_id, []) if version is not None and version.run_id is not None else []
        project = views.get(model.project_id) if model.project_id is not None else None
        described.append(ModelView(model, project, owners.get(model.created_by), version, figures))
    return described


def _rollups(ctx: Ctx[ReadTx], run_ids: Sequence[Id]) -> dict[Id, list[RollUp]]:
    if not ctx.actor.may(Permission.RUN_READ):
        return {}
    return get_rollups(ctx, list(get_runs(ctx, list(dict.fromkeys(run_ids)))))


def describe_model(ctx: Ctx[ReadTx], name: str) -> ModelView:
    return describe_models(ctx, [find_named(ctx, name)])[0]


def list_described(
    ctx: Ctx[ReadTx],
    wanted: ModelFilter,
    page: PageRequest,
    *,
    order: str = "id",
    descending: bool = False,
    metrics: bool = False,
) -> tuple[Page[Model], list[ModelView]]:
    """A page of models, counted, with what belongs to them."""
    found = list_models(ctx, wanted, page, order=order, descending=descending, count=True)
    return found, describe_models(ctx, list(found.items), metrics=metrics)


def describe_version(ctx: Ctx[ReadTx], name: str, number: int) -> VersionView:
    """A version with everything beside it; NotFound for an unknown model or number."""
    model, version = get_version(ctx, find_named(ctx, name).id, number)
    run = None
    rollups: Sequence[RollUp] = ()
    if version.run_id is not None and ctx.actor.may(Permission.RUN_READ):
        run = get_runs(ctx, [version.run_id]).get(version.run_id)
        rollups = get_rollups(ctx, [run.id])[run.id] if run is not None else ()
    reviews = store.reviews_of(ctx.tx, version.id)
    people = {version.created_by}
    for review in reviews:
        people |= {review.requested_by, *review.reviewers, *(Id(r["user_id"]) for r in review.responses)}
    users = get_users(ctx, sorted(people))
    owner = users.get(version.created_by)
    return VersionView(describe_models(ctx, [model])[0], version, owner, run, rollups, reviews, users)


def describe_versions(ctx: Ctx[ReadTx], name: str, page: PageRequest) -> tuple[list[VersionView], int]:
    """A page of the versions of a model, newest first, without their runs and reviews; and how many there are."""
    model, found = list_versions(ctx, find_named(ctx, name).id, page, descending=True, count=True)
    of = describe_models(ctx, [model])[0]
    owners = get_users(ctx, list({v.created_by for v in found.items}))
    return [VersionView(of, v, owners.get(v.created_by)) for v in found.items], found.total or 0
