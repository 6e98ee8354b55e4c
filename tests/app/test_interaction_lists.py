"""Interactions found, grouped and counted, on both databases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from quintet.app.billing.series import ActivityAsk, activity, usage_by_deployment
from quintet.app.feedback.lookup import feedback_by_interaction, feedback_counts, metrics_of_projects
from quintet.app.feedback.manage import CreateMetric, GiveComparison, GiveFeedback, create_metric, give_comparison
from quintet.app.feedback.manage import give_feedback as give
from quintet.app.feedback.series import SeriesAsk, TrendAsk, feedback_series, feedback_trends
from quintet.app.interactions.groups import (
    GroupAsk,
    count_interactions,
    feedback_of_groups,
    first_of_groups,
    labels_of_projects,
    list_groups,
    list_sorted,
    sizes_of_groups,
    turns_of_sessions,
)
from quintet.app.interactions.manage import AddInteraction, add_interaction
from quintet.app.interactions.query import FeedbackQuery, InteractionQuery
from quintet.domain.calendar import Bucket, bucket_start, zone
from quintet.domain.errors import Invalid, NotFound
from quintet.domain.ids import Id, new_id
from quintet.domain.interactions import Interaction
from quintet.domain.page import PageRequest
from quintet.storage.database import Database
from tests.support.factories import NOW, World, make_world, read_as, write_as

HOUR = 3_600_000_000
A, B = new_id(), new_id()


@pytest.fixture
def world(db: Database) -> World:
    return make_world(db)


def add(db: Database, world: World, text: str, *, model: Id = A, **more: Any) -> Interaction:
    wanted = AddInteraction(
        [{"role": "user", "content": text}], text.upper(), world.project.id, model_id=model, deployment_id=model, **more
    )
    return write_as(db, world.actor, add_interaction, wanted)


def metric(db: Database, world: World, key: str = "score") -> Id:
    return write_as(db, world.actor, create_metric, CreateMetric(key, key)).id


def everything(world: World) -> InteractionQuery:
    return InteractionQuery(world.project.key)


def test_the_order_of_time_is_not_that_of_arrival(db: Database, world: World) -> None:
    for text, at in (("b", NOW + 2), ("a", NOW + 1), ("c", NOW + 3)):
        add(db, world, text, created_at=at)

    def texts(order: str, page: PageRequest, *, descending: bool) -> tuple[list[str], str | None]:
        found = read_as(db, world.actor, list_sorted, everything(world), page, order, descending=descending)
        return [i.completion for i in found.items], found.next_cursor

    assert texts("id", PageRequest(), descending=False)[0] == ["B", "A", "C"]
    first, cursor = texts("created_at", PageRequest(limit=2), descending=False)
    assert first == ["A", "B"]
    assert texts("created_at", PageRequest(limit=2, after=cursor), descending=False) == (["C"], None)
    assert texts("created_at", PageRequest(), descending=True)[0] == ["C", "B", "A"]
    with pytest.raises(Invalid, match="not sorted"):
        texts("mood", PageRequest(), descending=True)


def test_groups_have_sizes_first_members_and_statistics(db: Database, world: World) -> None:
    score = metric(db, world)
    for text, value in (("x", 1.0), ("x", 3.0), ("y", 5.0)):
        made = add(db, world, text)
        write_as(db, world.actor, give, GiveFeedback("score", made.id, value))
    add(db, world, "x", model=B)
    query = everything(world)
    groups, total = read_as(db, world.actor, list_groups, query, "prompt_hash", PageRequest(), descending=False)
    assert (total, sorted(g.count for g in groups)) == (2, [1, 3])
    asks = [GroupAsk(query, "prompt_hash", g.value, 2) for g in groups]
    firsts = read_as(db, world.actor, first_of_groups, asks)
    assert sorted(len(items) for items in firsts.values()) == [1, 2]
    assert all(a.id > b.id for a, b in (items for items in firsts.values() if len(items) == 2))
    sizes = read_as(db, world.actor, sizes_of_groups, [replace(a, limit=1) for a in asks])
    assert sorted(sizes.values()) == [1, 3]
    stats = {s.count: s for found in read_as(db, world.actor, feedback_of_groups, asks).values() for s in found}
    assert (stats[2].metric_id, stats[2].average, stats[2].stddev, stats[2].total) == (score, 2.0, 1.0, 4.0)
    assert (stats[1].least, stats[1].most, stats[1].stddev) == (5.0, 5.0, 0.0)
    by_model = read_as(db, world.actor, list_groups, query, "model_id", PageRequest(), descending=False)
    assert {(g.value, g.count) for g in by_model[0]} == {(A, 3), (B, 1)}


def test_conditions_on_feedback_hold_all_at_once(db: Database, world: World) -> None:
    metric(db, world)
    low, high = add(db, world, "low"), add(db, world, "high")
    write_as(db, world.actor, give, GiveFeedback("score", low.id, 1.0, reason="Style", end_user="somebody"))
    write_as(db, world.actor, give, GiveFeedback("score", high.id, 5.0))
    write_as(db, world.actor, give_comparison, GiveComparison("score", high.id, low.id))

    def found(**more: Any) -> set[Id]:
        query = replace(everything(world), **more)
        page = read_as(db, world.actor, list_sorted, query, PageRequest(), "id", descending=True)
        assert read_as(db, world.actor, count_interactions, query) == len(page.items)
        return {i.id for i in page.items}

    assert found(feedbacks=(FeedbackQuery("score", above=1.0),)) == {high.id}
    assert found(feedbacks=(FeedbackQuery("score", least=1.0, below=5.0),)) == {low.id}
    assert found(feedbacks=(FeedbackQuery("score", equal=5.0),)) == {high.id}
    assert found(feedbacks=(FeedbackQuery("score", unequal=5.0),)) == {low.id}
    assert found(feedbacks=(FeedbackQuery("score", reasons=("Style",)),)) == {low.id}
    assert found(feedbacks=(FeedbackQuery("score", user=(None, "somebody")),)) == {low.id}
    assert found(feedbacks=(FeedbackQuery("score", user=(world.actor.user_id, "x")),)) == {high.id}
    assert found(comparisons=("score",)) == {low.id, high.id}
    assert found(excluded=(low.id,)) == {high.id}
    assert found(caller=(world.actor.user_id, "x")) == {low.id, high.id}
    with pytest.raises(NotFound):
        found(feedbacks=(FeedbackQuery("none"),))


def test_a_session_shows_its_turns_in_order(db: Database, world: World) -> None:
    session = new_id()
    ids = [add(db, world, text, session_id=session).id for text in ("1", "2", "3")]
    other = add(db, world, "else").session_id
    assert other is not None
    found = read_as(db, world.actor, turns_of_sessions, [session, other])
    assert ([i.id for i in found[session]], len(found[other])) == (ids, 1)


def test_labels_are_counted_by_value(db: Database, world: World) -> None:
    add(db, world, "a", labels={"k": "v"})
    last = add(db, world, "b", labels={"k": "v", "l": "w"})
    found = read_as(db, world.actor, labels_of_projects, [world.project.id])[world.project.id]
    assert [(u.key, u.value, u.count, u.newest) for u in found] == [("k", "v", 2, last.id), ("l", "w", 1, last.id)]


def test_nothing_of_another_space_is_seen(db: Database, world: World) -> None:
    mine, stranger = add(db, world, "mine", labels={"k": "v"}), make_world(db)
    with pytest.raises(NotFound):
        read_as(db, stranger.actor, list_sorted, everything(world), PageRequest(), "id", descending=True)
    assert read_as(db, stranger.actor, feedback_by_interaction, [mine.id])[mine.id] == []
    assert mine.session_id is not None
    assert read_as(db, stranger.actor, turns_of_sessions, [mine.session_id])[mine.session_id] == []
    assert read_as(db, stranger.actor, usage_by_deployment, None, None, Bucket.ALL, zone(None)) == []


def test_feedback_is_counted_and_summed_over_time(db: Database, world: World) -> None:
    score = metric(db, world)
    project = world.project.id
    first, second = add(db, world, "a"), add(db, world, "b", model=B)
    for about, value, at in ((first, 1.0, NOW - 40 * HOUR), (first, 2.0, NOW - 2 * HOUR), (second, 4.0, NOW - HOUR)):
        write_as(db, world.actor, give, GiveFeedback("score", about.id, value, created_at=at))
    write_as(db, world.actor, give_comparison, GiveComparison("score", first.id, second.id))
    window = (project, score, None, None)
    assert read_as(db, world.actor, feedback_counts, [window])[window] == {"direct": 3, "comparison": 1}
    recent = (project, score, NOW - 3 * HOUR, NOW)
    assert read_as(db, world.actor, feedback_counts, [recent])[recent] == {"direct": 2}
    whole = SeriesAsk(project, score, Bucket.ALL)
    lines = SeriesAsk(project, score, Bucket.DAY, by_model=True)
    found = read_as(db, world.actor, feedback_series, [whole, lines])
    assert [(p.start, p.count, p.total) for p in found[whole]] == [(0, 3, 7.0)]
    assert {(p.model_id, p.count) for p in found[lines]} == {(A, 1), (B, 1)}
    assert sum(p.total for p in found[lines]) == 7.0
    ask = TrendAsk(project, score, NOW - 24 * HOUR, NOW)
    trend = read_as(db, world.actor, feedback_trends, [ask])[ask]
    assert (trend.before, trend.now) == ((1, 1.0), (2, 6.0))
    assert [m.key for m in read_as(db, world.actor, metrics_of_projects, [project])[project]] == ["score"]


def test_usage_and_activity_come_from_the_roll_ups(db: Database, world: World) -> None:
    metric(db, world)
    made = add(db, world, "a", prompt_tokens=3, completion_tokens=2)
    add(db, world, "b", model=B, created_at=NOW - 50 * HOUR, prompt_tokens=10)
    write_as(db, world.actor, give, GiveFeedback("score", made.id, 1.0))
    used = read_as(db, world.actor, usage_by_deployment, None, None, Bucket.ALL, zone(None), now=NOW + 1)
    assert {(u.deployment_id, u.used.prompt_tokens, u.used.completion_tokens) for u in used} == {(A, 3, 2), (B, 10, 0)}
    later = read_as(db, world.actor, usage_by_deployment, NOW - HOUR, None, Bucket.DAY, zone("Asia/Tokyo"), now=NOW + 1)
    assert [u.deployment_id for u in later] == [A]
    ask = ActivityAsk(world.project.id, since=NOW - 24 * HOUR, until=NOW + HOUR)
    only = replace(ask, deployments=(B,), model_id=B)
    found = read_as(db, world.actor, activity, [ask, only])
    assert (found[ask].calls, found[ask].calls_before, found[ask].feedbacks) == (1, 0, 1)
    assert (found[only].calls, found[only].feedbacks) == (0, 0)
    with pytest.raises(Invalid):
        read_as(db, world.actor, activity, [replace(ask, until=ask.since)])


@pytest.mark.parametrize(
    ("bucket", "name", "expected"),
    [
        (Bucket.HOUR, None, "2024-03-31T10:00"),
        (Bucket.DAY, None, "2024-03-31T00:00"),
        (Bucket.DAY, "Europe/Paris", "2024-03-30T23:00"),
        (Bucket.WEEK, None, "2024-03-25T00:00"),
        (Bucket.MONTH, "Asia/Tokyo", "2024-02-29T15:00"),
        (Bucket.QUARTER, None, "2024-01-01T00:00"),
        (Bucket.YEAR, None, "2024-01-01T00:00"),
        (Bucket.MILLENNIUM, None, "2000-01-01T00:00"),
        (Bucket.ALL, None, "1970-01-01T00:00"),
    ],
)
def test_buckets_begin_where_people_say_they_do(bucket: Bucket, name: str | None, expected: str) -> None:
    from quintet.dialects.kit.times import parse_rfc3339, to_rfc3339

    at = parse_rfc3339("2024-03-31T10:20:30Z", "at")
    assert to_rfc3339(bucket_start(at, bucket, zone(name)))[:16] == expected
