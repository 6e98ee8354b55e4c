"""Interactions: written in batches, read by keyset pages, rolled up by the hour as they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, delete, exists, func, insert, or_, select, update

from quintet.domain.billing import UsageRow
from quintet.domain.ids import Id
from quintet.domain.interactions import Interaction
from quintet.domain.page import Page, PageRequest, decode_cursor, encode_cursor
from quintet.storage import sql
from quintet.storage import tables as t
from quintet.storage.mapping import Mapper
from quintet.storage.tx import ReadTx, WriteTx

_map = Mapper(Interaction, t.interactions)
_c = t.interactions.c
HOUR = 3_600_000_000
USAGE_KEYS = ("space_id", "hour", "project_id", "deployment_id", "model_name", "billing_tag", "type", "user_id")
USAGE_SUMS = ("calls", "errors", "prompt_tokens", "completion_tokens", "latency_us")
COLUMNS = [c for c in t.interactions.c if c.name not in ("seq", "search")]


def load(row: Mapping[str, Any]) -> Interaction:
    return _map.load(row)


def insert_many(tx: WriteTx, items: Sequence[Interaction]) -> None:
    """Stores interactions, their labels, and what they add to the roll-up, in three statements."""
    tx.execute(insert(t.interactions), [_map.dump(i) for i in items])
    labels = [_label_row(i, k, v) for i in items for k, v in i.labels.items()]
    if labels:
        tx.execute(insert(t.interaction_labels), labels)
    sums: dict[tuple[Any, ...], list[int]] = {}
    for item in items:
        group = (
            item.space_id, item.created_at // HOUR * HOUR, item.project_id or "", item.deployment_id or "",
            item.model_name[:300], item.billing_tag or "", item.type, item.user_id or "",
        )  # fmt: skip
        total = sums.setdefault(group, [0, 0, 0, 0, 0])
        total[0] += 1
        total[1] += item.status != "success"
        total[2] += item.prompt_tokens
        total[3] += item.completion_tokens
        total[4] += item.latency_us
    rows = [dict(zip(USAGE_KEYS + USAGE_SUMS, (*g, *s), strict=True)) for g, s in sums.items()]
    sql.upsert(tx, t.usage, rows, keys=USAGE_KEYS, update=(), add=USAGE_SUMS)


def _label_row(item: Interaction, key: str, value: str) -> dict[str, Any]:
    return {
        "interaction_id": item.id,
        "key": key,
        "space_id": item.space_id,
        "project_id": item.project_id,
        "value": value,
    }


def get(tx: ReadTx, space_id: Id, interaction_id: Id) -> Interaction | None:
    row = tx.one(select(*COLUMNS).where(_c.space_id == space_id, _c.id == interaction_id))
    return _map.load(row) if row else None


def get_many(tx: ReadTx, space_id: Id, ids: Sequence[Id]) -> dict[Id, Interaction]:
    rows = tx.all(select(*COLUMNS).where(_c.space_id == space_id, _c.id.in_(list(ids)))) if ids else []
    return {r["id"]: _map.load(r) for r in rows}


@dataclass(frozen=True, slots=True)
class FeedbackCondition:
    """Asks for a direct feedback of the metric that meets all that is given; `user` is (our id, any text)."""

    metric_id: Id
    above: float | None = None
    least: float | None = None
    equal: float | None = None
    unequal: float | None = None
    below: float | None = None
    most: float | None = None
    reasons: tuple[str, ...] | None = None
    user: tuple[Id | None, str] | None = None


@dataclass(frozen=True, slots=True)
class InteractionFilter:
    """What to list; every given condition must hold. Times are microseconds, `since` inclusive, `until` not.

    `labels` is `[(key, (values...) or None)]`. `feedback` asks for a feedback of the metric, optionally
    with a value within [least, most].
    """

    project_id: Id | None = None
    ids: tuple[Id, ...] | None = None
    models: tuple[Id, ...] | None = None
    deployments: tuple[Id, ...] | None = None
    model_name: str | None = None
    sources: tuple[str, ...] | None = None
    types: tuple[str, ...] | None = None
    since: int | None = None
    until: int | None = None
    session_id: Id | None = None
    user_id: Id | None = None
    end_user: str | None = None
    experiment_id: Id | None = None
    prompt_hash: str | None = None
    prompt_hashes: tuple[str, ...] | None = None
    status: str | None = None
    correlation_id: str | None = None
    text: str | None = None
    labels: tuple[tuple[str, tuple[str, ...] | None], ...] = ()
    tag: str | None = None
    feedback: tuple[tuple[Id, float | None, float | None], ...] = ()
    comparison_metrics: tuple[Id, ...] = ()
    conditions: tuple[FeedbackCondition, ...] = ()
    excluded: tuple[Id, ...] = ()
    excluded_types: tuple[str, ...] = ()
    caller: tuple[Id | None, str] | None = None
    """Who called: our own user, or the text by which a client names its end user; either will do."""
    extra: dict[str, Any] = field(default_factory=dict)


def where(tx: ReadTx, space_id: Id, w: InteractionFilter, columns: Sequence[Any] = ()) -> Select[Any]:
    """The filtered query, unordered."""
    query = select(*(columns or COLUMNS)).where(_c.space_id == space_id)
    exact = {
        "project_id": w.project_id, "session_id": w.session_id, "user_id": w.user_id, "end_user": w.end_user,
        "experiment_id": w.experiment_id, "prompt_hash": w.prompt_hash, "status": w.status,
        "correlation_id": w.correlation_id, "model_name": w.model_name,
    }  # fmt: skip
    query = query.where(and_(True, *(_c[name] == value for name, value in exact.items() if value is not None)))
    several = {
        "id": w.ids, "model_id": w.models, "deployment_id": w.deployments, "source": w.sources, "type": w.types,
        "prompt_hash": w.prompt_hashes,
    }  # fmt: skip
    query = query.where(and_(True, *(_c[name].in_(values) for name, values in several.items() if values is not None)))
    # Ids begin with their milliseconds, so a time range is an id range: one index serves both.
    if w.since is not None:
        query = query.where(_c.created_at >= w.since)
    if w.until is not None:
        query = query.where(_c.created_at < w.until)
    for key, values in w.labels:
        label = t.interaction_labels.c
        condition = (label.interaction_id == _c.id) & (label.key == key)
        if values is not None:
            condition = condition & label.value.in_(values)
        query = query.where(exists().where(condition))
    if w.tag is not None:
        query = query.where(sql.json_has(tx, sql.json_path(tx, _c.metadata, "tags"), w.tag))
    if w.excluded:
        query = query.where(_c.id.not_in(w.excluded))
    if w.excluded_types:
        query = query.where(_c.type.not_in(w.excluded_types))
    if w.caller is not None:
        query = query.where(_either(_c.user_id, _c.end_user, w.caller))
    query = _by_feedback(query, w)
    return query.where(sql.fulltext(tx, w.text)) if w.text else query


def _by_feedback(query: Select[Any], w: InteractionFilter) -> Select[Any]:
    f = t.feedback.c
    for metric, least, most in w.feedback:
        condition = (f.interaction_id == _c.id) & (f.metric_id == metric) & (f.kind == "direct")
        if least is not None:
            condition = condition & (f.value >= least)
        if most is not None:
            condition = condition & (f.value <= most)
        query = query.where(exists().where(condition))
    for metric in w.comparison_metrics:
        either = or_(f.interaction_id == _c.id, f.other_id == _c.id)
        query = query.where(exists().where(either & (f.metric_id == metric) & (f.kind == "comparison")))
    for wanted in w.conditions:
        query = query.where(exists().where(_condition(wanted)))
    return query


def _condition(wanted: FeedbackCondition) -> ColumnElement[bool]:
    f = t.feedback.c
    clauses = [f.interaction_id == _c.id, f.metric_id == wanted.metric_id, f.kind == "direct"]
    bounds = (
        (wanted.above, f.value.__gt__), (wanted.least, f.value.__ge__), (wanted.equal, f.value.__eq__),
        (wanted.unequal, f.value.__ne__), (wanted.below, f.value.__lt__), (wanted.most, f.value.__le__),
    )  # fmt: skip
    clauses += [compare(number) for number, compare in bounds if number is not None]
    if wanted.reasons is not None:
        clauses.append(f.reason.in_(wanted.reasons))
    if wanted.user is not None:
        clauses.append(_either(f.user_id, f.end_user, wanted.user))
    return and_(*clauses)


def _either(user_id: Any, end_user: Any, caller: tuple[Id | None, str]) -> ColumnElement[bool]:
    known, text = caller
    return or_(end_user == text, and_(end_user.is_(None), user_id == known)) if known else end_user == text


RARE = 1_000
"""Words that fewer interactions than this have are looked up first. Walking a million rows in the order of time to
find five of them took 77 ms, looking them up 0.5; for words that many have the walk ends early."""


def _searched(tx: ReadTx, w: InteractionFilter) -> InteractionFilter:
    """The filter with rare words replaced by the ids that have them, which every index of a list ends in."""
    found = sql.fulltext_rows(tx, w.text, RARE) if w.text else None
    if found is None:
        return w
    ids = [row["id"] for row in tx.all(select(_c.id).where(_c.seq.in_(found)))]
    return replace(w, text=None, ids=tuple(i for i in ids if w.ids is None or i in w.ids))


def page(
    tx: ReadTx, space_id: Id, w: InteractionFilter, request: PageRequest, *, descending: bool = True
) -> Page[Interaction]:
    """A page in the order of ids (which is the order of time), newest first unless told otherwise."""
    query = where(tx, space_id, _searched(tx, w))
    backwards = request.before is not None
    cursor = request.before or request.after
    down = descending is not backwards
    if cursor is not None:
        (last,) = decode_cursor(cursor, 1)
        query = query.where(_c.id < str(last) if down else _c.id > str(last))
    query = query.order_by(_c.id.desc() if down else _c.id.asc()).limit(request.limit + 1)
    rows = [_map.load(r) for r in tx.all(query.offset(request.offset) if request.offset else query)]
    more = len(rows) > request.limit
    rows = rows[: request.limit]
    if backwards:
        rows.reverse()
    has_next = True if backwards else more
    return Page(
        rows,
        encode_cursor(rows[-1].id) if rows and has_next else None,
        has_previous=(more if backwards else cursor is not None),
    )


def count(tx: ReadTx, space_id: Id, w: InteractionFilter) -> int:
    return int(tx.scalar(select(func.count()).select_from(where(tx, space_id, w, [_c.id]).subquery())) or 0)


def save_labels(tx: WriteTx, item: Interaction) -> None:
    """Replaces the labels (and metadata) of a stored interaction, the only things of it that may change."""
    tx.write(update(t.interactions).where(_c.id == item.id).values(labels=item.labels, metadata=item.metadata))
    tx.write(delete(t.interaction_labels).where(t.interaction_labels.c.interaction_id == item.id))
    if item.labels:
        tx.execute(insert(t.interaction_labels), [_label_row(item, k, v) for k, v in item.labels.items()])


def label_usage(tx: ReadTx, project_id: Id) -> list[tuple[str, str, int]]:
    """(key, value, how many interactions) of a project."""
    c = t.interaction_labels.c
    query = select(c.key, c.value, func.count()).where(c.project_id == project_id).group_by(c.key, c.value)
    return [(r[0], r[1], r[2]) for r in tx.execute(query.order_by(c.key, c.value))]


def groups(
    tx: ReadTx, space_id: Id, w: InteractionFilter, by: str, limit: int, after: str | None, *, descending: bool
) -> list[tuple[str, int]]:
    """(value of the column `by`, how many interactions), in the order of that value."""
    column = _c[by]
    query = where(tx, space_id, w, [column, func.count().label("n")]).where(column.is_not(None)).group_by(column)
    if after is not None:
        query = query.where(column < after if descending else column > after)
    query = query.order_by(column.desc() if descending else column.asc()).limit(limit)
    return [(str(r[0]), int(r[1])) for r in tx.execute(query)]


def count_groups(tx: ReadTx, space_id: Id, w: InteractionFilter, by: str) -> int:
    query = where(tx, space_id, w, [func.count(func.distinct(_c[by]))])
    return int(tx.scalar(query) or 0)


# -- usage ------------------------------------------------------------------------------------------------------


def usage_rows(tx: ReadTx, space_id: Id, since: int, until: int, **equal: str) -> list[UsageRow]:
    """The hourly roll-up rows with `since` ≤ hour < `until`; `equal` narrows by columns of the roll-up."""
    c = t.usage.c
    query = select(t.usage).where(c.space_id == space_id, c.hour >= since // HOUR * HOUR, c.hour < until)
    for name, value in equal.items():
        query = query.where(c[name] == value)
    return [UsageRow(**{**dict(r), **_nulls(r)}) for r in tx.all(query.order_by(c.hour))]


def _nulls(row: Any) -> dict[str, Any]:
    return {n: row[n] or None for n in ("project_id", "deployment_id", "user_id")}


def sums(tx: ReadTx, space_id: Id, w: InteractionFilter) -> list[tuple[str, int, int, int, int, int]]:
    """(model, calls, errors, latency µs, prompt tokens, completion tokens) for each model, over the calls themselves."""
    failed = func.sum(case((_c.status != "success", 1), else_=0))
    columns = [
        _c.model_name, func.count(), failed, func.sum(_c.latency_us), func.sum(_c.prompt_tokens),
        func.sum(_c.completion_tokens),
    ]  # fmt: skip
    query = where(tx, space_id, w, columns).group_by(_c.model_name).order_by(_c.model_name)
    return [(str(r[0]), *_whole(r[1], r[2], r[3], r[4], r[5])) for r in tx.execute(query)]


def _whole(a: Any, b: Any, c: Any, d: Any, e: Any) -> tuple[int, int, int, int, int]:
    return int(a or 0), int(b or 0), int(c or 0), int(d or 0), int(e or 0)
