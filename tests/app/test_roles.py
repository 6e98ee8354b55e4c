"""Who may call what: every use case, every role, and every thing of another space."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from quintet.domain.identity import BUILTIN_ROLES, Permission
from quintet.storage.database import Database
from quintet.storage.tables import metadata
from tests.support.databases import sqlite_template
from tests.support.factories import World, make_world
from tests.support.use_cases import Things, UseCase, attempt, made_up, populate, use_cases

USE_CASES = list(use_cases())
NOTHING: frozenset[Permission] = frozenset()
EVERYTHING = frozenset(Permission)

STEPS = {
    "audit.note": "a line about what a use case did",
    "authz.same_space": "a check",
    "experiments.evidence.count_comparison": "after give_comparison has checked",
    "experiments.evidence.count_direct": "after give_feedback has checked",
    "identity.accounts.add_builtin_roles": "of a new space",
    "identity.accounts.admin_actor": "start-up, before anybody is known",
    "identity.accounts.bootstrap": "start-up",
    "identity.accounts.first_run": "start-up",
    "leftovers.leave": "after a use case has deleted what owned the blobs",
    "models.registry.insert_under_key": "after create_model has checked",
    "projects.collaboration.create_owned": "create_project checks, after the owner was found",
    "projects.manage.touch_project": "after a use case has changed something in it",
    "queues.entries.put_entry": "after enqueue_run has checked",
    "queues.manage.empty_queue": "after delete_queue or clear_queue has checked",
    "references.check_member": "a check",
    "references.check_project": "a check",
    "references.check_run": "a check",
    "runs.edit.check_project": "a check",
    "runs.edit.save_edited": "after edit_run has checked",
    "runs.state.drop_blobs": "after delete_run or reset_run has checked",
    "runs.state.move": "after a change of state was allowed",
    "serving.deployments.make_default": "after attach_model has checked",
    "serving.deployments.seal_config": "after create_endpoint has checked",
    "work.leases.check_attempt": "the token of the attempt is the right",
    "work.leases.heartbeat": "checks its arguments first",
    "work.workers.saw_worker": "after lease_next has checked",
}
"""Parts of use cases, that others call after their own check; with what makes that so."""

OWN = {
    "identity.accounts.create_key",
    "identity.accounts.current_user",
    "identity.accounts.list_keys",
    "identity.accounts.relabel_key",
    "identity.accounts.revoke_key",
    "identity.accounts.save_settings",
    "identity.profile.edit_profile",
    "identity.spaces.get_space",
    "identity.spaces.my_spaces",
}
"""What everybody may do with what is their own; somebody else's needs a permission (tests in test_identity.py)."""

EVERY_MEMBER = {
    "billing.usage.find_tag",
    "billing.usage.get_setting",
    "billing.usage.list_tags",
    "billing.usage.prices",
    "billing.usage.projects_by_tag",
    "identity.accounts.find_member",
    "identity.accounts.find_team",
    "identity.accounts.get_users",
    "identity.accounts.list_members",
    "identity.accounts.list_roles",
    "identity.accounts.list_teams",
    "identity.accounts.memberships",
    "identity.membership.keys_of_users",
    "identity.organisations.get_organisation",
    "identity.organisations.list_organisations",
    "projects.sharing.find_role",
}
"""What every member of a space may read: who else is there, its tags and its prices."""

NOBODY = {
    "identity.accounts.delete_user": "nobody deletes themselves",
    "references.check_blob": "of a file outside of the space",
    "work.leases.dead_runs": "the server's own",
    "work.leases.expire_lease": "the server's own",
    "work.leases.silent_runs": "the server's own",
    "work.leases.stop_silent_run": "the server's own",
    "work.workers.forget_workers": "the server's own",
}
"""What even an administrator may not do with the arguments that these tests make up."""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    return Database(f"sqlite:///{sqlite_template(tmp_path_factory.mktemp('roles'))}")


