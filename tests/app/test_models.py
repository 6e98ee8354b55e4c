"""The registry through its use cases."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quintet.app import audit, leftovers
from quintet.app.context import Effect
from quintet.app.core import Core
from quintet.app.models import files, registry, reviews, versions
from quintet.app.models.registry import CreateModel
from quintet.app.models.reviews import Decision, UpdateReview
from quintet.app.models.versions import RegisterVersion
from quintet.blobs import open_blobs
from quintet.domain.errors import Conflict, Forbidden, Invalid, NotFound, Precondition
from quintet.domain.identity import BUILTIN_ROLES, Actor
from quintet.domain.ids import Id, Kind, new_id, to_hex32, to_uuid
from quintet.domain.models import ModelFormat, ModelKind, ReviewState
from quintet.domain.page import PageRequest
from quintet.storage import identity
from quintet.storage.database import Database
from quintet.storage.models import ModelFilter
from tests.support.factories import NOW, World, make_ports, make_run, make_world


@pytest.fixture
def core(db: Database, tmp_path: Path) -> Iterator[Core]:
    made = Core(db, make_ports(open_blobs(tmp_path / "blobs", durable=False)))
    with ThreadPoolExecutor(1) as threads:
        made.listen(leftovers.listener(made.ports, threads))
        yield made


@pytest.fixture
def world(db: Database) -> World:
    return make_world(db)


def _member(db: Database, world: World, role: str = "member") -> Actor:
    """Another user of the world's space."""
    foreign = make_world(db).actor.user_id
    db.write(lambda tx: identity.set_member(tx, world.space_id, foreign, role, NOW))
    return replace(world.actor, user_id=foreign, role=role, permissions=BUILTIN_ROLES[role])


def _make(core: Core, world: World, name: str = "My Model", **fields: Any) -> Any:
    return core.write_now(world.actor, registry.create_model, CreateModel(name, **fields))


def _register(core: Core, actor: Actor, model: str, **fields: Any) -> Any:
    return core.write_now(actor, versions.register_version, RegisterVersion(model, **fields))


# -- models -----------------------------------------------------------------------------------------------------


def test_a_model_is_found_by_every_spelling_of_it(core: Core, world: World) -> None:
    made = _make(core, world)
    assert made.key == "my-model"
    for ref in (made.id, to_hex32(made.id, Kind.MODEL), to_uuid(made.id, Kind.MODEL), "my-model", "My Model"):
        assert core.read_now(world.actor, registry.find_model, ref) == made
    for ref in (to_uuid(made.id, Kind.DATASET), "my model", new_id()):
        with pytest.raises(NotFound):
            core.read_now(world.actor, registry.find_model, ref)


def test_derived_keys_step_aside_and_given_keys_collide(core: Core, world: World) -> None:
    assert [_make(core, world).key for _ in range(3)] == ["my-model", "my-model-2", "my-model-3"]
    with pytest.raises(Conflict) as caught:
        _make(core, world, "Other", key="my-model")
    assert caught.value.field == "key"
    with pytest.raises(Conflict):
        _make(core, world, unique_name=True)
    assert core.read_now(world.actor, registry.list_models, count=True).total == 3


def test_another_space_neither_sees_nor_changes(core: Core, world: World, db: Database) -> None:
    made = _make(core, world)
    other = make_world(db).actor
    assert core.read_now(other, registry.list_models).items == []
    assert core.read_now(other, registry.get_models, [made.id]) == {}
    with pytest.raises(NotFound):
        core.write_now(other, registry.edit_model, made.id, {"name": "mine"})
    with pytest.raises(NotFound):
        core.write_now(other, registry.delete_model, made.id)
    with pytest.raises(NotFound):
        core.write_now(other, registry.create_model, CreateModel("x", parent_id=made.id))
    with pytest.raises(NotFound):
        core.write_now(other, registry.create_model, CreateModel("x", project_id=world.project.id))


def test_whoever_may_only_read_changes_nothing(core: Core, world: World) -> None:
    made = _make(core, world)
    reader = world.as_role("read-only")
    for use_case, args in (
        (registry.create_model, (CreateModel("x"),)),
        (registry.edit_model, (made.id, {"name": "x"})),
        (registry.delete_model, (made.id,)),
        (versions.register_version, (RegisterVersion(made.id),)),
        (reviews.set_project_stages, (world.project.id, ["a"])),
    ):
        with pytest.raises(Forbidden):
            core.write_now(reader, use_case, *args)  # type: ignore[arg-type]
    with pytest.raises(Forbidden):
        core.read_now(replace(reader, permissions=frozenset()), registry.find_model, made.id)


