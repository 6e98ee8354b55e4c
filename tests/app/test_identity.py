"""Accounts: the first start, users and their keys, teams, roles, and that one space knows nothing of another."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
from sqlalchemy import select

from quintet.app.core import Core
from quintet.app.identity import accounts, profile, spaces
from quintet.app.identity.accounts import SYSTEM, CreateUser
from quintet.app.identity.authenticate import RUN_PERMISSIONS, Authenticator, Credentials, hash_secret
from quintet.domain.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from quintet.domain.identity import BUILTIN_ROLES, Actor, Permission
from quintet.storage import tables
from quintet.storage.database import Database
from tests.support.factories import World, make_ports, make_run, make_world, read_as, write_as


@pytest.fixture
def world(db: Database) -> World:
    return make_world(db)


def doorman(db: Database, open_actor: Actor | None = None) -> Authenticator:
    return Authenticator(Core(db, make_ports()), b"a secret of this server", open_actor)


def enter(door: Authenticator, key: str | None = None, **pair: str) -> Actor:
    return asyncio.run(door.authenticate(Credentials(key, **pair)))


def add_user(db: Database, world: World, email: str = "ann@example.org", role: str = "member") -> str:
    return write_as(db, world.actor, accounts.create_user, CreateUser(email, "Ann", role)).email


# -- the first start ------------------------------------------------------------------------------------------------


def test_the_first_start_makes_a_space_an_administrator_and_one_key(db: Database) -> None:
    first = write_as(db, SYSTEM, accounts.bootstrap)
    assert first.key is not None
    actor = enter(doorman(db), first.key.key)
    assert (actor.role, actor.permissions) == ("admin", frozenset(Permission))
    assert actor.space_id == first.space.id
    assert {r.key for r in read_as(db, actor, accounts.list_roles)} == set(BUILTIN_ROLES)
    again = write_as(db, SYSTEM, accounts.bootstrap)
    assert (again.space.id, again.admin.id, again.key) == (first.space.id, first.admin.id, None)
    assert len(read_as(db, actor, accounts.list_keys)) == 1


def test_before_the_first_start_there_is_nobody_to_act_as(db: Database) -> None:
    for use_case in (accounts.first_run, accounts.admin_actor):
        with pytest.raises(NotFound, match="quintet up"):
            read_as(db, SYSTEM, use_case)


# -- keys -----------------------------------------------------------------------------------------------------------


def test_a_key_opens_in_both_spellings_and_only_its_hash_is_kept(db: Database, world: World) -> None:
    key = write_as(db, world.actor, accounts.create_key, "laptop")
    door = doorman(db)
    assert enter(door, key.key).user_id == world.actor.user_id
    assert enter(door, access_key=key.access_key, secret_key=key.secret_key).key_id == key.record.id
    rows = db.read(lambda tx: tx.all(select(tables.api_keys)))
    assert [r["secret_hash"] for r in rows] == [hash_secret(key.secret_key)]
    assert key.secret_key not in str(rows)


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda k: "",
        lambda k: k[:-1],
        lambda k: k + "x",
        lambda k: k.lower(),
        lambda k: k.replace("qk_", ""),
        lambda k: k.partition(".")[0],
        lambda k: "qk_.",
        lambda k: "Bearer " + k,
        lambda k: "\x00",
        lambda k: "\udcff",
        lambda k: "x" * 100_000,
    ],
)
def test_what_is_not_quite_the_key_is_refused(sqlite_db: Database, spoilt: object) -> None:
    world = make_world(sqlite_db)
    key = write_as(sqlite_db, world.actor, accounts.create_key)
    with pytest.raises(Unauthenticated):
        enter(doorman(sqlite_db), spoilt(key.key))  # type: ignore[operator]


def test_a_revoked_key_is_refused_at_once_in_the_process_that_revoked_it(db: Database, world: World) -> None:
    core = Core(db, make_ports())
    door = Authenticator(core, b"x")
    key = write_as(db, world.actor, accounts.create_key)
    assert enter(door, key.key)
    core.write_now(world.actor, accounts.revoke_key, key.access_key)
    with pytest.raises(Unauthenticated, match="revoked"):
        enter(door, key.key)


def test_keys_are_ones_own_unless_one_manages_users(db: Database, world: World) -> None:
    add_user(db, world)
    hers = write_as(db, world.actor, accounts.create_key, "hers", "ann@example.org")
    ann = enter(doorman(db), hers.key)
    assert ann.role == "member"
    mine = write_as(db, world.actor, accounts.create_key, "mine")
    assert [k.label for k in read_as(db, ann, accounts.list_keys)] == ["hers"]
    for use_case, arguments in (
        (accounts.list_keys, (True,)),
        (accounts.create_key, ("for the boss", world.actor.email)),
        (accounts.revoke_key, (mine.access_key,)),
        (accounts.relabel_key, (mine.access_key, "stolen")),
    ):
        with pytest.raises(Forbidden):
            write_as(db, ann, use_case, *arguments)
    write_as(db, ann, accounts.relabel_key, hers.access_key, "still hers")
    write_as(db, ann, accounts.revoke_key, hers.access_key)
    labels = {k.label: k.revoked_at for k in read_as(db, world.actor, accounts.list_keys, True)}
    assert labels["mine"] is None
    assert labels["still hers"] is not None


def test_a_key_of_a_deleted_user_ends_and_the_address_is_free_again(db: Database, world: World) -> None:
    add_user(db, world)
    key = write_as(db, world.actor, accounts.create_key, "", "ann@example.org")
    write_as(db, world.actor, accounts.delete_user, "ann@example.org")
    with pytest.raises(Unauthenticated):
        enter(doorman(db), key.key)
    assert [m.user.id for m in read_as(db, world.actor, accounts.list_members)] == [world.actor.user_id]
    add_user(db, world)


def test_nobody_deletes_themselves(db: Database, world: World) -> None:
    with pytest.raises(Forbidden, match="your own account"):
        write_as(db, world.actor, accounts.delete_user, world.actor.email)


# -- tokens ---------------------------------------------------------------------------------------------------------


def test_a_token_is_taken_only_as_it_was_signed_and_in_its_time(db: Database, world: World) -> None:
    door = doorman(db)
    claims: dict[str, object] = {"user": world.actor.user_id, "space": world.space_id, "exp": int(time.time()) + 60}
    token = door.sign_token(claims)
    assert enter(door, token).user_id == world.actor.user_id
    head, body, signature = token.split(".")
    late = door.sign_token({**claims, "exp": int(time.time()) - 1})
    nobody = door.sign_token({"exp": claims["exp"]})
    other = Authenticator(Core(db, make_ports()), b"another server").sign_token(claims)
    for wrong in (late, nobody, other, f"{head}.{body}.", f"{head}.{body}.{signature[:-2]}AA", f"{head}..{signature}"):
        with pytest.raises(Unauthenticated):
            enter(door, wrong)


def test_the_token_of_a_run_may_do_what_a_run_needs_and_no_more(db: Database, world: World) -> None:
    run = make_run(db, world)
    door = doorman(db)
    actor = enter(door, door.run_token(run.id, world.actor.user_id, world.space_id, 60))
    assert (actor.run_id, actor.permissions) == (run.id, RUN_PERMISSIONS)
    with pytest.raises(Forbidden, match="token of a run"):
        write_as(db, actor, accounts.create_key, "for later")


def test_a_run_of_somebody_with_few_rights_has_no_more_than_they_have(db: Database, world: World) -> None:
    add_user(db, world, role="read-only")
    ann = read_as(db, world.actor, accounts.find_member, "ann@example.org")
    door = doorman(db)
    actor = enter(door, door.run_token(make_run(db, world).id, ann.id, world.space_id, 60))
    assert actor.permissions <= BUILTIN_ROLES["read-only"]


def test_without_sign_in_everybody_is_the_administrator_but_runs_stay_runs(db: Database, world: World) -> None:
    door = doorman(db, world.actor)
    assert enter(door).role == enter(door, "anything").role == "admin"
    run = make_run(db, world)
    token = door.run_token(run.id, world.actor.user_id, world.space_id, 60)
    assert enter(door, token).run_id == run.id


# -- users, teams, roles --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("email", ["", "ann", "ann@", "@x.org", "a b@x.org", "a@x\n.org", "a" * 320 + "@x.org"])
def test_an_e_mail_address_must_look_like_one(sqlite_db: Database, email: str) -> None:
    world = make_world(sqlite_db)
    with pytest.raises(Invalid) as caught:
        write_as(sqlite_db, world.actor, accounts.create_user, CreateUser(email))
    assert caught.value.field == "email"


def test_an_e_mail_address_is_one_users(db: Database, world: World) -> None:
    add_user(db, world)
    with pytest.raises(Conflict):
        add_user(db, world)


def test_a_role_of_ones_own_grants_what_it_says(db: Database, world: World) -> None:
    grants = ["use_case:read", "model:infer"]
    role = write_as(db, world.actor, accounts.create_role, "Asks only", grants)
    assert role.key == "asks-only"
    add_user(db, world, role=role.key)
    key = write_as(db, world.actor, accounts.create_key, "", "ann@example.org")
    assert enter(doorman(db), key.key).permissions == {Permission.PROJECT_READ, Permission.INFER}
    with pytest.raises(Conflict):
        write_as(db, world.actor, accounts.create_role, "Asks only", grants)
    with pytest.raises(Invalid, match="fly:high"):
        write_as(db, world.actor, accounts.create_role, "Pilot", ["fly:high"])


def test_nobody_makes_a_role_with_more_than_their_own_rights(db: Database, world: World) -> None:
    limited = replace(world.actor, permissions=frozenset({Permission.ROLES_MANAGE, Permission.RUN_READ}))
    with pytest.raises(Forbidden, match="that you do not have"):
        write_as(db, limited, accounts.create_role, "Boss", [str(p) for p in Permission])


def test_teams_have_members_with_roles(db: Database, world: World) -> None:
    add_user(db, world)
    team = write_as(db, world.actor, accounts.create_team, "Blue Team")
    assert team.key == "blue-team"
    write_as(db, world.actor, accounts.set_team_member, "ann@example.org", "blue-team", "member")
    write_as(db, world.actor, accounts.set_team_member, "ann@example.org", team.id, "annotator")
    assert [(t.key, role) for _, t, role in read_as(db, world.actor, accounts.memberships)] == [("blue-team", "annotator")]
    write_as(db, world.actor, accounts.remove_team_member, "ann@example.org", "blue-team")
    assert read_as(db, world.actor, accounts.memberships) == []
    with pytest.raises(Conflict):
        write_as(db, world.actor, accounts.create_team, "Blue Team")
    with pytest.raises(Invalid, match="'king' is no role"):
        write_as(db, world.actor, accounts.set_team_member, "ann@example.org", "blue-team", "king")


def test_settings_are_the_users_own(db: Database, world: World) -> None:
    write_as(db, world.actor, accounts.save_settings, {"theme": "dark"})
    assert read_as(db, world.actor, accounts.current_user).settings == {"theme": "dark"}
    user = write_as(db, world.actor, profile.edit_profile, "Grace", "Hopper", "developer")
    assert (user.name, user.settings["theme"]) == ("Grace Hopper", "dark")
    with pytest.raises(Invalid) as caught:
        write_as(db, world.actor, profile.edit_profile, None, None, "emperor")
    assert caught.value.field == "role"


def test_one_space_knows_nothing_of_another(db: Database, world: World) -> None:
    stranger = make_world(db).actor
    add_user(db, world)
    team = write_as(db, world.actor, accounts.create_team, "Blue Team")
    key = write_as(db, world.actor, accounts.create_key)
    assert [m.user.id for m in read_as(db, stranger, accounts.list_members)] == [stranger.user_id]
    assert read_as(db, stranger, accounts.list_teams) == []
    assert read_as(db, stranger, accounts.list_keys, True) == []
    assert [s.id for s in read_as(db, stranger, spaces.my_spaces)] == [stranger.space_id]
    for use_case, arguments in (
        (accounts.find_member, ("ann@example.org",)),
        (accounts.find_team, (team.id,)),
        (accounts.delete_user, ("ann@example.org",)),
        (accounts.create_key, ("", "ann@example.org")),
        (accounts.revoke_key, (key.access_key,)),
        (accounts.relabel_key, (key.access_key, "stolen")),
        (accounts.set_team_member, (stranger.email, team.id, "member")),
        (spaces.edit_space, (world.space_id, "taken over", None)),
    ):
        with pytest.raises(NotFound):
            write_as(db, stranger, use_case, *arguments)


def test_a_key_belongs_to_one_space(db: Database, world: World) -> None:
    key = write_as(db, world.actor, accounts.create_key)
    make_world(db)
    assert enter(doorman(db), key.key).space_id == world.space_id
