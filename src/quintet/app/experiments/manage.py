"""Start, find and cancel A/B tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from quintet.app.authz import authorize
from quintet.app.context import Ctx, Effect, ReadTx, WriteTx
from quintet.app.experiments.evidence import new_statistics
from quintet.app.feedback.manage import find_metric, link_metric
from quintet.app.projects.manage import find_project
from quintet.app.serving.deployments import find_deployment
from quintet.domain.errors import Conflict, Invalid, NotFound, Precondition
from quintet.domain.identity import Permission
from quintet.domain.ids import Id, Kind, from_uuid, new_id, parse_id
from quintet.domain.interactions import Experiment, ExperimentState, FeedbackKind
from quintet.domain.projects import check_name
from quintet.storage import deployments as store


@dataclass(frozen=True, slots=True)
class CreateExperiment:
    """`models` are deployments of the project (keys or ids); `traffic` the share of requests, 0 to 1."""

    key: str
    project: str
    metric: str
    models: Sequence[str]
    feedback: FeedbackKind = FeedbackKind.DIRECT
    traffic: float = 1.0
    auto_deploy: bool = False
    name: str = ""


def create_experiment(ctx: Ctx[WriteTx], cmd: CreateExperiment) -> Experiment:
    """A running experiment; its models must be attached, and no other may run in the project."""
    authorize(ctx, Permission.EXPERIMENT_WRITE)
    key = check_name(cmd.key, field="key")
    if len(key) > 200:
        raise Invalid("'key' is longer than 200 characters", field="key")
    if not 0 < cmd.traffic <= 1:
        raise Invalid("the traffic split is above 0 and at most 1", field="trafficSplit")
    project = find_project(ctx, cmd.project)
    metric = find_metric(ctx, cmd.metric)
    if store.experiment_by_key(ctx.tx, ctx.actor.space_id, key) is not None:
        raise Conflict(f"an A/B test with the key '{key}' is there already", field="key")
    chosen = tuple(find_deployment(ctx, m, project.id) for m in cmd.models)
    if len({d.id for d in chosen}) < 2:
        raise Invalid("an A/B test needs at least two different models", field="modelServices")
    for deployment in chosen:
        if not deployment.attached:
            raise Precondition(f"'{deployment.key}' is not attached to the project", field="modelServices")
    if running := store.list_experiments(ctx.tx, ctx.actor.space_id, project_id=project.id, active=True):
        raise Precondition(f"the A/B test '{running[0].key}' is still running in this project", field="useCase")
    ids = tuple(d.id for d in chosen)
    item = Experiment(
        id=new_id(), space_id=ctx.actor.space_id, project_id=project.id, key=key, metric_id=metric.id,
        feedback=cmd.feedback, state=ExperimentState.WARMUP, deployments=ids, traffic=cmd.traffic,
        auto_deploy=cmd.auto_deploy, created_at=ctx.now, created_by=ctx.actor.user_id, name=cmd.name or key,
        statistics=new_statistics(metric, cmd.feedback, ids),
    )  # fmt: skip
    store.insert_experiment(ctx.tx, item)
    link_metric(ctx, metric.id, project.id)
    ctx.after_commit(Effect("routes", item.id))
    return item


def find_experiment(ctx: Ctx[ReadTx], ref: str) -> Experiment:
    """An experiment by key or id, in any spelling."""
    authorize(ctx, Permission.PROJECT_READ)
    ident = parse_id(ref) or from_uuid(ref, Kind.EXPERIMENT)
    found = store.get_experiment(ctx.tx, ctx.actor.space_id, ident) if ident else None
    found = found or store.experiment_by_key(ctx.tx, ctx.actor.space_id, ref)
    if found is None:
        raise NotFound.of("experiment", ref)
    return found


def list_experiments(
    ctx: Ctx[ReadTx], *, project_id: Id | None = None, active: bool | None = None
) -> list[Experiment]:
    """Experiments of the space, newest first."""
    authorize(ctx, Permission.PROJECT_READ)
    return store.list_experiments(ctx.tx, ctx.actor.space_id, project_id=project_id, active=active)


def cancel_experiment(ctx: Ctx[WriteTx], ref: str) -> Experiment:
    """Ends an experiment without a winner; Precondition where it has ended already."""
    authorize(ctx, Permission.EXPERIMENT_WRITE)
    item = find_experiment(ctx, ref)
    if item.state in (ExperimentState.DONE, ExperimentState.CANCELLED):
        raise Precondition(f"the A/B test '{item.key}' has ended already", field="id")
    changed = replace(item, state=ExperimentState.CANCELLED, ended_at=ctx.now)
    store.save_experiment(ctx.tx, changed)
    ctx.after_commit(Effect("routes", item.id))
    return changed