def test_fields_change_one_by_one(core: Core, world: World) -> None:
    made = _make(core, world, tags=("a",))
    changed = core.write_now(world.actor, registry.edit_model, made.id, {"description": "d", "kind": ModelKind.REWARD})
    assert (changed.description, changed.kind, changed.tags) == ("d", ModelKind.REWARD, ("a",))
    for field in ("id", "latest_version", "nonsense"):
        with pytest.raises(Invalid) as caught:
            core.write_now(world.actor, registry.edit_model, made.id, {field: 1, "description": "no"})
        assert caught.value.field == field
    assert core.read_now(world.actor, registry.find_model, made.id).description == "d"


def test_the_archived_flag_and_its_system_tag_agree(core: Core, world: World) -> None:
    made = _make(core, world, system_tags=("x",))
    archived = core.write_now(world.actor, registry.archive_model, made.id)
    assert (archived.archived, archived.system_tags) == (True, ("x", "archived"))
    back = core.write_now(world.actor, registry.edit_model, made.id, {"system_tags": ("x",)})
    assert back.archived is False


def test_a_published_model_keeps_what_defines_it(core: Core, world: World) -> None:
    made = _make(core, world, uri="s3://a")
    core.write_now(world.actor, registry.publish_model, made.id)
    with pytest.raises(Precondition) as caught:
        core.write_now(world.actor, registry.edit_model, made.id, {"uri": "s3://b"})
    assert caught.value.field == "uri"
    core.write_now(world.actor, registry.edit_model, made.id, {"uri": "s3://a", "name": "New"})
    with pytest.raises(Precondition):
        core.write_now(world.actor, registry.publish_model, made.id)
    with pytest.raises(Precondition):
        core.write_now(world.actor, registry.delete_model, made.id)
    core.write_now(world.actor, registry.delete_model, made.id, force=True)


def test_metadata_entries_are_set_and_removed_singly(core: Core, world: World) -> None:
    made = _make(core, world, metadata={"a": 1, "b": 2})
    changed = core.write_now(world.actor, registry.edit_metadata, made.id, {"c": 3}, remove=["a"])
    assert changed.metadata == {"b": 2, "c": 3}
    changed = core.write_now(world.actor, registry.edit_metadata, made.id, {"d": 4}, replace_all=True)
    assert changed.metadata == {"d": 4}


def test_a_bad_pattern_or_order_is_the_callers_fault(core: Core, world: World) -> None:
    with pytest.raises(Invalid):
        core.read_now(world.actor, registry.list_models, ModelFilter(name_pattern="("))
    with pytest.raises(Invalid):
        core.read_now(world.actor, registry.list_models, order="description")
    with pytest.raises(Invalid):
        core.read_now(world.actor, registry.list_models, None, PageRequest(after="bm9uc2Vuc2U"))


def test_listeners_hear_of_a_model_only_when_it_was_made(core: Core, world: World) -> None:
    heard: list[Effect] = []
    core.listen(heard.append)
    made = _make(core, world, key="k")
    with pytest.raises(Conflict):
        _make(core, world, key="k")
    assert [(e.kind, e.subject) for e in heard] == [("model", made.id)]
    entries = core.read_now(world.actor, audit.list_audit, kind="model").items
    assert [(e.action, e.subject_id, e.user_id) for e in entries] == [("model.create", made.id, world.actor.user_id)]
    with pytest.raises(Forbidden):
        core.read_now(world.as_role("member"), audit.list_audit)


# -- versions and files ---------------------------------------------------------------------------------------


