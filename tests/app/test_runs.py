"""Runs: what they are made of, what may be changed when, and what their states allow."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from quintet.app import leftovers
from quintet.app.queues.entries import Enqueue, enqueue_run
from quintet.app.runs import create, delete, edit, parts, read, state
from quintet.app.runs.create import CloneRun, CreateRun
from quintet.app.runs.read import RunFilter, RunOrder
from quintet.domain.errors import Conflict, Forbidden, Invalid, NotFound, Precondition, QuintetError
from quintet.domain.ids import Id, Kind, new_id, to_hex32, to_uuid
from quintet.domain.page import PageRequest
from quintet.domain.runs import TRANSITIONS, Run, RunState, StageState
from quintet.storage import runs as store
from quintet.storage.database import Database
from tests.support.factories import NOW, World, make_run, make_world, read_as, write_as


@pytest.fixture
def world(db: Database) -> World:
    return make_world(db)


def made(db: Database, world: World, **fields: Any) -> Run:
    cmd = CreateRun(**{"name": "a run", "project_id": world.project.id, **fields})
    return write_as(db, world.actor, create.create_run, cmd)


def test_a_created_run_reads_back_as_it_was_made(db: Database, world: World) -> None:
    run = made(db, world, params={"Args": {"lr": {"value": "0.1"}}}, tags=("b", "a", "b"), recipe="sft", args={"n": 1})
    assert run.state is RunState.CREATED
    assert run.tags == ("b", "a")
    assert read_as(db, world.actor, read.get_run, run.id) == run
    for spelling in (run.id, to_hex32(run.id, Kind.RUN), to_uuid(run.id, Kind.RUN)):
        assert read_as(db, world.actor, read.find_run, spelling) == run


def test_a_run_of_another_space_is_not_there(db: Database, world: World) -> None:
    run, other = made(db, world), make_world(db)
    with pytest.raises(NotFound):
        read_as(db, other.actor, read.get_run, run.id)
    with pytest.raises(NotFound):
        write_as(db, other.actor, edit.edit_run, run.id, {"name": "mine"})
    with pytest.raises(NotFound) as caught:
        write_as(db, other.actor, create.create_run, CreateRun("x", project_id=world.project.id))
    assert caught.value.field == "project"


def test_a_reader_changes_nothing_and_a_runs_token_touches_its_own_run_only(db: Database, world: World) -> None:
    run, other = made(db, world), made(db, world)
    with pytest.raises(Forbidden):
        write_as(db, world.as_role("read-only"), edit.edit_run, run.id, {"name": "x"})
    token = replace(world.actor, run_id=run.id)
    assert write_as(db, token, edit.edit_run, run.id, {"comment": "x"}).comment == "x"
    with pytest.raises(Forbidden):
        write_as(db, token, edit.edit_run, other.id, {"comment": "x"})
    with pytest.raises(Forbidden):
        write_as(db, token, create.create_run, CreateRun("stranger"))
    assert [r.id for r in read_as(db, token, read.list_runs).items] == [run.id]


def test_the_state_table_holds_for_every_walk(db: Database, world: World) -> None:
    """Random walks by the public moves: an allowed step is stored, a forbidden one changes nothing."""
    moves = {
        RunState.RUNNING: state.start_run, RunState.STOPPED: state.stop_run, RunState.FAILED: state.fail_run,
        RunState.COMPLETED: state.complete_run, RunState.CLOSED: state.close_run,
        RunState.PUBLISHED: state.publish_run,
    }  # fmt: skip
    dice = random.Random(7)
    for _ in range(6):
        run = made(db, world)
        for _ in range(12):
            to = dice.choice(list(moves))
            allowed = to in TRANSITIONS[run.state] or to is run.state
            if allowed:
                write_as(db, world.actor, moves[to], run.id, reason="walk")
            else:
                with pytest.raises(Precondition) as caught:
                    write_as(db, world.actor, moves[to], run.id, reason="walk")
                assert (caught.value.field, caught.value.data["current_status"]) == ("status", str(run.state))
            after = read_as(db, world.actor, read.get_run, run.id)
            assert after.state is (to if allowed else run.state)
            assert allowed or after == run
            assert not (after.state is RunState.FAILED and after.error is None)
            assert not (after.state is RunState.RUNNING and after.error is not None)
            run = after


def test_force_passes_the_state_table(db: Database, world: World) -> None:
    run = made(db, world)
    assert write_as(db, world.actor, state.complete_run, run.id, force=True).state is RunState.COMPLETED


def test_two_moves_decided_on_the_same_run_do_not_both_win(db: Database, world: World) -> None:
    run = made(db, world)
    started = run.move_to(RunState.RUNNING, at=NOW)
    db.write(lambda tx: store.save_run(tx, run, started))
    with pytest.raises(Conflict):
        db.write(lambda tx: store.save_run(tx, run, run.move_to(RunState.QUEUED, at=NOW)))


def test_an_edit_does_not_undo_what_another_wrote_meanwhile(db: Database, world: World) -> None:
    run = made(db, world)
    db.write(lambda tx: store.save_run(tx, run, replace(run, last_iteration=7)))
    db.write(lambda tx: store.save_run(tx, run, replace(run, comment="late")))
    after = read_as(db, world.actor, read.get_run, run.id)
    assert (after.last_iteration, after.comment) == (7, "late")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"state": "running"}, "state"),
        ({"tags": "x"}, "tags"),
        ({"params": {"a": 1}}, "params.a"),
        ({"name": " "}, "name"),
    ],
)
def test_a_bad_edit_names_the_field_and_changes_nothing(
    db: Database, world: World, changes: dict[str, Any], field: str
) -> None:
    run = made(db, world)
    with pytest.raises(Invalid) as caught:
        write_as(db, world.actor, edit.edit_run, run.id, {"comment": "kept?", **changes})
    assert caught.value.field == field
    assert read_as(db, world.actor, read.get_run, run.id) == run


def test_an_edit_replaces_fields_and_merges_those_named(db: Database, world: World) -> None:
    run = made(db, world, script={"a": 1, "b": 2}, runtime={"x": 1}, detail={"one": {"a": 1}})
    changes = {"script": {"b": 3}, "runtime": {"y": 1}, "detail": {"one": {"b": 2}}}
    after = write_as(db, world.actor, edit.edit_run, run.id, changes, merge=("script", "detail"))
    assert (after.script, after.runtime) == ({"a": 1, "b": 3}, {"y": 1})
    assert after.detail == {"one": {"a": 1, "b": 2}}


def test_the_definition_is_fixed_once_work_began(db: Database, world: World) -> None:
    run = made(db, world)
    write_as(db, world.actor, state.start_run, run.id)
    with pytest.raises(Precondition):
        write_as(db, world.actor, edit.edit_run, run.id, {"script": {}})
    with pytest.raises(Precondition):
        write_as(db, world.actor, edit.edit_run, run.id, {"comment": "x"}, states={RunState.CREATED})
    assert write_as(db, world.actor, edit.edit_run, run.id, {"comment": "x"}).comment == "x"
    with pytest.raises(Precondition):
        write_as(db, world.actor, edit.set_params, run.id, {"Args": {"a": {"value": "1"}}})
    forced = write_as(db, world.actor, edit.set_params, run.id, {"Args": {"a": {"value": "1"}}}, force=True)
    assert forced.params == {"Args": {"a": {"value": "1"}}}


def test_notes_change_in_any_state_and_are_no_news(db: Database, world: World) -> None:
    run = make_run(db, world, state=RunState.COMPLETED)
    after = write_as(db, world.actor, edit.set_params, run.id, {"Properties": {"n": {"value": "x"}}}, now=NOW + 5)
    assert after.params["Properties"]["n"]["value"] == "x"
    assert after.updated_at == NOW


def test_params_are_merged_or_replaced_as_asked(db: Database, world: World) -> None:
    run = made(db, world, params={"A": {"a": {"value": "1"}, "b": {"value": "2"}}, "B": {"c": {"value": "3"}}})
    given = {"A": {"a": {"value": "9"}}}
    one = write_as(db, world.actor, edit.set_params, run.id, given)
    assert sorted(one.params["A"]) == ["a", "b"]
    two = write_as(db, world.actor, edit.set_params, run.id, given, replace_=edit.Replace.SECTION)
    assert (sorted(two.params), sorted(two.params["A"])) == (["A", "B"], ["a"])
    three = write_as(db, world.actor, edit.set_params, run.id, given, replace_=edit.Replace.ALL)
    assert sorted(three.params) == ["A"]
    four = write_as(db, world.actor, edit.delete_params, run.id, [("A", "a"), ("C", None)])
    assert four.params == {}


def test_a_run_is_never_its_own_ancestor(db: Database, world: World) -> None:
    top = made(db, world)
    below = made(db, world, parent_id=top.id)
    with pytest.raises(Invalid) as caught:
        write_as(db, world.actor, edit.edit_run, top.id, {"parent_id": below.id})
    assert caught.value.field == "parent"


def test_stages_are_updated_by_name_in_their_order(db: Database, world: World) -> None:
    run = make_run(db, world)
    report = parts.StageReport
    first = [report("load", StageState.RUNNING), report("train", total=10)]
    write_as(db, world.actor, parts.report_progress, run.id, first)
    second = [report("train", StageState.RUNNING, done=4), report("save"), report("load", StageState.DONE)]
    stages = write_as(db, world.actor, parts.report_progress, run.id, second, 0.5)
    assert [(s.name, s.state, s.done, s.total) for s in stages] == [
        ("load", "done", 0, None), ("train", "running", 4, 10), ("save", "pending", 0, None)
    ]  # fmt: skip
    assert read_as(db, world.actor, read.get_run, run.id).progress == 0.5
    with pytest.raises(Invalid):
        write_as(db, world.actor, parts.report_progress, run.id, [], 1.5)


def test_artifacts_are_replaced_by_key_and_mode_and_refused_at_the_end(db: Database, world: World) -> None:
    run = make_run(db, world)
    new = parts.NewArtifact
    write_as(db, world.actor, parts.add_artifacts, run.id, [new("a", uri="1"), new("a", mode="input", uri="2")])
    found = write_as(db, world.actor, parts.add_artifacts, run.id, [new("a", uri="3")])
    assert sorted((a.key, a.mode, a.uri) for a in found) == [("a", "input", "2"), ("a", "output", "3")]
    assert write_as(db, world.actor, parts.delete_artifacts, run.id, [("a", "input"), ("b", "output")]) == 1
    write_as(db, world.actor, state.complete_run, run.id)
    with pytest.raises(Precondition):
        write_as(db, world.actor, parts.add_artifacts, run.id, [new("late")])


def test_a_checkpoint_saved_again_replaces_itself(db: Database, world: World) -> None:
    run = make_run(db, world)
    new = parts.NewCheckpoint
    one = write_as(db, world.actor, parts.add_checkpoint, run.id, new("step-2", 2, metrics={"loss": 2}))
    write_as(db, world.actor, parts.add_checkpoint, run.id, new("step-4", 4))
    two = write_as(db, world.actor, parts.add_checkpoint, run.id, new("step-2", 2, metrics={"loss": 1}))
    assert one.id == two.id
    assert [c.name for c in read_as(db, world.actor, read.checkpoints_of, run.id)] == ["step-2", "step-4"]
    assert [c.step for c in read_as(db, world.actor, read.list_checkpoints).items] == [4, 2]


def test_a_clone_has_the_work_and_the_inputs_but_no_results(db: Database, world: World) -> None:
    source = made(db, world, recipe="sft", args={"a": 1}, system_tags=("development", "archived", "x"))
    new = parts.NewArtifact
    write_as(db, world.actor, parts.add_artifacts, source.id, [new("in", mode="input"), new("out")])
    write_as(db, world.actor, state.start_run, source.id)
    copy = write_as(db, world.actor, create.clone_run, CloneRun(source.id, name="again", changes={"args": {"a": 2}}))
    assert (copy.state, copy.recipe, copy.args, copy.system_tags) == (RunState.CREATED, "sft", {"a": 2}, ("x",))
    assert copy.parent_id == source.id
    assert [a.key for a in read_as(db, world.actor, read.artifacts_of, copy.id)] == ["in"]


def test_reset_forgets_what_a_run_did(db: Database, world: World) -> None:
    run = made(db, world, script={"entry": "x"})
    write_as(db, world.actor, state.start_run, run.id)
    write_as(db, world.actor, parts.add_checkpoint, run.id, parts.NewCheckpoint("c", 1))
    write_as(db, world.actor, parts.report_progress, run.id, [parts.StageReport("s")], 0.3)
    new = parts.NewArtifact
    write_as(db, world.actor, parts.add_artifacts, run.id, [new("in", mode="input"), new("out")])
    after = write_as(db, world.actor, state.reset_run, run.id).run
    assert (after.state, after.started_at, after.progress, after.script) == (RunState.CREATED, None, None, run.script)
    assert read_as(db, world.actor, read.checkpoints_of, run.id) == []
    assert read_as(db, world.actor, read.stages_of, run.id) == []
    assert [a.key for a in read_as(db, world.actor, read.artifacts_of, run.id)] == ["in"]


def test_a_published_run_is_not_reset_unless_forced(db: Database, world: World) -> None:
    run = make_run(db, world, state=RunState.PUBLISHED)
    with pytest.raises(Precondition):
        write_as(db, world.actor, state.reset_run, run.id)
    assert write_as(db, world.actor, state.reset_run, run.id, force=True).run.state is RunState.CREATED


def test_deleting_needs_an_archived_run_and_frees_its_children(db: Database, world: World) -> None:
    run = make_run(db, world)
    child = made(db, world, parent_id=run.id)
    with pytest.raises(Precondition):
        write_as(db, world.actor, delete.delete_run, run.id)
    archived = write_as(db, world.actor, state.archive_run, run.id)
    assert (archived.state, archived.system_tags) == (RunState.STOPPED, ("archived",))
    effects: list[Any] = []
    gone = write_as(db, world.actor, delete.delete_run, run.id, effects=effects)
    assert gone.children == 1
    assert read_as(db, world.actor, read.get_run, child.id).parent_id is None
    with pytest.raises(NotFound):
        read_as(db, world.actor, read.get_run, run.id)
    assert (f"runs/{run.id}/",) in [e.data["prefixes"] for e in effects if e.kind == leftovers.KIND]


def test_pages_of_runs_hold_every_run_once_in_either_direction(db: Database, world: World) -> None:
    for n in range(7):
        make_run(db, world, name=f"r{n}", created_at=NOW + n // 2)
    for order in (RunOrder.CREATED, RunOrder.STARTED, RunOrder.NAME):
        for down in (True, False):
            seen: list[Id] = []
            cursor = None
            while True:
                page = read_as(
                    db, world.actor, read.list_runs, None, PageRequest(3, after=cursor), order, descending=down,
                    count=True,
                )  # fmt: skip
                assert page.total == 7
                seen += [r.id for r in page.items]
                cursor = page.next_cursor
                if cursor is None:
                    break
            assert len(seen) == len(set(seen)) == 7


def test_filters_narrow_the_list(db: Database, world: World) -> None:
    a = make_run(db, world, name="Alpha_1", tags=("x", "y"), state=RunState.FAILED, type="training")
    b = make_run(db, world, name="beta", tags=("y",), system_tags=("archived",), type="testing", project_id=None)
    every = {a.id, b.id}
    for wanted, expected in [
        (RunFilter(), every),
        (RunFilter(ids=()), set()),
        (RunFilter(states=(RunState.FAILED,)), {a.id}),
        (RunFilter(project_ids=(world.project.id,)), {a.id}),
        (RunFilter(types=("testing", "other")), {b.id}),
        (RunFilter(tags_all=("x", "y")), {a.id}),
        (RunFilter(tags_any=("x", "y")), every),
        (RunFilter(tags_none=("x",)), {b.id}),
        (RunFilter(system_tags_none=("archived",)), {a.id}),
        (RunFilter(name_contains="PHA_"), {a.id}),
        (RunFilter(name_pattern="^b"), {b.id}),
        (RunFilter(text=a.id), {a.id}),
        (RunFilter(created_since=NOW + 1), set()),
    ]:
        assert {r.id for r in read_as(db, world.actor, read.list_runs, wanted).items} == expected, wanted
        assert read_as(db, world.actor, read.count_runs, wanted) == len(expected)


def test_stopping_asks_whoever_works_on_the_run(db: Database, world: World) -> None:
    queued = made(db, world)
    write_as(db, world.actor, enqueue_run, Enqueue(queued.id))
    assert write_as(db, world.actor, state.request_stop, queued.id).state is RunState.STOPPED
    own = make_run(db, world, system_tags=("development",), last_worker="laptop")
    stopped = write_as(db, world.actor, state.request_stop, own.id)
    assert (stopped.state, stopped.status_reason) == (RunState.STOPPED, "Stopped by Ada")
    agent = make_run(db, world, last_worker="agent:0", updated_at=NOW - 60_000_000)
    asked = write_as(db, world.actor, state.request_stop, agent.id)
    assert (asked.state, asked.status_message) == (RunState.RUNNING, "stopping")
    silent = make_run(db, world, last_worker="agent:0", updated_at=NOW - 700_000_000)
    assert write_as(db, world.actor, state.request_stop, silent.id).state is RunState.STOPPED
    with pytest.raises(QuintetError):
        write_as(db, world.actor, state.request_stop, made(db, world).id)


def test_an_unknown_run_is_not_found(db: Database, world: World) -> None:
    with pytest.raises(NotFound):
        write_as(db, world.actor, state.start_run, new_id())
