"""Deployments and experiments: what the routing table is built from."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, insert, select, update

from quintet.domain.ids import Id
from quintet.domain.interactions import Experiment, ExperimentState
from quintet.domain.models import Deployment
from quintet.storage import tables as t
from quintet.storage.mapping import Mapper
from quintet.storage.tx import ReadTx, WriteTx

_deployments = Mapper(Deployment, t.deployments)
_experiments = Mapper(Experiment, t.experiments)
ACTIVE = (ExperimentState.WARMUP.value, ExperimentState.RUNNING.value)


def insert_deployment(tx: WriteTx, item: Deployment) -> None:
    tx.write(insert(t.deployments), _deployments.dump(item))


def save_deployment(tx: WriteTx, item: Deployment) -> None:
    tx.write(update(t.deployments).where(t.deployments.c.id == item.id), _deployments.dump(item))


def delete_deployment(tx: WriteTx, deployment_id: Id) -> bool:
    return tx.write(delete(t.deployments).where(t.deployments.c.id == deployment_id)) > 0


def find_deployment(tx: ReadTx, space_id: Id, deployment_id: Id) -> Deployment | None:
    c = t.deployments.c
    row = tx.one(select(t.deployments).where(c.space_id == space_id, c.id == deployment_id))
    return _deployments.load(row) if row else None


def list_deployments(
    tx: ReadTx,
    space_id: Id | None = None,
    *,
    project_id: Id | None = None,
    model_id: Id | None = None,
    key: str | None = None,
    ids: Sequence[Id] | None = None,
    project_ids: Sequence[Id] | None = None,
    model_ids: Sequence[Id] | None = None,
    endpoints_only: bool = False,
) -> list[Deployment]:
    """Deployments in the order of their making; of every space only for the routing table."""
    c = t.deployments.c
    query = select(t.deployments).order_by(c.id)
    if space_id is not None:
        query = query.where(c.space_id == space_id)
    if project_id is not None:
        query = query.where(c.project_id == project_id)
    if model_id is not None:
        query = query.where(c.model_id == model_id)
    if key is not None:
        query = query.where(c.key == key)
    for column, wanted in ((c.id, ids), (c.project_id, project_ids), (c.model_id, model_ids)):
        if wanted is not None:
            query = query.where(column.in_(list(wanted)))
    if endpoints_only:
        query = query.where(c.project_id.is_(None))
    return [_deployments.load(r) for r in tx.all(query)]


def insert_experiment(tx: WriteTx, item: Experiment) -> None:
    tx.write(insert(t.experiments), _experiments.dump(item))


def save_experiment(tx: WriteTx, item: Experiment) -> None:
    tx.write(update(t.experiments).where(t.experiments.c.id == item.id), _experiments.dump(item))


def get_experiment(tx: ReadTx, space_id: Id, experiment_id: Id) -> Experiment | None:
    c = t.experiments.c
    row = tx.one(select(t.experiments).where(c.space_id == space_id, c.id == experiment_id))
    return _experiments.load(row) if row else None


def experiment_by_key(tx: ReadTx, space_id: Id, key: str) -> Experiment | None:
    c = t.experiments.c
    row = tx.one(select(t.experiments).where(c.space_id == space_id, c.key == key))
    return _experiments.load(row) if row else None


def list_experiments(
    tx: ReadTx,
    space_id: Id | None = None,
    *,
    project_id: Id | None = None,
    project_ids: Sequence[Id] | None = None,
    active: bool | None = None,
) -> list[Experiment]:
    c = t.experiments.c
    query = select(t.experiments).order_by(c.id.desc())
    if space_id is not None:
        query = query.where(c.space_id == space_id)
    if project_id is not None:
        query = query.where(c.project_id == project_id)
    if project_ids is not None:
        query = query.where(c.project_id.in_(list(project_ids)))
    if active is not None:
        query = query.where(c.state.in_(ACTIVE) if active else c.state.not_in(ACTIVE))
    return [_experiments.load(r) for r in tx.all(query)]