def test_registering_makes_the_model_and_counts_its_versions(core: Core, world: World, db: Database) -> None:
    run = make_run(db, world)
    fields = {"run_id": run.id, "metrics": {"loss": 0.5}, "project_id": world.project.id}
    model, first = _register(core, world.actor, "New One", **fields)
    again, second = _register(core, world.actor, "New One")
    assert (model.key, first.number, first.run_id, first.metrics) == ("new-one", 1, run.id, {"loss": 0.5})
    assert (again.id, second.number, again.latest_version, again.run_id) == (model.id, 2, 2, run.id)
    page = core.read_now(world.actor, versions.list_versions, "new-one", PageRequest(limit=1), descending=True)[1]
    assert [v.number for v in page.items] == [2]
    assert core.read_now(world.actor, versions.get_version, model.id)[1] == second
    assert core.read_now(world.actor, versions.find_version, to_uuid(first.id, Kind.VERSION)) == (again, first)
    with pytest.raises(NotFound):
        _register(core, world.actor, "Absent", create=False)
    with pytest.raises(NotFound):
        core.read_now(world.actor, versions.get_version, model.id, 3)


def test_a_run_that_is_tried_again_registers_its_files_once(core: Core, world: World, db: Database) -> None:
    run = make_run(db, world)
    fields = {"run_id": run.id, "blob_prefix": f"runs/{run.id}/model"}
    _register(core, world.actor, "m", **fields, files={"w": {"size": 1}})
    model, again = _register(core, world.actor, "m", **fields, files={"w": {"size": 2}}, metrics={"loss": 1.0})
    assert (again.number, again.size, again.metrics) == (1, 2, {"loss": 1.0})
    assert core.read_now(world.actor, versions.get_version, model.id)[1] == again
    assert _register(core, world.actor, "m", run_id=run.id, blob_prefix=f"runs/{run.id}/other")[1].number == 2


def test_many_threads_register_under_one_new_name_without_a_double_number(core: Core, world: World) -> None:
    def register(_: int) -> tuple[Id, int]:
        model, version = _register(core, world.actor, "Contended")
        return model.id, version.number

    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(register, range(24)))
    assert len({model for model, _ in made}) == 1
    assert sorted(number for _, number in made) == list(range(1, 25))
    assert core.read_now(world.actor, registry.find_model, "Contended").latest_version == 24


def test_a_deleted_version_gives_its_number_to_nobody(core: Core, world: World) -> None:
    for _ in range(2):
        model, _version = _register(core, world.actor, "m")
    core.write_now(world.actor, versions.delete_version, model.id, 2)
    assert _register(core, world.actor, "m")[1].number == 3
    assert core.read_now(world.actor, versions.latest_versions, [model.id])[model.id].number == 3


def test_files_and_metrics_that_make_no_sense_are_refused(core: Core, world: World) -> None:
    bad: list[tuple[str, dict[str, Any]]] = [
        ("files", {"files": {"../x": {"size": 1}}}),
        ("files", {"files": {"/x": {"size": 1}}}),
        ("files", {"files": {"x": {"size": -1}}}),
        ("metrics", {"metrics": {"loss": float("nan")}}),
        ("backbone", {"format": ModelFormat.ADAPTER}),
        ("backbone", {"backbone": "x"}),
    ]
    for field, fields in bad:
        with pytest.raises(Invalid) as caught:
            _register(core, world.actor, "m", **fields)
        assert caught.value.field == field
    assert core.read_now(world.actor, registry.list_models).items == []


def test_a_version_cannot_name_the_files_of_another_space(core: Core, world: World, db: Database) -> None:
    other = make_world(db)
    for prefix in (files.new_prefix(other.space_id), f"runs/{make_run(db, other).id}/model", "models"):
        with pytest.raises(Forbidden):
            _register(core, world.actor, "m", blob_prefix=prefix)
    _register(core, world.actor, "m", blob_prefix=f"runs/{make_run(db, world).id}/model")


def test_a_runs_token_registers_for_that_run_alone(core: Core, world: World, db: Database) -> None:
    mine, other = make_run(db, world), make_run(db, world)
    token = replace(world.as_role("worker"), run_id=mine.id)
    assert _register(core, token, "out", run_id=mine.id)[1].run_id == mine.id
    for run_id in (other.id, None):
        with pytest.raises(Forbidden):
            _register(core, token, "out", run_id=run_id)
    with pytest.raises(Forbidden):
        _register(core, replace(world.actor, run_id=mine.id), "out", run_id=other.id)


