"""Filters of the schema to the core's queries. Null and absent mean the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from quintet.app.interactions.query import FeedbackQuery, InteractionQuery, LabelQuery
from quintet.dialects.adaptive import enums, ids
from quintet.domain.errors import Invalid
from quintet.domain.ids import Id, from_uuid
from quintet.domain.interactions import InteractionSource

SOURCES: dict[str, InteractionSource] = {name: source for source, name in enums.SOURCE.items()}


def to_query(given: Mapping[str, Any]) -> InteractionQuery:
    """A ListCompletionsFilterInput."""
    since, until = time_range(given.get("timerange"))
    session = given.get("sessionId")
    completion = given.get("completionId")
    models, sources = given.get("models"), given.get("source")
    return InteractionQuery(
        project=ids.ref(given["useCase"], ids.USE_CASE),
        models=None if models is None else tuple(models),
        since=since,
        until=until,
        session_id=None if session is None else ids.session_of(session).id,
        caller=caller(given.get("userId")),
        feedbacks=tuple(_feedback(f) for f in given.get("feedbacks") or ()),
        comparisons=tuple(c["metric"] for c in given.get("comparisons") or ()),
        labels=to_labels(given.get("labels")),
        prompt_hash=given.get("promptHash"),
        ids=None if completion is None else (ids.known(completion, ids.COMPLETION),),
        sources=None if sources is None else tuple(SOURCES[s] for s in sources),
    )


def time_range(given: Mapping[str, Any] | None) -> tuple[int | None, int | None]:
    """(from, to) in microseconds; Invalid where it ends before it begins."""
    if given is None:
        return None, None
    since, until = int(given["from"]), int(given["to"])
    if until < since:
        raise Invalid("the time range ends before it begins", field="timerange")
    return since, until


def caller(user: str | None) -> tuple[Id | None, str] | None:
    """Who is meant by a user's UUID: one of ours, or one that a client gave for its own end user."""
    return None if user is None else (from_uuid(user, ids.USER), user)


def to_labels(given: Sequence[Mapping[str, Any]] | None) -> tuple[LabelQuery, ...]:
    return tuple((f["key"], None if f.get("value") is None else tuple(f["value"])) for f in given or ())


def _feedback(given: Mapping[str, Any]) -> FeedbackQuery:
    reasons = given.get("reasons")
    return FeedbackQuery(
        metric=given["metric"],
        above=given.get("gt"),
        least=given.get("gte"),
        equal=given.get("eq"),
        unequal=given.get("neq"),
        below=given.get("lt"),
        most=given.get("lte"),
        reasons=None if reasons is None else tuple(reasons),
        user=caller(given.get("user")),
    )