@pytest.fixture(scope="module")
def things(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Things:
    return populate(database, tmp_path_factory.mktemp("things"))


@pytest.fixture(scope="module")
def stranger(database: Database, things: Things) -> World:
    """An administrator of another space."""
    return make_world(database)


def named(use_case: UseCase) -> str:
    return use_case.name


def test_the_lists_of_exceptions_name_use_cases_that_exist() -> None:
    known = {u.name for u in USE_CASES}
    assert (STEPS.keys() | OWN | EVERY_MEMBER | NOBODY.keys()) <= known


@pytest.mark.parametrize("use_case", USE_CASES, ids=named)
def test_without_a_permission_there_is_only_what_is_listed(
    database: Database, things: Things, use_case: UseCase
) -> None:
    outcome = attempt(database, things, use_case, NOTHING)
    if use_case.name not in STEPS.keys() | OWN | EVERY_MEMBER:
        assert outcome.kind == "forbidden", outcome


@pytest.mark.parametrize("role", BUILTIN_ROLES)
def test_the_permissions_of_a_role_decide(database: Database, things: Things, role: str) -> None:
    permissions = BUILTIN_ROLES[role]
    for use_case in USE_CASES:
        if use_case.name in NOBODY:
            continue
        outcome = attempt(database, things, use_case, permissions)
        lacking = [p for p in outcome.asked if p not in permissions]
        if lacking and use_case.name not in OWN | EVERY_MEMBER:
            assert outcome.kind == "forbidden", (use_case.name, outcome)
            assert str(lacking[0]) in outcome.detail
        elif outcome.kind == "forbidden":
            told = outcome.detail.removeprefix("this needs the permission ").strip("'")
            assert Permission(told) not in permissions, (use_case.name, outcome)


def test_only_administrators_manage_people_and_see_what_others_did() -> None:
    admins_only = {"identity.accounts.create_user", "identity.accounts.create_role", "audit.list_audit"}
    for permission in (Permission.USERS_MANAGE, Permission.ROLES_MANAGE, Permission.AUDIT_READ, Permission.ADMIN):
        assert [r for r, granted in BUILTIN_ROLES.items() if permission in granted] == ["admin"]
    assert admins_only <= {u.name for u in USE_CASES}


def test_who_reads_changes_nothing(database: Database, things: Things) -> None:
    """Somebody with every right to read and none to write cannot complete a use case that writes, but of their own."""
    for use_case in USE_CASES:
        if use_case.writes and use_case.name not in STEPS.keys() | OWN:
            outcome = attempt(database, things, use_case, BUILTIN_ROLES["read-only"])
            assert outcome.kind != "done" or use_case.name in FINDS_ONLY, (use_case.name, outcome)


FINDS_ONLY = {"projects.manage.ensure_project", "queues.manage.default_queue", "feedback.manage.ensure_metric"}
"""They make what is missing, and it was not."""


FOREIGN_PIECES = {
    "models.described.describe_models": "is given models that were found",
    "projects.collaboration.with_owners": "is given projects that were found",
    "models.versions.register_version": "makes a model of its own, by that name",
}
"""What may name a thing of another space in its answer, because the caller brought it."""


@pytest.mark.parametrize("use_case", USE_CASES, ids=named)
def test_things_of_another_space_look_as_if_they_were_not_there(
    database: Database, things: Things, stranger: World, use_case: UseCase
) -> None:
    theirs = {str(v) for v in [*things.by_name.values(), *things.refs.values()]}
    arguments = made_up(use_case, things)
    if use_case.name in STEPS.keys() | FOREIGN_PIECES.keys() or not any(t in repr(arguments) for t in theirs):
        return
    before = rows_of(database, things)
    outcome = attempt(database, things, use_case, EVERYTHING, stranger)
    asked_for = repr(arguments)
    if outcome.kind == "done":
        # A list by ids: empty. What was asked for may be repeated, other things may not appear.
        told = {t for t in everything_of(database, things) if t in outcome.detail and t not in asked_for}
        assert told == set(), outcome
    else:
        assert "broken" not in outcome.kind, outcome
        assert "ada-" not in outcome.detail, outcome
    assert rows_of(database, things) == before


def rows_of(database: Database, things: Things) -> int:
    """A fingerprint of the populated space."""
    return hash(str(database.read(lambda tx: [tx.all(select(t)) for t in metadata.sorted_tables if "space_id" in t.c])))


def everything_of(database: Database, things: Things) -> set[str]:
    """The ids of all rows of the populated space."""
    space = things.world.space_id

    def work(tx):  # type: ignore[no-untyped-def]
        tables = [t for t in metadata.sorted_tables if "space_id" in t.c and "id" in t.c]
        return {str(r["id"]) for t in tables for r in tx.all(select(t.c.id).where(t.c.space_id == space))}

    return {i for i in database.read(work) if len(i) == 24}
