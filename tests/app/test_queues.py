"""Queues: order under every move, previous states restored, and each run given out once."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from quintet.app.queues import entries, manage
from quintet.app.queues.entries import Direction, Enqueue
from quintet.app.queues.manage import CreateQueue
from quintet.app.runs import read, state
from quintet.domain.errors import Conflict, NotFound, Precondition
from quintet.domain.ids import Id
from quintet.domain.runs import Queue, Run, RunState
from quintet.storage import database
from quintet.storage.database import Database
from tests.support.factories import World, make_run, make_world, read_as, write_as


@pytest.fixture
def world(db: Database) -> World:
    return make_world(db)


@pytest.fixture
def queue(db: Database, world: World) -> Queue:
    return write_as(db, world.actor, manage.create_queue, CreateQueue("gpu"))


def waiting(db: Database, world: World, queue: Queue, count: int, **fields: Any) -> list[Run]:
    runs = [make_run(db, world, state=RunState.CREATED, **fields) for _ in range(count)]
    return [write_as(db, world.actor, entries.enqueue_run, Enqueue(r.id, queue.id)).run for r in runs]


def order(db: Database, world: World, queue: Queue) -> list[Id]:
    return [e.run_id for e in read_as(db, world.actor, entries.entries_of, queue.id)]


def ids(runs: Sequence[Run]) -> list[Id]:
    return [r.id for r in runs]


def test_the_default_queue_is_made_once(db: Database, world: World) -> None:
    first = write_as(db, world.actor, manage.default_queue)
    assert (first.name, first.system_tags) == ("default", ("default",))
    assert write_as(db, world.actor, manage.default_queue) == first
    run = make_run(db, world, state=RunState.CREATED)
    assert write_as(db, world.actor, entries.enqueue_run, Enqueue(run.id)).queue == first
    with pytest.raises(Precondition):
        write_as(db, world.actor, manage.delete_queue, first.id, force=True)


def test_names_are_unique_in_a_space_only(db: Database, world: World, queue: Queue) -> None:
    with pytest.raises(Conflict):
        write_as(db, world.actor, manage.create_queue, CreateQueue("gpu"))
    other = make_world(db)
    write_as(db, other.actor, manage.create_queue, CreateQueue("gpu"))
    with pytest.raises(NotFound):
        read_as(db, other.actor, manage.find_queue, queue.id)


def test_a_missing_queue_is_made_only_when_asked(db: Database, world: World) -> None:
    run = make_run(db, world, state=RunState.CREATED)
    with pytest.raises(NotFound):
        write_as(db, world.actor, entries.enqueue_run, Enqueue(run.id, "new"))
    done = write_as(db, world.actor, entries.enqueue_run, Enqueue(run.id, "new", create=True))
    assert (done.queue.name, done.run.queue_id, done.run.state) == ("new", done.queue.id, RunState.QUEUED)


def test_runs_are_taken_in_the_order_they_came(db: Database, world: World, queue: Queue) -> None:
    runs = waiting(db, world, queue, 3)
    assert order(db, world, queue) == ids(runs)
    peeked = read_as(db, world.actor, entries.peek, queue.id)
    taken = [write_as(db, world.actor, entries.next_run, queue.id) for _ in range(4)]
    assert [t.run_id if t else None for t in taken] == [*ids(runs), None]
    assert peeked == taken[0]
    assert read_as(db, world.actor, read.get_run, runs[0].id).state is RunState.QUEUED


def test_next_run_leaves_runs_with_a_recipe_to_our_workers(db: Database, world: World, queue: Queue) -> None:
    waiting(db, world, queue, 1, recipe="sft")
    plain = waiting(db, world, queue, 1)[0]
    taken = write_as(db, world.actor, entries.next_run, queue.id)
    assert taken is not None
    assert taken.run_id == plain.id


def test_next_run_can_insist_on_one_run(db: Database, world: World, queue: Queue) -> None:
    first, second = waiting(db, world, queue, 2)
    assert write_as(db, world.actor, entries.next_run, queue.id, second.id) is None
    assert order(db, world, queue) == [first.id, second.id]


def test_a_run_waits_in_one_queue_and_remembers_where_it_came_from(db: Database, world: World, queue: Queue) -> None:
    run = make_run(db, world, state=RunState.STOPPED)
    write_as(db, world.actor, entries.enqueue_run, Enqueue(run.id, "gpu"))
    with pytest.raises(Conflict):
        write_as(db, world.actor, entries.enqueue_run, Enqueue(run.id, "gpu"))
    moved = write_as(db, world.actor, entries.enqueue_run, Enqueue(run.id, "cpu", create=True))
    assert order(db, world, queue) == []
    assert order(db, world, moved.queue) == [run.id]
    back = write_as(db, world.actor, entries.dequeue_run, run.id)
    assert (back.was_queued, back.run.state, back.run.queue_id) == (True, RunState.STOPPED, None)
    assert not write_as(db, world.actor, entries.dequeue_run, run.id).was_queued


@pytest.mark.parametrize("was", [RunState.RUNNING, RunState.COMPLETED, RunState.CLOSED, RunState.PUBLISHED])
def test_a_finished_or_running_run_is_enqueued_only_by_force(
    db: Database, world: World, queue: Queue, was: RunState
) -> None:
    run = make_run(db, world, state=was)
    with pytest.raises(Precondition):
        write_as(db, world.actor, entries.enqueue_run, Enqueue(run.id, "gpu"))
    forced = write_as(db, world.actor, entries.enqueue_run, Enqueue(run.id, "gpu", force=True))
    assert forced.run.state is RunState.QUEUED


def test_a_run_that_starts_or_stops_leaves_its_queue(db: Database, world: World, queue: Queue) -> None:
    one, two = waiting(db, world, queue, 2)
    write_as(db, world.actor, state.start_run, one.id)
    write_as(db, world.actor, state.request_stop, two.id)
    assert order(db, world, queue) == []


def test_every_move_keeps_everyone_and_lands_where_it_says(db: Database, world: World, queue: Queue) -> None:
    runs = waiting(db, world, queue, 5)
    expected = ids(runs)
    dice = random.Random(3)
    for _ in range(25):
        run, direction, count = dice.choice(expected), dice.choice(list(Direction)), dice.choice([0, 1, 2, 9])
        old = expected.index(run)
        target = {
            Direction.FRONT: 0, Direction.BACK: 4, Direction.FORWARD: max(old - count, 0),
            Direction.BACKWARD: min(old + count, 4),
        }[direction]  # fmt: skip
        expected.insert(target, expected.pop(old))
        assert write_as(db, world.actor, entries.move_entry, queue.id, run, direction, count) == target
        assert order(db, world, queue) == expected
    front = make_run(db, world, state=RunState.CREATED)
    write_as(db, world.actor, entries.enqueue_run, Enqueue(front.id, "gpu", front=True))
    assert order(db, world, queue) == [front.id, *expected]


def test_moving_what_does_not_wait_there_is_not_found(db: Database, world: World, queue: Queue) -> None:
    run = make_run(db, world)
    with pytest.raises(NotFound):
        write_as(db, world.actor, entries.move_entry, queue.id, run.id, Direction.FRONT)


def test_deleting_a_queue_gives_its_runs_back(db: Database, world: World, queue: Queue) -> None:
    run = make_run(db, world, state=RunState.FAILED)
    write_as(db, world.actor, entries.enqueue_run, Enqueue(run.id, "gpu"))
    with pytest.raises(Precondition):
        write_as(db, world.actor, manage.delete_queue, queue.id)
    assert write_as(db, world.actor, manage.delete_queue, queue.id, force=True).restored == 1
    assert read_as(db, world.actor, read.get_run, run.id).state is RunState.FAILED
    assert read_as(db, world.actor, manage.list_queues) == []


def test_entries_can_come_and_go_without_touching_states(db: Database, world: World, queue: Queue) -> None:
    run = make_run(db, world, state=RunState.CREATED)
    write_as(db, world.actor, entries.add_entry, "gpu", run.id)
    assert read_as(db, world.actor, read.get_run, run.id).state is RunState.CREATED
    write_as(db, world.actor, entries.remove_entry, "gpu", run.id)
    assert order(db, world, queue) == []
    with pytest.raises(NotFound):
        write_as(db, world.actor, entries.remove_entry, "gpu", run.id)


def test_many_takers_never_get_the_same_run(db: Database, world: World, queue: Queue) -> None:
    runs = waiting(db, world, queue, 24)

    def take(_: int) -> list[Id]:
        got = []
        while (entry := write_as(db, world.actor, entries.next_run, queue.id)) is not None:
            got.append(entry.run_id)
        return got

    with ThreadPoolExecutor(8) as pool:
        taken = [run_id for got in pool.map(take, range(8)) for run_id in got]
    assert sorted(taken) == sorted(ids(runs))


def test_many_callers_enqueue_at_once_and_all_wait(db: Database, world: World, queue: Queue) -> None:
    runs = [make_run(db, world, state=RunState.CREATED) for _ in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda r: write_as(db, world.actor, entries.enqueue_run, Enqueue(r.id, "gpu")), runs))
    found = read_as(db, world.actor, entries.entries_of, queue.id)
    assert sorted(e.run_id for e in found) == sorted(ids(runs))
    assert len({e.position for e in found}) == 16


def test_callers_who_do_everything_at_once_never_wait_in_a_ring(
    postgres_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clearing a queue holds many rows; it met movers and takers in deadlocks until all held rows in one order."""
    monkeypatch.setattr(database, "DEADLOCK_TRIES", 1)
    db = postgres_db
    world = make_world(db)
    for name in "ab":
        write_as(db, world.actor, manage.create_queue, CreateQueue(name))
    runs = [
        make_run(db, world, state=RunState.CREATED, project_id=world.project.id if n % 3 else None) for n in range(12)
    ]

    def work(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(40):
            run, queue = dice.choice(runs).id, dice.choice("ab")
            with contextlib.suppress(Conflict, NotFound, Precondition):
                match dice.randrange(6):
                    case 0 | 1:
                        write_as(db, world.actor, entries.enqueue_run, Enqueue(run, queue, force=True))
                    case 2:
                        write_as(db, world.actor, entries.move_entry, queue, run, dice.choice(list(Direction)), 2)
                    case 3:
                        write_as(db, world.actor, entries.next_run, queue)
                    case 4:
                        write_as(db, world.actor, entries.dequeue_run, run)
                    case 5:
                        write_as(db, world.actor, manage.clear_queue, queue)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, seed) for seed in range(8)]:
            done.result()
