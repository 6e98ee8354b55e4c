"""Projects, and names: whatever people write is stored exactly, or refused with the field that holds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from quintet.app.datasets.manage import CreateDataset, create_dataset, find_dataset
from quintet.app.evaluation.benchmarks import CreateBenchmark, create_benchmark, find_benchmark
from quintet.app.feedback.manage import CreateMetric, create_metric, find_metric
from quintet.app.identity.accounts import CreateUser, create_user, find_member
from quintet.app.models.registry import CreateModel, create_model, find_model
from quintet.app.projects.manage import (
    CreateProject,
    create_project,
    delete_project,
    edit_project,
    find_project,
    list_projects,
)
from quintet.app.queues.manage import CreateQueue, create_queue, find_queue
from quintet.app.runs.create import CreateRun, create_run
from quintet.app.runs.read import get_run
from quintet.domain.errors import Conflict, Invalid, NotFound
from quintet.domain.projects import MAX_NAME
from quintet.storage.database import Database
from tests.support.factories import World, make_world, read_as, write_as


@pytest.fixture
def world(db: Database) -> World:
    return make_world(db)


ALLOWED = {
    "quotes": 'it\'s "quoted" `here`',
    "sql": "'; DROP TABLE runs; --",
    "percent": "100% _under_ \\back\\",
    "markup": "<b>&amp;</b>",
    "emoji": "🎛️👩‍🔬 run",
    "right to left": "שלום \u202e مرحبا",
    "combining": "e\u0301 and é",
    "wide": "模型 ﷽",
    "no-break space": "a\u00a0b",
    "1,000 characters": "x" * MAX_NAME,
    "1,000 astral": "🙂" * MAX_NAME,
    "dots": "..",
    "braces": "{name} %s ${HOME}",
}
REFUSED = {
    "empty": "",
    "blank": "   ",
    "NUL": "a\x00b",
    "newline": "a\nb",
    "escape": "a\x1b[31mb",
    "delete": "a\x7fb",
    "C1": "a\x85b",
    "half a pair": "a\ud83db",
    "1,001 characters": "x" * (MAX_NAME + 1),
    "10,000 characters": "x" * 10_000,
}

Make = Callable[[Database, World, str], str]
"""Makes a thing of that name and gives the name as it is stored."""


def through(use_case: Callable[..., Any], command: Callable[[str], Any], find: Callable[..., Any]) -> Make:
    def make(db: Database, world: World, name: str) -> str:
        made = write_as(db, world.actor, use_case, command(name))
        return str(read_as(db, world.actor, find, made.id).name)

    return make


NAMED: dict[str, Make] = {
    "run": through(create_run, CreateRun, get_run),
    "queue": through(create_queue, CreateQueue, find_queue),
    "dataset": through(create_dataset, CreateDataset, find_dataset),
    "model": through(create_model, CreateModel, find_model),
    "metric": through(create_metric, CreateMetric, find_metric),
    "benchmark": through(create_benchmark, CreateBenchmark, find_benchmark),
    "project": through(create_project, CreateProject, find_project),
    "user": through(create_user, lambda name: CreateUser("ann@example.org", name or " "), find_member),
}


@pytest.mark.parametrize("thing", NAMED)
@pytest.mark.parametrize("name", ALLOWED.values(), ids=ALLOWED.keys())
def test_a_name_is_stored_exactly(db: Database, world: World, thing: str, name: str) -> None:
    assert NAMED[thing](db, world, name) == name


@pytest.mark.parametrize("thing", NAMED)
@pytest.mark.parametrize("name", REFUSED.values(), ids=REFUSED.keys())
def test_a_name_that_cannot_be_is_refused_with_its_field(db: Database, world: World, thing: str, name: str) -> None:
    with pytest.raises(Invalid) as caught:
        NAMED[thing](db, world, name)
    assert caught.value.field == "name"


@pytest.mark.parametrize("thing", [t for t in NAMED if t != "project"])
def test_a_slash_is_a_character_like_others(sqlite_db: Database, thing: str) -> None:
    assert NAMED[thing](sqlite_db, make_world(sqlite_db), "a/b//c/") == "a/b//c/"


def test_white_space_around_a_name_is_not_part_of_it(db: Database, world: World) -> None:
    assert NAMED["run"](db, world, "  spaced out ") == "spaced out"


# -- the tree ---------------------------------------------------------------------------------------------------------


def test_slashes_in_the_name_of_a_project_make_levels(db: Database, world: World) -> None:
    leaf = write_as(db, world.actor, create_project, CreateProject("a/b/c"))
    names = {p.name: p for p in read_as(db, world.actor, list_projects)[0]}
    assert {"a", "a/b", "a/b/c"} <= set(names)
    assert leaf.parent_id == names["a/b"].id
    assert leaf.basename == "c"


@pytest.mark.parametrize("name", ["/a", "a/", "a//b", "a/ /b", "/", "/".join("abcdefghijk")])
def test_a_level_needs_a_name_and_there_are_ten_of_them(db: Database, world: World, name: str) -> None:
    before = read_as(db, world.actor, list_projects)[1]
    with pytest.raises(Invalid) as caught:
        write_as(db, world.actor, create_project, CreateProject(name))
    assert caught.value.field == "name"
    assert read_as(db, world.actor, list_projects)[1] == before


def test_a_project_is_found_by_key_name_and_id(db: Database, world: World) -> None:
    made = write_as(db, world.actor, create_project, CreateProject("Über uns / 2"))
    for ref in (made.id, made.key, made.name):
        assert read_as(db, world.actor, find_project, ref).id == made.id


def test_a_name_is_one_projects_in_its_space(db: Database, world: World) -> None:
    write_as(db, world.actor, create_project, CreateProject("one"))
    with pytest.raises(Conflict):
        write_as(db, world.actor, create_project, CreateProject("one"))
    write_as(db, make_world(db).actor, create_project, CreateProject("one"))


def test_projects_whose_names_make_the_same_key_get_keys_of_their_own(db: Database, world: World) -> None:
    keys = {write_as(db, world.actor, create_project, CreateProject(n)).key for n in ("a b", "a-b", "a.b!", "模型")}
    assert len(keys) == 4


def test_what_is_edited_changes_and_nothing_else(db: Database, world: World) -> None:
    made = write_as(db, world.actor, create_project, CreateProject("before", description="kept"))
    write_as(db, world.actor, edit_project, made.id, {"name": "after"})
    found = read_as(db, world.actor, find_project, made.id)
    assert (found.name, found.description) == ("after", "kept")


def test_a_deleted_project_is_gone(db: Database, world: World) -> None:
    made = write_as(db, world.actor, create_project, CreateProject("short life"))
    write_as(db, world.actor, delete_project, made.id)
    with pytest.raises(NotFound):
        read_as(db, world.actor, find_project, made.id)


def test_a_foreign_project_is_not_found_by_any_spelling(db: Database, world: World) -> None:
    stranger = make_world(db).actor
    for ref in (world.project.id, world.project.key, world.project.name):
        for use_case, arguments in ((find_project, ()), (edit_project, ({"name": "x"},)), (delete_project, ())):
            with pytest.raises(NotFound):
                write_as(db, stranger, use_case, ref, *arguments)
