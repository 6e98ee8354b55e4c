"""Datasets through their use cases, with a real blob folder and both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quintet.app import leftovers
from quintet.app.core import Core
from quintet.app.datasets import fill, manage, rows, snapshots
from quintet.app.datasets.manage import CreateDataset
from quintet.blobs import open_blobs
from quintet.domain.data import DatasetKind, GrantRole
from quintet.domain.errors import Conflict, Forbidden, Invalid, NotFound
from quintet.domain.ids import Kind, new_id, to_hex32, to_uuid
from quintet.ports.blobs import Blobs
from quintet.storage.database import Database
from quintet.storage.datasets import DatasetFilter
from tests.support.factories import World, make_ports, make_world


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return open_blobs(tmp_path / "blobs", durable=False)


@pytest.fixture
def core(db: Database, blobs: Blobs) -> Iterator[Core]:
    made = Core(db, make_ports(blobs))
    with ThreadPoolExecutor(1) as threads:
        made.listen(leftovers.listener(made.ports, threads, grace_seconds=0))
        yield made


@pytest.fixture
def world(db: Database) -> World:
    return make_world(db)


def _make(core: Core, world: World, items: list[dict[str, Any]], **fields: Any) -> Any:
    cmd = CreateDataset(**{"name": "My set", "project_id": world.project.id, **fields})
    return fill.create_with_rows(core, world.actor, cmd, items)[0]


def test_rows_come_back_as_they_went_in_with_integers_whole(core: Core, world: World) -> None:
    items = [{"n": 2**70, "f": 1.0, "t": "ä\n\u2028", "none": None, "b": True, "l": [1, {"x": 2}]}, {"n": 3}]
    made = _make(core, world, items)
    page = core.read_now(world.actor, manage.read_rows, made.key)
    assert page.rows == items
    assert isinstance(page.rows[0]["n"], int)
    assert isinstance(page.rows[0]["f"], float)
    assert (made.records, made.kind, page.total, page.has_more) == (2, DatasetKind.ROWS, 2, False)


def test_a_dataset_is_found_by_every_spelling_of_it(core: Core, world: World) -> None:
    made = _make(core, world, [{"a": 1}], key="org/set")
    for ref in (made.id, to_uuid(made.id, Kind.DATASET), to_hex32(made.id, Kind.DATASET), "org/set", "My set"):
        assert core.read_now(world.actor, manage.find_dataset, ref).id == made.id
    with pytest.raises(NotFound):
        core.read_now(world.actor, manage.find_dataset, to_uuid(made.id, Kind.MODEL))
    with pytest.raises(NotFound):
        core.read_now(world.actor, manage.find_dataset, "org/set", new_id())


def test_another_space_sees_nothing(core: Core, world: World, db: Database) -> None:
    made = _make(core, world, [{"a": 1}])
    other = make_world(db).actor
    for use_case in (manage.find_dataset, manage.read_rows, manage.dataset_blobs, snapshots.list_snapshots):
        with pytest.raises(NotFound):
            core.read_now(other, use_case, made.id)  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        core.write_now(other, manage.delete_dataset, made.id)
    assert core.read_now(other, manage.list_datasets, count=True).total == 0


def test_whoever_may_only_read_leaves_no_blob_behind(core: Core, world: World, blobs: Blobs) -> None:
    with pytest.raises(Forbidden):
        fill.create_with_rows(core, world.as_role("read-only"), CreateDataset("x"), [{"a": 1}])
    assert list(blobs.list("")) == []


def test_a_taken_key_or_a_bad_row_leaves_no_blob_behind(core: Core, world: World, blobs: Blobs) -> None:
    _make(core, world, [{"a": 1}], key="k")
    before = {b.key for b in blobs.list("")}
    with pytest.raises(Conflict) as taken:
        _make(core, world, [{"a": 1}], key="k")
    assert taken.value.field == "key"
    big = [{"messages": [{"role": "user", "content": "x" * 3_000_000}]}] * 3
    with pytest.raises(Invalid, match="line 4: 'messages' is missing"):
        _make(core, world, [*big, {"a": 1}], kind=DatasetKind.PROMPT)
    assert {b.key for b in blobs.list("")} == before
    assert core.read_now(world.actor, manage.list_datasets, count=True).total == 1


def test_a_row_that_is_not_json_is_refused_by_its_line() -> None:
    for text, line in ((b'{"a":1}\n\n{"a":\n', 3), (b"[1]\n", 1), (b'{"a":NaN}', 1), (b"[" * 100_000, 1)):
        with pytest.raises(Invalid) as caught:
            list(rows.parse_lines([text]))
        assert caught.value.data["line"] == line
    assert list(rows.parse_lines([b'\xef\xbb\xbf{"a"', b":1}", b'\r\n{"b":2}'])) == [{"a": 1}, {"b": 2}]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_lines_do_not_depend_on_how_the_bytes_were_cut(data: st.DataObject) -> None:
    items = data.draw(st.lists(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5)), max_size=8))
    text = b"\n".join(json.dumps(item).encode() for item in items)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    chunks = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert list(rows.parse_lines(chunks)) == items


def test_any_page_of_many_segments_is_the_right_one(
    sqlite_db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "SEGMENT_BYTES", 100)
    monkeypatch.setattr(rows, "CHUNK_BYTES", 17)
    core = Core(sqlite_db, make_ports(open_blobs(tmp_path / "b", durable=False)))
    world = make_world(sqlite_db)
    items = [{"n": n, "pad": "x" * (n * 7 % 40)} for n in range(60)]
    made = _make(core, world, items[:50])
    for at in range(50, 60):
        made = fill.append_with_rows(core, world.actor, made.id, items[at : at + 1])
    _, segments = core.read_now(world.actor, manage.dataset_blobs, made.id)
    assert len(segments) > 10
    assert [s.position for s in segments] == list(range(len(segments)))

    @given(st.integers(0, 70), st.none() | st.integers(0, 70))
    @settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
    def check(start: int, limit: int | None) -> None:
        page = core.read_now(world.actor, manage.read_rows, made.id, start, limit)
        assert page.rows == (items[start:] if limit is None else items[start : start + limit])
        assert page.has_more == (start + len(page.rows) < 60)

    check()
    assert list(fill.iterate_rows(core, world.actor, made.id, 3, 57)) == items[3:57]
    whole = b"".join(core.ports.blobs.get(s.blob) for s in segments)
    assert [json.loads(line) for line in whole.splitlines()] == items


def test_a_page_reads_only_the_segments_that_hold_it(core: Core, world: World, blobs: Blobs) -> None:
    made = _make(core, world, [{"n": n, "pad": "x" * 3_000_000} for n in range(3)])
    _, segments = core.read_now(world.actor, manage.dataset_blobs, made.id)
    assert [(s.start, s.rows) for s in segments] == [(0, 1), (1, 1), (2, 1)]
    blobs.delete(segments[0].blob)
    blobs.delete(segments[2].blob)
    assert [r["n"] for r in core.read_now(world.actor, manage.read_rows, made.id, 1, 1).rows] == [1]


def test_row_by_row_additions_are_folded_into_few_segments(core: Core, world: World, blobs: Blobs) -> None:
    made = _make(core, world, [])
    for n in range(33):
        made = fill.append_with_rows(core, world.actor, made.id, [{"n": n}])
    assert made.records == 33
    assert [r["n"] for r in core.read_now(world.actor, manage.read_rows, made.id).rows] == list(range(33))
    _, segments = core.read_now(world.actor, manage.dataset_blobs, made.id)
    assert len(segments) <= 7


def test_additions_at_the_same_time_are_all_kept(core: Core, world: World) -> None:
    made = _make(core, world, [{"n": -1}])

    def add(n: int) -> None:
        fill.append_with_rows(core, world.actor, made.id, [{"n": n}, {"n": n}])

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(add, range(18)))
    page = core.read_now(world.actor, manage.read_rows, made.id)
    assert page.total == 37
    assert sorted(r["n"] for r in page.rows) == sorted([-1, *range(18), *range(18)])


def test_a_failed_addition_changes_nothing(core: Core, world: World, blobs: Blobs) -> None:
    made = _make(core, world, [{"messages": [{"role": "user", "content": "x"}]}], kind=DatasetKind.PROMPT)
    before = {b.key for b in blobs.list("")}
    with pytest.raises(Invalid, match="line 2"):
        fill.append_with_rows(core, world.actor, made.id, [{"prompt": "ok"}, {"a": 1}], kind=made.kind)
    assert {b.key for b in blobs.list("")} == before
    assert core.read_now(world.actor, manage.find_dataset, made.id).records == 1


def test_kind_and_metrics_follow_the_rows(core: Core, world: World) -> None:
    chat = {"input": [{"role": "user", "content": "u"}], "completion": "c"}
    cmd = CreateDataset("fb", project_id=world.project.id)
    items = [{**chat, "feedbacks": {"a": True, "b": 1}}, {**chat, "feedbacks": {"a": False, "b": True}}]
    made, found = fill.create_with_rows(core, world.actor, cmd, items)
    assert made.kind is DatasetKind.PROMPT_COMPLETION_FEEDBACK
    assert made.metrics_usage == {"a": {"feedbacks": 2, "comparisons": 0}, "b": {"feedbacks": 2, "comparisons": 0}}
    assert found.metric_types == {"a": "bool", "b": "scalar"}
    made = fill.append_with_rows(core, world.actor, made.id, [{**chat, "feedbacks": {"a": True}}, chat])
    assert made.kind is DatasetKind.PROMPT_COMPLETION
    assert made.metrics_usage["a"]["feedbacks"] == 3
    stored = core.read_now(world.actor, manage.read_rows, made.id).rows
    assert stored[3] == {"messages": chat["input"], "completion": "c"}


def test_strict_rows_are_refused_by_line_where_no_kind_fits_all(core: Core, world: World) -> None:
    chat = {"messages": [{"role": "user", "content": "u"}]}
    bad: list[tuple[dict[str, Any], str]] = [
        ({"x": 1}, "line 2: 'messages' is missing"),
        ({**chat, "preferred_completion": "a", "other_completion": "b"}, "line 2 is of the kind preference"),
        ({**chat, "completion": 3}, "line 2: 'completion' must be text"),
    ]
    for row, said in bad:
        with pytest.raises(Invalid, match=said):
            fill.create_with_rows(core, world.actor, CreateDataset("x"), [chat, row], strict=True)


def test_rows_kept_as_they_came_keep_their_aliases(core: Core, world: World) -> None:
    items = [{"prompt": "p", "chosen": "a", "rejected": "b"}]
    made, _ = fill.create_with_rows(core, world.actor, CreateDataset("x"), items, canonical=False)
    assert core.read_now(world.actor, manage.read_rows, made.id).rows == items


def test_an_uploaded_file_becomes_a_dataset(core: Core, world: World, blobs: Blobs) -> None:
    blobs.put("uploads/x", b'{"question":"q","answer":"a"}\n{"question":"r","answer":"b"}')
    made, _ = fill.create_from_blob(core, world.actor, CreateDataset("x"), "uploads/x")
    assert (made.records, made.kind) == (2, DatasetKind.QUESTION_ANSWER)
    with pytest.raises(NotFound):
        fill.create_from_blob(core, world.actor, CreateDataset("y"), "uploads/gone")


def test_deleting_takes_rows_and_blobs(core: Core, world: World, blobs: Blobs, db: Database) -> None:
    with ThreadPoolExecutor(1) as threads:
        core.listen(leftovers.listener(core.ports, threads))
        made = _make(core, world, [{"a": 1}])
        core.write_now(world.actor, manage.delete_dataset, made.key)
    assert list(blobs.list("")) == []
    with pytest.raises(NotFound):
        core.read_now(world.actor, manage.find_dataset, made.id)
    assert _make(core, world, [], key=made.key).key == made.key


def test_fields_change_one_by_one_and_unknown_ones_are_refused(core: Core, world: World) -> None:
    made = _make(core, world, [{"a": 1}])
    changed = core.write_now(world.actor, manage.edit_dataset, made.id, {"metadata": {"x": 1}, "tags": ("t",)})
    assert (changed.metadata, changed.tags, changed.name) == ({"x": 1}, ("t",), made.name)
    with pytest.raises(Invalid) as caught:
        core.write_now(world.actor, manage.edit_dataset, made.id, {"records": 5})
    assert caught.value.field == "records"
    found = core.read_now(world.actor, manage.list_datasets, DatasetFilter(tags_all=("t",), search="MY"), count=True)
    assert [d.id for d in found.items] == [made.id]


def test_keys_are_derived_and_counted_up_in_a_project(core: Core, world: World) -> None:
    assert [_make(core, world, []).key for _ in range(3)] == ["my-set", "my-set-2", "my-set-3"]


def test_a_tag_points_at_one_snapshot_at_a_time(core: Core, world: World) -> None:
    made = _make(core, world, [{"a": 1}])
    one = core.write_now(world.actor, snapshots.create_snapshot, made.id, "one", tags=["prod"])
    fill.append_with_rows(core, world.actor, made.id, [{"a": 2}])
    two = core.write_now(world.actor, snapshots.create_snapshot, made.id, "two")
    assert (one.records, two.records, one.tags) == (1, 2, ("prod",))
    core.write_now(world.actor, snapshots.set_tag, made.id, "prod", two.id)
    found = core.read_now(world.actor, snapshots.list_snapshots, made.id, count=True)[1]
    assert [(s.description, s.tags) for s in found.items] == [("one", ()), ("two", ("prod",))]
    core.write_now(world.actor, snapshots.remove_tag, made.id, "prod")
    with pytest.raises(NotFound):
        core.write_now(world.actor, snapshots.remove_tag, made.id, "prod")


def test_a_grant_replaces_the_one_before(core: Core, world: World) -> None:
    made, someone = _make(core, world, []), new_id()
    for role in (GrantRole.READER, GrantRole.EDITOR):
        core.write_now(world.actor, snapshots.put_grant, made.id, someone, role)
    assert [g.role for g in core.read_now(world.actor, snapshots.list_grants, made.id)] == [GrantRole.EDITOR]
    core.write_now(world.actor, snapshots.remove_grant, made.id, someone)
    assert core.read_now(world.actor, snapshots.list_grants, made.id) == []
