"""Starting trainings and finding them again by the ids that clients chose."""

from __future__ import annotations

from typing import Any

import pytest

from quintet.app.datasets import manage
from quintet.app.datasets.manage import CreateDataset
from quintet.app.models import versions
from quintet.app.models.versions import RegisterVersion
from quintet.app.runs import delete, read, state
from quintet.app.training import start
from quintet.app.training.start import StartTraining
from quintet.domain.errors import Conflict, Forbidden, Invalid, NotFound
from quintet.domain.ids import Kind, to_uuid
from quintet.domain.page import PageRequest
from quintet.domain.runs import Run, RunKind, RunState
from quintet.storage.database import Database
from tests.support.factories import World, make_world, read_as, write_as


@pytest.fixture
def world(db: Database) -> World:
    return make_world(db)


def _start(db: Database, world: World, **fields: Any) -> Run:
    cmd = StartTraining(**{"name": "t", "recipe": "sft", "dialect": "llama_stack", **fields})
    return write_as(db, world.actor, start.start_training, cmd)


def test_a_training_is_queued_with_what_it_needs_pinned(db: Database, world: World) -> None:
    write_as(db, world.actor, versions.register_version, RegisterVersion("Base Model"))
    dataset = write_as(db, world.actor, manage.create_dataset, CreateDataset("rows", key="my-rows"))
    run = _start(
        db, world, model="Base Model", datasets={"dataset": "my-rows"}, output="out", args={"epochs": 1},
        project_id=world.project.id, detail={"llama_stack": {"x": 1}},
    )  # fmt: skip
    assert (run.state, run.kind, run.recipe, run.type) == (RunState.QUEUED, RunKind.SFT, "sft", "training")
    assert run.args == {
        "epochs": 1, "model": "base-model", "dataset": dataset.id, "output_model": "out",
    }  # fmt: skip
    assert run.detail == {"llama_stack": {"x": 1}}


def test_a_job_id_of_a_client_is_used_once_in_its_dialect(db: Database, world: World) -> None:
    one = _start(db, world, job="job-1")
    with pytest.raises(Conflict) as caught:
        _start(db, world, job="job-1")
    assert caught.value.field == "job"
    elsewhere = _start(db, world, job="job-1", dialect="adaptive")
    two = _start(db, world, job="job-2")
    _start(db, world)
    listed = read_as(db, world.actor, start.list_trainings, "llama_stack")
    assert [(job, run.id) for job, run in listed] == [("job-1", one.id), ("job-2", two.id)]
    assert read_as(db, world.actor, start.find_training, "adaptive", "job-1").id == elsewhere.id
    assert read_as(db, world.actor, start.find_training, "llama_stack", to_uuid(two.id, Kind.RUN)).id == two.id
    assert read_as(db, world.actor, start.job_names, "llama_stack", [one.id, elsewhere.id]) == {one.id: "job-1"}
    with pytest.raises(NotFound):
        read_as(db, world.actor, start.find_training, "llama_stack", "job-3")


def test_a_job_id_is_free_again_when_its_run_is_deleted(db: Database, world: World) -> None:
    run = _start(db, world, job="job-1")
    write_as(db, world.actor, state.archive_run, run.id)
    write_as(db, world.actor, delete.delete_run, run.id, force=True)
    assert read_as(db, world.actor, start.list_trainings, "llama_stack") == []
    again = _start(db, world, job="job-1")
    assert read_as(db, world.actor, start.find_training, "llama_stack", "job-1").id == again.id


def test_what_is_missing_or_forbidden_starts_nothing(db: Database, world: World) -> None:
    for fields, error, field in (
        ({"model": "absent"}, NotFound, None),
        ({"datasets": {"dataset": "absent"}}, NotFound, None),
        ({"kind": RunKind.EVALUATE}, Invalid, "kind"),
        ({"output": " "}, Invalid, "output"),
        ({"job": ""}, Invalid, "job"),
    ):
        with pytest.raises(error) as caught:
            _start(db, world, **fields)
        assert field is None or caught.value.field == field  # type: ignore[attr-defined]
    with pytest.raises(Forbidden):
        write_as(db, world.as_role("read-only"), start.start_training, StartTraining("t", "sft"))
    assert read_as(db, world.actor, read.list_runs, None, PageRequest()).items == []
    other = make_world(db)
    _start(db, world, job="mine")
    with pytest.raises(NotFound):
        read_as(db, other.actor, start.find_training, "llama_stack", "mine")
