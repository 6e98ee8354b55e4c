"""Composed changes of runs, searches beyond SQL, links between runs and models: on both databases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from quintet.app.models import links, registry
from quintet.app.models.registry import CreateModel
from quintet.app.runs import compose
from quintet.app.runs.compose import RunEdit
from quintet.app.runs.create import CloneRun
from quintet.app.runs.edit import edit_run
from quintet.app.runs.parts import NewArtifact, add_artifacts
from quintet.app.runs.read import RunFilter, artifacts_of, get_run
from quintet.app.runs.state import start_run
from quintet.app.runs.views import ALL_PARTS, Order, Part, RunSearch, search_runs, view_run
from quintet.domain.errors import Forbidden, Invalid, NotFound, Precondition
from quintet.domain.models import ModelFormat, ModelKind
from quintet.domain.runs import RunState
from quintet.domain.series import PointBatch
from quintet.storage import series
from quintet.storage.database import Database
from tests.support.factories import NOW, World, make_run, make_world, read_as, write_as


@pytest.fixture
def world(db: Database) -> World:
    return make_world(db)


def detail_of(db: Database, world: World, run_id: Any) -> dict[str, Any]:
    return dict(read_as(db, world.actor, get_run, run_id).detail)


def test_a_detail_is_changed_by_a_function_and_others_keep_theirs(db: Database, world: World) -> None:
    run = make_run(db, world, detail={"here": {"a": 1}, "there": {"b": 2}})
    write_as(db, world.actor, compose.edit_detail, run.id, "here", lambda old: {**old, "c": 3})
    assert detail_of(db, world, run.id) == {"here": {"a": 1, "c": 3}, "there": {"b": 2}}


def test_a_detail_stays_outside_the_states_given(db: Database, world: World) -> None:
    run = make_run(db, world, state=RunState.COMPLETED)
    with pytest.raises(Precondition):
        write_as(db, world.actor, compose.edit_detail, run.id, "here", lambda old: old, states={RunState.CREATED})


def test_an_edit_of_several_kinds_is_one_act(db: Database, world: World) -> None:
    run = make_run(db, world, state=RunState.CREATED, script={"diff": "d", "branch": "b"})
    write_as(db, world.actor, add_artifacts, run.id, [NewArtifact("old")])
    edit = RunEdit(
        {"script": {"diff": "e"}, "comment": "c"}, merge=frozenset({"script"}), change=lambda old: {"x": 1},
        artifacts=[NewArtifact("new")],
    )  # fmt: skip
    write_as(db, world.actor, compose.edit_whole, run.id, "here", edit)
    view = read_as(db, world.actor, view_run, run.id)
    assert view.run.script == {"diff": "e", "branch": "b"}
    assert view.run.detail == {"here": {"x": 1}}
    assert [a.key for a in view.artifacts] == ["new"]


def test_an_edit_that_is_refused_leaves_everything(db: Database, world: World) -> None:
    run = make_run(db, world, state=RunState.CREATED)
    edit = RunEdit({"parent_id": run.id}, change=lambda old: {"x": 1}, artifacts=[NewArtifact("new")])
    with pytest.raises(Exception, match="ancestor"):
        write_as(db, world.actor, compose.edit_whole, run.id, "here", edit)
    view = read_as(db, world.actor, view_run, run.id)
    assert (view.run.detail, list(view.artifacts)) == ({}, [])


def test_a_copy_goes_into_a_project_by_name(db: Database, world: World) -> None:
    run = make_run(db, world, detail={"here": {"keep": 1, "drop": 2}})
    made = write_as(
        db, world.actor, compose.clone_whole, CloneRun(run.id), "here", lambda old: {"keep": old["keep"]}, "New/one"
    )
    assert made.run.detail == {"here": {"keep": 1}}
    assert made.project_id == made.run.project_id != run.project_id


def test_a_reader_composes_nothing(db: Database, world: World) -> None:
    run = make_run(db, world, state=RunState.CREATED)
    reader = world.as_role("read-only")
    with pytest.raises(Forbidden):
        write_as(db, reader, compose.edit_detail, run.id, "here", lambda old: old)
    with pytest.raises(Forbidden):
        write_as(db, reader, compose.edit_whole, run.id, "here", RunEdit({"comment": "x"}))
    with pytest.raises(Forbidden):
        write_as(db, reader, compose.clone_whole, CloneRun(run.id), "here", lambda old: old)


# -- searches -------------------------------------------------------------------------------------------------------


def names(db: Database, world: World, search: RunSearch) -> list[str]:
    return [view.run.name for view in read_as(db, world.actor, search_runs, search)]


def test_a_search_narrows_tests_sorts_and_pages(db: Database, world: World) -> None:
    for number, name in enumerate(("alpha", "beta", "alphabet", "gamma")):
        make_run(db, world, name=name, created_at=NOW + number, params={"a": {"n": {"value": str(10 - number)}}})
    by_value = Order(lambda view: view.run.params["a"]["n"]["value"])
    assert names(db, world, RunSearch(RunFilter(name_pattern="^al"))) == ["alpha", "alphabet"]
    assert names(db, world, RunSearch(keep=lambda view: "l" in view.run.name, order=(by_value,))) == [
        "alphabet",
        "alpha",
    ]
    # "10" sorts as a number, after "9".
    assert names(db, world, RunSearch(order=(by_value,))) == ["gamma", "alphabet", "beta", "alpha"]
    assert names(db, world, RunSearch(order=(replace(by_value, descending=True),), offset=1, limit=2)) == [
        "beta",
        "alphabet",
    ]


def test_what_has_no_value_comes_last_either_way(db: Database, world: World) -> None:
    for name, comment in (("with", "x"), ("without", "")):
        make_run(db, world, name=name, comment=comment)
    for descending in (False, True):
        order = (Order(lambda view: view.run.comment, descending),)
        assert names(db, world, RunSearch(order=order)) == ["with", "without"]


def test_parts_come_with_the_page(db: Database, world: World) -> None:
    run, other = make_run(db, world), make_run(db, world)
    write_as(db, world.actor, add_artifacts, run.id, [NewArtifact("a")])
    db.write(lambda tx: series.append_points(tx, run.id, PointBatch.of([("m", "v", 0, 0, 2.0)])))
    model = write_as(db, world.actor, registry.create_model, CreateModel("made", run_id=run.id))
    found = {v.run.id: v for v in read_as(db, world.actor, search_runs, RunSearch(), ALL_PARTS)}
    view = found[run.id]
    assert ([a.key for a in view.artifacts], [r.last_value for r in view.rollups]) == (["a"], [2.0])
    assert [m.id for m in view.models] == [model.id]
    assert not [*found[other.id].artifacts, *found[other.id].rollups, *found[other.id].models]
    search = RunSearch(keep=lambda v: any(r.last_value > 1 for r in v.rollups), needs=frozenset({Part.METRICS}))
    assert [v.run.id for v in read_as(db, world.actor, search_runs, search)] == [run.id]


def test_another_space_finds_nothing(db: Database, world: World) -> None:
    run = make_run(db, world)
    stranger = make_world(db)
    assert read_as(db, stranger.actor, search_runs, RunSearch(keep=lambda view: True)) == []
    with pytest.raises(NotFound):
        read_as(db, stranger.actor, view_run, run.id)
    assert [v.run.id for v in read_as(db, world.actor, search_runs, RunSearch())] == [run.id]


# -- links ----------------------------------------------------------------------------------------------------------


def put(db: Database, world: World, run_id: Any, model_id: Any, **options: Any) -> None:
    write_as(
        db, world.actor, links.put_link, run_id, model_id, "here", lambda model, old: {**old, "model": model.id},
        **options,
    )  # fmt: skip


def test_an_output_link_names_the_origin_of_the_model_once(db: Database, world: World) -> None:
    first, second = make_run(db, world), make_run(db, world)
    model = write_as(db, world.actor, registry.create_model, CreateModel("made"))
    put(db, world, first.id, model.id, output=True, iteration=4)
    put(db, world, second.id, model.id, output=True)
    assert read_as(db, world.actor, registry.find_model, model.id).run_id == first.id
    run = read_as(db, world.actor, get_run, first.id)
    assert (run.last_iteration, run.detail) == (4, {"here": {"model": model.id}})


def test_an_input_link_leaves_the_model_alone_and_an_ended_run_takes_none(db: Database, world: World) -> None:
    run, ended = make_run(db, world), make_run(db, world, state=RunState.COMPLETED)
    model = write_as(db, world.actor, registry.create_model, CreateModel("used"))
    put(db, world, run.id, model.id, output=False)
    assert read_as(db, world.actor, registry.find_model, model.id).run_id is None
    with pytest.raises(Precondition):
        put(db, world, ended.id, model.id, output=True)


def test_a_model_is_published_with_its_run(db: Database, world: World) -> None:
    run = make_run(db, world, state=RunState.COMPLETED)
    made = CreateModel("made", run_id=run.id, kind=ModelKind.OTHER, format=ModelFormat.NONE)
    model = write_as(db, world.actor, registry.create_model, made)
    done = write_as(db, world.actor, links.publish_with_run, model.id, publish_run=True)
    assert done.model.ready
    assert read_as(db, world.actor, get_run, run.id).state is RunState.PUBLISHED


def test_a_model_is_not_published_where_its_run_cannot_be(db: Database, world: World) -> None:
    run = make_run(db, world, state=RunState.RUNNING)
    model = write_as(db, world.actor, registry.create_model, CreateModel("made", run_id=run.id))
    with pytest.raises(Precondition):
        write_as(db, world.actor, links.publish_with_run, model.id, publish_run=True)
    assert not read_as(db, world.actor, registry.find_model, model.id).ready
    assert read_as(db, world.actor, artifacts_of, run.id) == []


# -- text that one of the databases cannot hold ---------------------------------------------------------------------


def test_text_that_cannot_be_stored_is_refused_on_both_databases(db: Database, world: World) -> None:
    run = make_run(db, world, state=RunState.CREATED)
    for changes in ({"comment": "a\x00b"}, {"tags": ("a\x00",)}, {"type": "\x00"}):
        with pytest.raises(Invalid, match="cannot be stored") as refused:
            write_as(db, world.actor, edit_run, run.id, changes)
        assert refused.value.field == next(iter(changes))
    with pytest.raises(Invalid, match="cannot be stored"):
        write_as(db, world.actor, start_run, run.id, message="a\x00b")
    assert read_as(db, world.actor, get_run, run.id).state is RunState.CREATED


def test_parameters_with_any_character_come_back(db: Database, world: World) -> None:
    run = make_run(db, world, state=RunState.CREATED)
    params = {"a": {"n": {"value": "zero \x00 and é"}}}
    write_as(db, world.actor, edit_run, run.id, {"params": params})
    assert read_as(db, world.actor, get_run, run.id).params == params