def test_an_adapters_files_lead_to_the_backbone_it_was_trained_on(core: Core, world: World) -> None:
    def upload(name: str) -> dict[str, Any]:
        prefix = files.new_prefix(world.space_id)
        core.ports.blobs.put(f"{prefix}/{name}", b"weights")
        return {"blob_prefix": prefix, "files": files.files_under(core.ports, prefix)}

    base, _ = _register(core, world.actor, "base", **upload("model.safetensors"))
    adapter, _ = _register(
        core, world.actor, "tuned", format=ModelFormat.ADAPTER, backbone="base", **upload("adapter.safetensors")
    )
    _register(core, world.actor, "base", **upload("model.safetensors"))
    found = core.read_now(world.actor, files.model_files, "tuned")
    assert (found.format, found.weights) == (ModelFormat.ADAPTER, f"{adapter.id}:1")
    assert found.backbone is not None
    assert (found.backbone.weights, found.backbone.version.size) == (f"{base.id}:1", 7)
    assert found.path is not None
    assert (found.path / "adapter.safetensors").read_bytes() == b"weights"
    assert core.ports.blobs.get(found.keys["adapter.safetensors"]) == b"weights"
    with pytest.raises(Precondition):
        core.write_now(world.actor, registry.delete_model, "base", force=True)
    with pytest.raises(Precondition):
        core.write_now(world.actor, versions.delete_version, "base", 1)
    core.write_now(world.actor, versions.delete_version, "base", 2)
    _make(core, world, "Record only")
    with pytest.raises(NotFound):
        core.read_now(world.actor, files.model_files, "Record only")


def test_deleting_a_model_takes_its_files_but_not_those_that_others_name(core: Core, world: World) -> None:
    shared, own = files.new_prefix(world.space_id), files.new_prefix(world.space_id)
    for prefix in (shared, own):
        core.ports.blobs.put(f"{prefix}/f", b"x")
    threads = ThreadPoolExecutor(1)
    core.listen(leftovers.listener(core.ports, threads))
    for name, prefix in (("a", shared), ("b", shared), ("a", own)):
        _register(core, world.actor, name, blob_prefix=prefix)
    core.write_now(world.actor, registry.delete_model, "a")
    threads.shutdown(wait=True)
    assert [b.key for b in core.ports.blobs.list("")] == [f"{shared}/f"]


# -- stages and reviews ---------------------------------------------------------------------------------------


def test_a_project_has_its_own_stages_until_it_gives_them_up(core: Core, world: World) -> None:
    project = world.project.id
    assert core.read_now(world.actor, reviews.project_stages, project)[-1] == "Archived"
    assert core.read_now(world.actor, reviews.project_stages, project, include_defaults=False) == ()
    core.write_now(world.actor, reviews.set_project_stages, project, ["Dev", "Live"])
    _register(core, world.actor, "m", project_id=project)
    with pytest.raises(Invalid):
        core.write_now(world.actor, reviews.transition_stage, "m", 1, "Production")
    assert core.write_now(world.actor, reviews.transition_stage, "m", 1, "Live").stage == "Live"
    assert core.write_now(world.actor, reviews.transition_stage, "m", 1, "None").stage == "None"
    with pytest.raises(Invalid):
        core.write_now(world.actor, reviews.set_project_stages, project, ["a", "a"])
    core.write_now(world.actor, reviews.set_project_stages, project, [])
    assert "Production" in core.read_now(world.actor, reviews.project_stages, project)


def test_moving_in_can_archive_those_that_were_there(core: Core, world: World) -> None:
    for number in (1, 2):
        _register(core, world.actor, "m")
        core.write_now(world.actor, reviews.transition_stage, "m", number, "Production", archive_others=True)
    found = core.read_now(world.actor, versions.list_versions, "m")[1].items
    assert [v.stage for v in found] == ["Archived", "Production"]


