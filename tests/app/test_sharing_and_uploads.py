"""Shared projects, model services, upload sessions and datasets made of interactions, on both databases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quintet.app.context import Effect
from quintet.app.core import Core
from quintet.app.datasets.fill import iterate_rows
from quintet.app.datasets.from_interactions import FromInteractions, Sample, dataset_from_interactions
from quintet.app.feedback.manage import CreateMetric, GiveFeedback, create_metric, give_feedback
from quintet.app.identity.accounts import create_team
from quintet.app.identity.membership import CreateTeamUser, TeamRole, create_team_user
from quintet.app.interactions.log import GivenFeedback, LogInteraction, log_interaction
from quintet.app.interactions.query import FeedbackQuery, InteractionQuery
from quintet.app.projects.manage import CreateProject, find_project
from quintet.app.projects.sharing import ShareWith, create_shared_project, share_project, shares_of
from quintet.app.serving.services import (
    AddExternalModel,
    UpdateService,
    add_external_model,
    attach_to_project,
    deploy_model,
    set_compute,
    terminate_model,
    update_service,
)
from quintet.app.uploads.sessions import (
    STALE_US,
    check_part,
    end_upload,
    find_upload,
    part_arrived,
    start_upload,
    whole_upload,
)
from quintet.blobs.opened import open_blobs
from quintet.domain.data import DatasetKind
from quintet.domain.errors import Conflict, Forbidden, Invalid, NotFound, Precondition
from quintet.domain.identity import BUILTIN_ROLES
from quintet.domain.interactions import MetricKind
from quintet.storage import identity as identity_store
from quintet.storage.database import Database
from tests.support.factories import NOW, World, make_ports, make_world, read_as, write_as


@pytest.fixture
def world(db: Database) -> World:
    made = make_world(db)
    for key, permissions in BUILTIN_ROLES.items():
        from quintet.domain.identity import Role
        from quintet.domain.ids import new_id

        role = Role(new_id(), made.space_id, key, key, permissions, NOW)
        db.write(lambda tx, role=role: identity_store.insert_role(tx, role))
    return made


def fake(db: Database, world: World, name: str = "m", **more: Any) -> Any:
    return write_as(db, world.actor, add_external_model, AddExternalModel(name, "fake", "", {}, engine="fake", **more))


# -- sharing --------------------------------------------------------------------------------------------------


def test_a_project_belongs_to_a_team_and_shares_are_replaced(db: Database, world: World) -> None:
    team = write_as(db, world.actor, create_team, "Night", "night")
    made = write_as(db, world.actor, create_shared_project, CreateProject("p"), "night")
    found = read_as(db, world.actor, shares_of, [made.id])[made.id]
    assert [(s.team_id, s.role, s.is_owner) for s in found] == [(team.id, "admin", True)]
    write_as(db, world.actor, share_project, made.id, [ShareWith("night", "annotator")])
    found = read_as(db, world.actor, shares_of, [made.id])[made.id]
    assert [(s.role, s.is_owner) for s in found] == [("annotator", False)]
    with pytest.raises(NotFound):
        write_as(db, world.actor, share_project, made.id, [ShareWith("night", "nobody")])
    with pytest.raises(Forbidden):
        write_as(db, world.as_role("read-only"), share_project, made.id, [])
    write_as(db, world.actor, share_project, made.id, [])
    assert read_as(db, world.actor, shares_of, [made.id]) == {}


def test_a_project_that_cannot_be_shared_is_not_made(db: Database, world: World) -> None:
    with pytest.raises(NotFound):
        write_as(db, world.actor, create_shared_project, CreateProject("p", "p"), "nobody")
    with pytest.raises(NotFound):
        read_as(db, world.actor, find_project, "p")


def test_a_user_in_a_team_is_made_whole_or_not_at_all(db: Database, world: World) -> None:
    write_as(db, world.actor, create_team, "Night", "night")
    with pytest.raises(NotFound):
        write_as(db, world.actor, create_team_user, CreateTeamUser("a@b.c", "A", [TeamRole("none", "member")]))
    made = write_as(db, world.actor, create_team_user, CreateTeamUser("a@b.c", "A", [TeamRole("night", "annotator")]))
    assert db.read(lambda tx: identity_store.member_role(tx, world.space_id, made.id)) == "annotator"
    lesser = replace(world.as_role("admin"), permissions=BUILTIN_ROLES["admin"] - BUILTIN_ROLES["inference"])
    with pytest.raises(Forbidden):
        write_as(db, lesser, create_team_user, CreateTeamUser("x@b.c", "X", [TeamRole("night", "admin")]))


# -- services -------------------------------------------------------------------------------------------------


def test_a_service_is_updated_only_where_something_is_said(db: Database, world: World) -> None:
    model, key = fake(db, world), world.project.key
    service = write_as(db, world.actor, attach_to_project, key, model.key, {})
    assert service.engine == "fake"
    project = read_as(db, world.actor, find_project, key)
    assert project.default_deployment_id == service.id
    same = write_as(db, world.actor, update_service, UpdateService(key, model.key))
    assert same == service
    effects: list[Effect] = []
    write_as(db, world.actor, update_service, UpdateService(key, model.key, is_default=False), effects=effects)
    assert read_as(db, world.actor, find_project, key).default_deployment_id is None
    assert "routes" in {e.kind for e in effects}
    write_as(db, world.actor, update_service, UpdateService(key, model.key, attached=False))
    with pytest.raises(Precondition):
        write_as(db, world.actor, update_service, UpdateService(key, model.key, is_default=True))
    with pytest.raises(NotFound):
        write_as(db, world.actor, update_service, UpdateService(key, "none"))


def test_a_model_that_is_attached_nowhere_serves_the_space_once_deployed(db: Database, world: World) -> None:
    model = fake(db, world, "lonely")
    (made,) = write_as(db, world.actor, deploy_model, "lonely")
    assert (made.project_id, made.model_id, made.key) == (None, model.id, "lonely")
    assert [d.id for d in write_as(db, world.actor, deploy_model, "lonely")] == [made.id]
    (off,) = write_as(db, world.actor, terminate_model, "lonely")
    assert off.desired_online is False


def test_ending_a_model_of_several_projects_needs_force(db: Database, world: World) -> None:
    model = fake(db, world)
    other = write_as(db, world.actor, create_shared_project, CreateProject("other"))
    for project in (world.project.key, other.key):
        write_as(db, world.actor, attach_to_project, project, model.key, {})
    with pytest.raises(Precondition):
        write_as(db, world.actor, terminate_model, model.key)
    assert len(write_as(db, world.actor, terminate_model, model.key, force=True)) == 2


def test_secrets_of_an_upstream_are_sealed_and_urls_checked(db: Database, world: World) -> None:
    config = {"base_url": "https://x.example/v1", "api_key": "secret"}
    made = write_as(db, world.actor, add_external_model, AddExternalModel("m", "openai", "gpt", config))
    assert made.detail["upstream"]["api_key"] == {"sealed": "sealed:secret"}
    with pytest.raises(Invalid):
        write_as(db, world.actor, add_external_model, AddExternalModel("n", "openai", "g", {"base_url": "ftp://x"}))
    with pytest.raises(Precondition):
        write_as(db, world.actor, set_compute, made.key, {"tp": 2})
    with pytest.raises(Forbidden):
        write_as(db, world.as_role("read-only"), add_external_model, AddExternalModel("o", "openai", "g", {}))


# -- uploads --------------------------------------------------------------------------------------------------


def test_an_upload_is_whole_when_every_part_is_there(db: Database, world: World) -> None:
    item = write_as(db, world.actor, start_upload, 2)
    assert read_as(db, world.actor, check_part, item.id, 1) == f"uploads/{item.id}/00001"
    for number in (2, 2):
        write_as(db, world.actor, part_arrived, item.id, number)
    with pytest.raises(Precondition, match="part 1 of 2"):
        read_as(db, world.actor, whole_upload, item.id)
    write_as(db, world.actor, part_arrived, item.id, 1)
    assert read_as(db, world.actor, whole_upload, item.id).done == (1, 2)
    with pytest.raises(Invalid):
        read_as(db, world.actor, check_part, item.id, 3)
    effects: list[Effect] = []
    assert write_as(db, world.actor, end_upload, item.id, effects=effects) is True
    assert effects[0].data["prefixes"] == (f"uploads/{item.id}",)
    assert write_as(db, world.actor, end_upload, item.id) is False


def test_an_upload_is_its_owners_and_is_forgotten_after_a_day(db: Database, world: World) -> None:
    item = write_as(db, world.actor, start_upload, 1)
    with pytest.raises(NotFound):
        read_as(db, make_world(db).actor, find_upload, item.id)
    write_as(db, world.actor, start_upload, 1, now=NOW + STALE_US)
    assert read_as(db, world.actor, find_upload, item.id).id == item.id
    write_as(db, world.actor, start_upload, 1, now=NOW + STALE_US + 1)
    with pytest.raises(NotFound):
        read_as(db, world.actor, find_upload, item.id)


# -- logged interactions and datasets -------------------------------------------------------------------------


def test_a_logged_call_is_stored_with_its_feedback_or_not_at_all(db: Database, world: World) -> None:
    model = fake(db, world)
    write_as(db, world.actor, attach_to_project, world.project.key, model.key, {})
    write_as(db, world.actor, create_metric, CreateMetric("good", "good", MetricKind.BOOL))
    call = LogInteraction(world.project.key, [{"role": "user", "content": "q"}], "a", model.key)
    logged = write_as(db, world.actor, log_interaction, replace(call, feedbacks=[GivenFeedback("good", True)]))
    assert (logged.interaction.model_id, [f.value for f in logged.feedbacks]) == (model.id, [1.0])
    with pytest.raises(NotFound):
        write_as(db, world.actor, log_interaction, replace(call, model="none"))
    with pytest.raises(NotFound):
        write_as(db, world.actor, log_interaction, replace(call, experiment="none"))


@pytest.fixture
def core(db: Database, tmp_path: Path) -> Core:
    return Core(db, make_ports(open_blobs(str(tmp_path / "blobs"))), clock=lambda: NOW)


def said(db: Database, world: World, text: str, **more: Any) -> Any:
    call = LogInteraction(world.project.key, [{"role": "user", "content": text}], text.upper(), **more)
    return write_as(db, world.actor, log_interaction, call).interaction


def test_a_dataset_of_interactions_is_larger_than_a_batch(
    db: Database, world: World, core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quintet.app.datasets.from_interactions.BATCH", 2)
    write_as(db, world.actor, create_metric, CreateMetric("good", "good", MetricKind.BOOL))
    for n in range(5):
        made = said(db, world, f"t{n}")
        if n % 2:
            write_as(db, world.actor, give_feedback, GiveFeedback("good", made.id, n == 3))
    query = InteractionQuery(world.project.key)
    wanted = FromInteractions("d", DatasetKind.PROMPT_COMPLETION, world.project.key, [query])
    made = dataset_from_interactions(core, world.actor, wanted)
    assert [r["completion"] for r in iterate_rows(core, world.actor, made.id)] == ["T0", "T1", "T2", "T3", "T4"]
    judged = replace(wanted, kind=DatasetKind.PROMPT_COMPLETION_FEEDBACK)
    rows = list(iterate_rows(core, world.actor, dataset_from_interactions(core, world.actor, judged).id))
    assert [r["feedbacks"] for r in rows] == [{"good": False}, {"good": True}]
    liked = replace(query, feedbacks=(FeedbackQuery("good", equal=1.0),))
    two = replace(wanted, chosen=[liked, replace(query, ids=(rows[0]["metadata"]["interaction_id"],))])
    assert dataset_from_interactions(core, world.actor, two).records == 2
    last = replace(wanted, sample=Sample.LAST, size=1)
    (only,) = iterate_rows(core, world.actor, dataset_from_interactions(core, world.actor, last).id)
    assert only["completion"] == "T4"


def test_a_dataset_that_fails_leaves_no_blob(db: Database, world: World, core: Core) -> None:
    said(db, world, "x")
    query = InteractionQuery(world.project.key)
    wanted = FromInteractions("d", DatasetKind.PROMPT, world.project.key, [query], key="taken")
    dataset_from_interactions(core, world.actor, wanted)
    before = [b.key for b in core.ports.blobs.list("datasets")]
    with pytest.raises(Conflict):
        dataset_from_interactions(core, world.actor, wanted)
    with pytest.raises(Invalid, match="none gives a row"):
        dataset_from_interactions(core, world.actor, replace(wanted, key=None, kind=DatasetKind.PREFERENCE))
    with pytest.raises(Forbidden):
        dataset_from_interactions(core, world.as_role("read-only"), replace(wanted, key=None))
    with pytest.raises(NotFound):
        dataset_from_interactions(core, make_world(db).actor, replace(wanted, key=None))
    assert [b.key for b in core.ports.blobs.list("datasets")] == before
