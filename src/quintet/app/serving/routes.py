"""The routing table: from the model string of a request to a deployment, without a query.

One immutable snapshot of deployments, default choices and active experiments, with a version; it is replaced
as a whole after a commit that changes any of them. A request that holds a snapshot sees one consistent state.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from quintet.domain.errors import Forbidden, NotFound, Precondition
from quintet.domain.identity import Actor, Permission
from quintet.domain.ids import Id, Kind, from_uuid
from quintet.domain.interactions import Experiment
from quintet.domain.models import Deployment
from quintet.domain.projects import DEFAULT_PROJECT, Project
from quintet.storage import deployments as store
from quintet.storage import projects as project_store
from quintet.storage.projects import ProjectFilter
from quintet.storage.tx import ReadTx


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes, and what is written down about it."""

    deployment: Deployment
    project_id: Id | None
    project_key: str
    billing_tag: str | None
    experiment_id: Id | None = None


@dataclass(frozen=True, slots=True)
class SpaceRoutes:
    """The part of the table that one space sees; mappings are never changed after they are made."""

    projects: Mapping[str, Project]
    by_project: Mapping[Id, Mapping[str, Deployment]]
    endpoints: Mapping[str, Deployment]
    by_id: Mapping[Id, Deployment]
    experiments: Mapping[Id, tuple[Experiment, ...]]
    anywhere: Mapping[str, Deployment]
    default_project: Project | None


@dataclass(frozen=True, slots=True)
class RoutingTable:
    version: int
    spaces: Mapping[Id, SpaceRoutes]


EMPTY = SpaceRoutes({}, {}, {}, {}, {}, {}, None)


def load_table(tx: ReadTx, version: int) -> RoutingTable:
    """Reads the whole table; thousands of deployments are a few milliseconds."""
    grouped: dict[Id, list[Deployment]] = {}
    for item in store.list_deployments(tx):
        grouped.setdefault(item.space_id, []).append(item)
    running: dict[Id, list[Experiment]] = {}
    for experiment in store.list_experiments(tx, active=True):
        running.setdefault(experiment.space_id, []).append(experiment)
    spaces = {space: _space(tx, space, items, running.get(space, [])) for space, items in grouped.items()}
    return RoutingTable(version, spaces)


def _space(tx: ReadTx, space: Id, items: list[Deployment], running: list[Experiment]) -> SpaceRoutes:
    projects = project_store.list_projects(tx, space, ProjectFilter())
    by_project: dict[Id, dict[str, Deployment]] = {}
    endpoints: dict[str, Deployment] = {}
    anywhere: dict[str, Deployment] = {}
    for item in items:
        if item.project_id is None:
            endpoints[item.key] = item
        else:
            by_project.setdefault(item.project_id, {})[item.key] = item
        if item.attached:
            anywhere.setdefault(item.key, item)
    experiments: dict[Id, tuple[Experiment, ...]] = {}
    for experiment in sorted(running, key=lambda e: e.id):
        experiments[experiment.project_id] = (*experiments.get(experiment.project_id, ()), experiment)
    named = {p.id: p for p in projects} | {p.name: p for p in projects} | {p.key: p for p in projects}
    return SpaceRoutes(
        named, by_project, endpoints, {d.id: d for d in items}, experiments, anywhere, named.get(DEFAULT_PROJECT)
    )


def resolve(
    table: RoutingTable,
    actor: Actor,
    model: str,
    *,
    sticky: str | None = None,
    experiment: str | None = None,
) -> Route:
    """The route for `model`: `project/deployment`, `project`, or the key of an endpoint or deployment.

    A project alone goes to an active experiment by its traffic share (always the same variant for one
    `sticky` session or user), else to the project's default. `experiment` (id or key) forces a variant.
    """
    if not actor.may(Permission.INFER):
        raise Forbidden("this needs the permission 'model:infer'", permission="model:infer")
    space = table.spaces.get(actor.space_id, EMPTY)
    head, _, tail = model.partition("/")
    project = space.projects.get(head)
    if tail and project is not None:
        deployment = _in_project(space, project, tail)
        return _route(actor, deployment, project, _experiment_of(space, project, experiment, deployment))
    if not tail and project is not None and (project.id in space.by_project or model not in space.anywhere):
        return _by_project(space, actor, project, sticky, experiment)
    found = space.endpoints.get(model) or space.anywhere.get(model)
    if found is None:
        raise NotFound.of("model", model)
    owner = next((p for p in space.projects.values() if p.id == found.project_id), space.default_project)
    return _route(actor, found, owner, None)


def _in_project(space: SpaceRoutes, project: Project, key: str) -> Deployment:
    found = space.by_project.get(project.id, {})
    deployment = found.get(key)
    if deployment is None and (ident := from_uuid(key, Kind.MODEL) or from_uuid(key, Kind.DEPLOYMENT)) is not None:
        deployment = next((d for d in found.values() if ident in (d.model_id, d.id)), None)
    if deployment is None or not deployment.attached:
        raise NotFound.of("model", f"{project.key}/{key}")
    return deployment


def _by_project(space: SpaceRoutes, actor: Actor, project: Project, sticky: str | None, wanted: str | None) -> Route:
    running = space.experiments.get(project.id, ())
    for experiment in running:
        forced = wanted is not None and wanted in (experiment.key, experiment.id)
        variant = _variant(space, experiment, sticky, forced=forced)
        if (forced or wanted is None) and variant is not None:
            return _route(actor, variant, project, experiment.id)
    if wanted is not None:
        raise NotFound.of("experiment", wanted)
    default = space.by_id.get(project.default_deployment_id) if project.default_deployment_id else None
    if default is None or not default.attached:
        raise Precondition(
            f"the project '{project.key}' has no default model; attach one, or name it as '{project.key}/<model>'",
            field="model",
        )
    return _route(actor, default, project, None)


def _variant(space: SpaceRoutes, experiment: Experiment, sticky: str | None, *, forced: bool) -> Deployment | None:
    """The variant for this caller, or None where the request is outside of the experiment's share of traffic."""
    seed = sticky if sticky is not None else secrets.token_hex(8)
    # Two independent 32-bit draws from one hash: being in the experiment must not tell which variant one gets.
    digest = hashlib.blake2b(f"{experiment.id}:{seed}".encode(), digest_size=8).digest()
    if not forced and int.from_bytes(digest[:4], "big") / 2**32 >= experiment.traffic:
        return None
    variants = [d for i in experiment.deployments if (d := space.by_id.get(i)) is not None and d.attached]
    return variants[int.from_bytes(digest[4:], "big") % len(variants)] if variants else None


def _experiment_of(space: SpaceRoutes, project: Project, wanted: str | None, deployment: Deployment) -> Id | None:
    for experiment in space.experiments.get(project.id, ()) if wanted is not None else ():
        if wanted in (experiment.key, experiment.id) and deployment.id in experiment.deployments:
            return experiment.id
    return None


def _route(actor: Actor, deployment: Deployment, project: Project | None, experiment: Id | None) -> Route:
    allowed = deployment.allowed_users
    if allowed is not None and actor.user_id not in allowed and not actor.may(Permission.ADMIN):
        raise Forbidden(f"you may not call '{deployment.key}'")
    return Route(
        deployment,
        project.id if project else None,
        project.key if project else "",
        project.billing_tag if project else None,
        experiment,
    )