def test_a_stage_is_closed_until_every_reviewer_approves(core: Core, world: World, db: Database) -> None:
    _register(core, world.actor, "m")
    one, two = _member(db, world), _member(db, world)
    asked = core.write_now(
        world.actor, reviews.request_review, "m", 1, "Production", [one.user_id, two.user_id, one.user_id], "please"
    )
    assert asked.reviewers == (one.user_id, two.user_id)

    def refused() -> None:
        with pytest.raises(Precondition):
            core.read_now(world.actor, reviews.validate_stage, "m", 1, "Production")
        with pytest.raises(Precondition):
            core.write_now(world.actor, reviews.transition_stage, "m", 1, "Production")

    def answer(who: Actor, decision: Decision) -> ReviewState:
        return core.write_now(who, reviews.respond_review, "m", 1, asked.id, decision).state

    refused()
    core.read_now(world.actor, reviews.validate_stage, "m", 1, "Staging")
    assert answer(one, Decision.APPROVED) is ReviewState.OPEN
    refused()
    assert answer(two, Decision.CHANGES_REQUESTED) is ReviewState.CHANGES_REQUESTED
    refused()
    assert answer(two, Decision.APPROVED) is ReviewState.APPROVED
    assert core.write_now(world.actor, reviews.transition_stage, "m", 1, "Production").stage == "Production"
    with pytest.raises(Precondition):
        answer(two, Decision.CHANGES_REQUESTED)
    actions = [e.action for e in core.read_now(world.actor, audit.list_audit, kind="review").items]
    assert actions == ["review.respond"] * 3 + ["review.request"]


def test_only_reviewers_and_administrators_answer(core: Core, world: World, db: Database) -> None:
    _register(core, world.actor, "m")
    reviewer, stranger = _member(db, world), _member(db, world)
    asked = core.write_now(world.actor, reviews.request_review, "m", 1, "Production", [reviewer.user_id])
    with pytest.raises(Forbidden):
        core.write_now(stranger, reviews.respond_review, "m", 1, asked.id, Decision.APPROVED)
    with pytest.raises(Forbidden):
        core.write_now(stranger, reviews.update_review, "m", 1, asked.id, UpdateReview(cancel=True))
    done = core.write_now(world.actor, reviews.respond_review, "m", 1, asked.id, Decision.APPROVED)
    assert done.state is ReviewState.APPROVED


def test_a_review_is_asked_for_once_and_sensibly(core: Core, world: World, db: Database) -> None:
    _register(core, world.actor, "m")
    reviewer = _member(db, world).user_id
    ask = lambda stage, people: core.write_now(world.actor, reviews.request_review, "m", 1, stage, people)  # noqa: E731
    for stage, people, field in (
        ("Nowhere", [reviewer], "target_stage"),
        ("None", [reviewer], "target_stage"),
        ("Production", [], "reviewers"),
        ("Production", [make_world(db).actor.user_id], "reviewers"),
    ):
        with pytest.raises(Invalid) as caught:
            ask(stage, people)
        assert caught.value.field == field
    assert core.read_now(world.actor, reviews.review_stages, "m", 1) == ("Staging", "Production", "Archived")
    ask("Production", [reviewer])
    assert core.read_now(world.actor, reviews.review_stages, "m", 1) == ()
    with pytest.raises(Conflict):
        ask("Staging", [reviewer])


def test_a_review_is_changed_or_cancelled_but_not_both(core: Core, world: World, db: Database) -> None:
    _register(core, world.actor, "m")
    one, two = _member(db, world), _member(db, world)
    asked = core.write_now(world.actor, reviews.request_review, "m", 1, "Production", [one.user_id, two.user_id])
    update = lambda **f: core.write_now(world.actor, reviews.update_review, "m", 1, asked.id, UpdateReview(**f))  # noqa: E731
    for fields in ({"cancel": True, "reviewers": (one.user_id,)}, {}):
        with pytest.raises(Invalid):
            update(**fields)
    core.write_now(one, reviews.respond_review, "m", 1, asked.id, Decision.APPROVED)
    assert update(notes="n").notes == "n"
    assert update(reviewers=(one.user_id,)).state is ReviewState.APPROVED
    with pytest.raises(Precondition):
        update(cancel=True)
    again = core.write_now(world.actor, reviews.request_review, "m", 1, "Production", [two.user_id])
    gone = core.write_now(world.actor, reviews.update_review, "m", 1, again.id, UpdateReview(cancel=True, notes="no"))
    assert (gone.state, gone.notes) == (ReviewState.CANCELLED, "no")
    assert [r.id for r in core.read_now(world.actor, reviews.list_reviews, "m", 1)] == [again.id, asked.id]
    _register(core, world.actor, "m")
    with pytest.raises(NotFound):
        core.read_now(world.actor, reviews.find_review, "m", 2, asked.id)
