"""What is spent is counted once, in the window it was spent in, under the right heading."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from quintet.app.billing import usage
from quintet.app.billing.cost import UNALLOCATED, Cost, allocate
from quintet.app.billing.policy import TagMode, book_project, set_tag_policy, tag_policy
from quintet.app.core import Core
from quintet.app.projects.manage import CreateProject, create_project, find_project
from quintet.app.runs.numbered import list_numbered
from quintet.app.runs.read import RunFilter
from quintet.domain.errors import Forbidden, Invalid, Precondition, Quota
from quintet.domain.identity import BUILTIN_ROLES
from quintet.domain.ids import Id, new_id
from quintet.domain.interactions import Interaction
from quintet.domain.page import PageRequest
from quintet.domain.runs import RunState
from quintet.storage import interactions as interaction_store
from quintet.storage.database import Database
from tests.support.factories import World, make_ports, make_run, make_world

HOUR = 3_600_000_000
DAY = 24 * HOUR
T0 = 20_000 * DAY


@pytest.fixture
def world(db: Database) -> World:
    return make_world(db)


@pytest.fixture
def core(db: Database) -> Core:
    return Core(db, make_ports(), clock=lambda: T0 + 12 * HOUR)


def called(db: Database, world: World, at: int, tag: str | None = None, model: str = "m", tokens: int = 1_000_000) -> None:
    item = Interaction(
        new_id(), world.space_id, None, at, [{"role": "user", "content": "?"}], "!", model_name=model,
        prompt_tokens=tokens, billing_tag=tag,
    )  # fmt: skip
    db.write(lambda tx: interaction_store.insert_many(tx, [item]))


def ran(db: Database, world: World, since: int, until: int | None, **fields: Any) -> Id:
    state = RunState.RUNNING if until is None else RunState.COMPLETED
    return make_run(db, world, state=state, started_at=since, ended_at=until, **fields).id


def total(costs: list[list[Cost]], name: str) -> float:
    return sum(c.total for step in costs for c in step if c.group == (name,))


def test_a_run_costs_its_hours_inside_the_window(core: Core, db: Database, world: World) -> None:
    ran(db, world, T0 - 2 * HOUR, T0 + HOUR)
    ran(db, world, T0 + 10 * HOUR, None)
    ran(db, world, T0 - 5 * HOUR, T0 - 4 * HOUR)
    ran(db, world, T0 + DAY, T0 + DAY + HOUR)
    ((row,),) = core.read_now(world.actor, allocate, [(T0, T0 + DAY)])
    # One hour of the first, two until now (12 o'clock) of the second, nothing of the others.
    assert row.run_hours == pytest.approx(3)
    assert row.run_cost == pytest.approx(0.3)


def test_hardware_sets_the_price_and_the_cores(core: Core, db: Database, world: World) -> None:
    ran(db, world, T0, T0 + 2 * HOUR, runtime={"hardware": {"cores": 4, "gpus": 2, "hour_price": 3.0}})
    ((row,),) = core.read_now(world.actor, allocate, [(T0, T0 + DAY)])
    assert (row.core_hours, row.gpu_hours, row.run_cost) == pytest.approx((8, 4, 6))


def test_steps_add_up_to_the_whole(core: Core, db: Database, world: World) -> None:
    ran(db, world, T0 - DAY + 7, T0 + 5 * HOUR + 3)
    for hour in (-24, -13, -1, 0, 3, 7):
        called(db, world, T0 + hour * HOUR + 17, "a")
    cuts = [T0 - DAY - HOUR // 2, T0 - HOUR // 2, T0 + 3 * HOUR + 5, T0 + DAY]
    steps = core.read_now(world.actor, allocate, list(pairwise(cuts)), ["billing-tag"])
    whole = core.read_now(world.actor, allocate, [(cuts[0], cuts[-1])], ["billing-tag"])
    for name in ("a", UNALLOCATED):
        assert total(steps, name) == pytest.approx(total(whole, name))
    assert sum(c.calls for step in steps for c in step) == 6


def test_costs_are_split_by_several_headings_and_filtered(core: Core, db: Database, world: World) -> None:
    project = core.write_now(world.actor, create_project, CreateProject("p"))
    core.write_now(world.actor, usage.put_tags, ["research"])
    core.write_now(world.actor, usage.tag_project, project.id, "research")
    ran(db, world, T0, T0 + HOUR, project_id=project.id)
    called(db, world, T0 + HOUR, "research", "big")
    called(db, world, T0 + HOUR, None, "small")
    ((*rows,),) = core.read_now(world.actor, allocate, [(T0, T0 + DAY)], ["billing-tag", "model"])
    expected = {
        ("research", "big"): 1.0, ("research", UNALLOCATED): 0.1, (UNALLOCATED, "small"): 1.0,
    }  # fmt: skip
    assert {r.group: pytest.approx(r.total) for r in rows} == expected

    def research(values: Any) -> bool:
        return bool(values["billing-tag"] == "research")

    ((only,),) = core.read_now(world.actor, allocate, [(T0, T0 + DAY)], ["cluster"], research)
    assert only.total == pytest.approx(1.1)


def test_another_spaces_costs_are_not_counted(core: Core, db: Database, world: World) -> None:
    other = make_world(db)
    ran(db, other, T0, T0 + HOUR)
    called(db, other, T0)
    assert core.read_now(world.actor, allocate, [(T0, T0 + DAY)]) == [[]]


def test_who_may_not_read_costs_is_refused(core: Core, world: World) -> None:
    someone = replace(world.actor, permissions=BUILTIN_ROLES["member"])
    with pytest.raises(Forbidden):
        core.read_now(someone, allocate, [(T0, T0 + DAY)])
    with pytest.raises(Invalid):
        core.read_now(world.actor, allocate, [(T0, T0 + DAY)], ["colour"])
    with pytest.raises(Quota):
        core.read_now(world.actor, allocate, [(n, n + 1) for n in range(401)])


def test_projects_are_booked_as_the_policy_says(core: Core, world: World) -> None:
    project = core.write_now(world.actor, create_project, CreateProject("p")).id
    core.write_now(world.actor, usage.put_tags, ["t"])
    assert core.read_now(world.actor, tag_policy).mode is TagMode.OPTIONAL
    core.write_now(world.actor, set_tag_policy, TagMode.REQUIRED, None)
    core.write_now(world.actor, book_project, project, "t")
    with pytest.raises(Precondition):
        core.write_now(world.actor, book_project, project, None)
    core.write_now(world.actor, set_tag_policy, TagMode.DISABLED, True)
    with pytest.raises(Precondition):
        core.write_now(world.actor, book_project, project, "t")
    assert core.read_now(world.actor, find_project, project).billing_tag == "t"
    someone = replace(world.actor, permissions=BUILTIN_ROLES["member"])
    with pytest.raises(Forbidden):
        core.write_now(someone, set_tag_policy, TagMode.OPTIONAL, None)


def test_runs_are_numbered_within_their_project(core: Core, db: Database, world: World) -> None:
    one, two = (core.write_now(world.actor, create_project, CreateProject(n)).id for n in ("one", "two"))
    runs = [make_run(db, world, project_id=p).id for p in (one, two, one, one)]
    page = PageRequest(limit=2)
    found, count = core.read_now(world.actor, list_numbered, one, RunFilter(), page)
    assert ([(r.run.id, r.number) for r in found], count) == ([(runs[3], 3), (runs[2], 2)], 3)
