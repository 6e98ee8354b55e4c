"""Metrics, their links to projects, and the append-only feedback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, delete, func, insert, or_, select, update

from quintet.domain.ids import Id
from quintet.domain.interactions import Feedback, Metric
from quintet.storage import sql
from quintet.storage import tables as t
from quintet.storage.mapping import Mapper
from quintet.storage.tx import ReadTx, WriteTx

HOUR = 3_600_000_000
_metrics = Mapper(Metric, t.metrics)
_feedback = Mapper(Feedback, t.feedback)


def insert_metric(tx: WriteTx, item: Metric) -> None:
    tx.write(insert(t.metrics), _metrics.dump(item))


def save_metric(tx: WriteTx, item: Metric) -> None:
    tx.write(update(t.metrics).where(t.metrics.c.id == item.id), _metrics.dump(item))


def find_metric(tx: ReadTx, space_id: Id, id_or_key: str) -> Metric | None:
    c = t.metrics.c
    row = tx.one(select(t.metrics).where(c.space_id == space_id, or_(c.id == id_or_key, c.key == id_or_key)))
    return _metrics.load(row) if row else None


def list_metrics(tx: ReadTx, space_id: Id, project_id: Id | None = None) -> list[Metric]:
    c = t.metrics.c
    query = select(t.metrics).where(c.space_id == space_id).order_by(c.id)
    if project_id is not None:
        links = t.metric_links
        query = query.join(links, links.c.metric_id == c.id).where(links.c.project_id == project_id)
    return [_metrics.load(r) for r in tx.all(query)]


def get_metrics(tx: ReadTx, space_id: Id, ids: Sequence[Id]) -> dict[Id, Metric]:
    c = t.metrics.c
    rows = tx.all(select(t.metrics).where(c.space_id == space_id, c.id.in_(list(ids)))) if ids else []
    return {r["id"]: _metrics.load(r) for r in rows}


def metrics_of_projects(tx: ReadTx, space_id: Id, project_ids: Sequence[Id]) -> dict[Id, list[Metric]]:
    """The metrics linked to each project, in the order of their making."""
    c, links = t.metrics.c, t.metric_links.c
    query = (
        select(t.metrics, links.project_id)
        .join(t.metric_links, links.metric_id == c.id)
        .where(c.space_id == space_id, links.project_id.in_(list(project_ids)))
        .order_by(c.id)
    )
    found: dict[Id, list[Metric]] = {}
    for row in tx.all(query):
        found.setdefault(row["project_id"], []).append(_metrics.load(row))
    return found


def metrics_by_key(tx: ReadTx, space_id: Id, keys: Sequence[str]) -> dict[str, Metric]:
    c = t.metrics.c
    rows = tx.all(select(t.metrics).where(c.space_id == space_id, c.key.in_(list(keys)))) if keys else []
    return {r["key"]: _metrics.load(r) for r in rows}


def link(tx: WriteTx, metric_id: Id, project_id: Id, now: int) -> None:
    """Shows a metric in a project; linking twice is no error."""
    row = {"metric_id": metric_id, "project_id": project_id, "created_at": now}
    sql.upsert(tx, t.metric_links, [row], keys=("metric_id", "project_id"), update=())


def unlink(tx: WriteTx, metric_id: Id, project_id: Id) -> bool:
    c = t.metric_links.c
    return tx.write(delete(t.metric_links).where(c.metric_id == metric_id, c.project_id == project_id)) > 0


def links(tx: ReadTx, metric_ids: Sequence[Id]) -> list[tuple[Id, Id, int]]:
    """(metric, project, linked at)."""
    c = t.metric_links.c
    query = select(c.metric_id, c.project_id, c.created_at).where(c.metric_id.in_(list(metric_ids)))
    return [(r[0], r[1], r[2]) for r in tx.execute(query)]


def insert_feedback(tx: WriteTx, item: Feedback) -> None:
    tx.write(insert(t.feedback), _feedback.dump(item))


def save_feedback(tx: WriteTx, item: Feedback) -> None:
    tx.write(update(t.feedback).where(t.feedback.c.id == item.id), _feedback.dump(item))


def find_feedback(tx: ReadTx, space_id: Id, feedback_id: Id) -> Feedback | None:
    c = t.feedback.c
    row = tx.one(select(t.feedback).where(c.space_id == space_id, c.id == feedback_id))
    return _feedback.load(row) if row else None


def of_interactions(tx: ReadTx, space_id: Id, ids: Sequence[Id]) -> list[Feedback]:
    """Every feedback that names one of the interactions, oldest first."""
    c = t.feedback.c
    if not ids:
        return []
    wanted = list(ids)
    query = select(t.feedback).where(
        c.space_id == space_id, or_(c.interaction_id.in_(wanted), c.other_id.in_(wanted))
    )
    return [_feedback.load(r) for r in tx.all(query.order_by(c.id))]


def list_feedback(
    tx: ReadTx, space_id: Id, *, project_id: Id | None = None, metric_id: Id | None = None, kind: str | None = None
) -> list[Feedback]:
    c = t.feedback.c
    query = select(t.feedback).where(c.space_id == space_id).order_by(c.id)
    for column, value in ((c.project_id, project_id), (c.metric_id, metric_id), (c.kind, kind)):
        if value is not None:
            query = query.where(column == value)
    return [_feedback.load(r) for r in tx.all(query)]


def kinds_of(tx: ReadTx, metric_ids: Sequence[Id]) -> dict[Id, set[str]]:
    """Which kinds of feedback each metric has."""
    c = t.feedback.c
    found: dict[Id, set[str]] = {}
    query: Any = select(c.metric_id, c.kind).where(c.metric_id.in_(list(metric_ids))).group_by(c.metric_id, c.kind)
    for metric, kind in tx.execute(query):
        found.setdefault(metric, set()).add(kind)
    return found


def counts_in_projects(
    tx: ReadTx, project_ids: Sequence[Id], metric_ids: Sequence[Id], since: int | None, until: int | None
) -> dict[tuple[Id, Id, str], int]:
    """{(project, metric, kind of feedback): how many} with `since` ≤ time < `until`."""
    c = t.feedback.c
    query: Any = select(c.project_id, c.metric_id, c.kind, func.count()).where(
        c.project_id.in_(list(project_ids)), c.metric_id.in_(list(metric_ids))
    )
    if since is not None:
        query = query.where(c.created_at >= since)
    if until is not None:
        query = query.where(c.created_at < until)
    return {(r[0], r[1], r[2]): int(r[3]) for r in tx.execute(query.group_by(c.project_id, c.metric_id, c.kind))}


@dataclass(frozen=True, slots=True)
class FeedbackHour:
    """Direct feedback of one hour (its start) in one metric, project and model."""

    project_id: Id | None
    metric_id: Id
    model_id: Id | None
    hour: int
    count: int
    total: float


def hourly(
    tx: ReadTx, project_ids: Sequence[Id], metric_ids: Sequence[Id], since: int | None, until: int | None
) -> list[FeedbackHour]:
    """Direct feedback with `since` ≤ time < `until`, summed up by the hour."""
    c = t.feedback.c
    hour = c.created_at // HOUR
    query: Any = select(c.project_id, c.metric_id, c.model_id, hour, func.count(), func.sum(c.value)).where(
        c.project_id.in_(list(project_ids)), c.metric_id.in_(list(metric_ids)), c.kind == "direct",
        c.value.is_not(None),
    )  # fmt: skip
    if since is not None:
        query = query.where(c.created_at >= since)
    if until is not None:
        query = query.where(c.created_at < until)
    rows = tx.execute(query.group_by(c.project_id, c.metric_id, c.model_id, hour).order_by(hour))
    return [FeedbackHour(r[0], r[1], r[2], int(r[3]) * HOUR, int(r[4]), float(r[5])) for r in rows]


@dataclass(frozen=True, slots=True)
class FeedbackCount:
    """How many feedbacks of any kind, in the later (`recent`) or the earlier of two times."""

    project_id: Id | None
    model_id: Id | None
    metric_id: Id
    recent: bool
    count: int


def counts_between(tx: ReadTx, space_id: Id, since: int, middle: int, until: int) -> list[FeedbackCount]:
    """Feedback from `since` up to `middle`, and from there up to `until`."""
    c = t.feedback.c
    recent = case((c.created_at >= middle, 1), else_=0)
    query: Any = (
        select(c.project_id, c.model_id, c.metric_id, recent, func.count())
        .where(c.space_id == space_id, c.created_at >= since, c.created_at < until)
        .group_by(c.project_id, c.model_id, c.metric_id, recent)
    )
    return [FeedbackCount(r[0], r[1], r[2], bool(r[3]), int(r[4])) for r in tx.execute(query)]


def summary(tx: ReadTx, project_id: Id, metric_id: Id, model_id: Id | None = None) -> tuple[int, float | None]:
    """(how many direct feedbacks, their mean)."""
    c = t.feedback.c
    query = select(func.count(), func.avg(c.value)).where(
        c.project_id == project_id, c.metric_id == metric_id, c.kind == "direct"
    )
    if model_id is not None:
        query = query.where(c.model_id == model_id)
    row = tx.execute(query).one()
    return int(row[0]), None if row[1] is None else float(row[1])
