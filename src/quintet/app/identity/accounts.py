"""Accounts: the first start, users, keys, teams and roles."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from quintet.app.authz import authorize
from quintet.app.context import Ctx, Effect
from quintet.app.identity.authenticate import KEY_PREFIX, actor_of, hash_secret, new_key_parts, one_string
from quintet.domain.errors import Conflict, Forbidden, Invalid, NotFound
from quintet.domain.identity import BUILTIN_ROLES, Actor, ApiKey, IssuedKey, Permission, Role, Space, Team, User
from quintet.domain.ids import Id, new_id
from quintet.domain.projects import check_name, slug
from quintet.storage import identity as store
from quintet.storage.tx import ReadTx, WriteTx

SEAL_CHECK = "seal_check"
"""The setting that holds its own name, sealed: it opens with the right secret key only."""

_EMAIL = re.compile(r"^[^@\s]+@[^@\s]+$")
SYSTEM = Actor(Id("0" * 24), Id("0" * 24), frozenset(Permission), "system", "system@quintet", "admin")
"""The actor of start-up and of background work; it holds every permission and belongs to no space."""


@dataclass(frozen=True, slots=True)
class FirstRun:
    """What a fresh server made. `key` is None where the server had been started before."""

    space: Space
    admin: User
    key: IssuedKey | None


def bootstrap(ctx: Ctx[WriteTx]) -> FirstRun:
    """Makes the first space, its roles, an administrator with a random key; or finds the ones that are there."""
    if store.first_space(ctx.tx) is not None:
        if store.get_setting(ctx.tx, "", SEAL_CHECK) is None:
            store.put_setting(ctx.tx, "", SEAL_CHECK, ctx.ports.sealer.seal(SEAL_CHECK), ctx.now)
        return first_run(ctx)
    store.put_setting(ctx.tx, "", SEAL_CHECK, ctx.ports.sealer.seal(SEAL_CHECK), ctx.now)
    space = Space(new_id(), "Default", "", ctx.now, updated_at=ctx.now)
    store.insert_space(ctx.tx, space)
    add_builtin_roles(ctx, space.id)
    admin = User(new_id(), "admin@quintet.local", "Admin", ctx.now)
    store.insert_user(ctx.tx, admin)
    store.set_member(ctx.tx, space.id, admin.id, "admin", ctx.now)
    store.insert_team(ctx.tx, Team(new_id(), space.id, "admin", "Admins", ctx.now))
    store.insert_team(ctx.tx, team := Team(new_id(), space.id, "default", "Default", ctx.now))
    store.set_team_member(ctx.tx, team.id, admin.id, "admin")
    return FirstRun(space, admin, _issue(ctx, admin.id, space.id, "first-run key"))


def first_run(ctx: Ctx[ReadTx]) -> FirstRun:
    """What `bootstrap` made at an earlier start; NotFound before the first.

    Unavailable where the server's secret key is not the one that sealed what lies here: found at the start, that
    is one clear line, and later a connector that fails for no visible reason.
    """
    space = store.first_space(ctx.tx)
    if space is None:
        raise NotFound("this data folder has not been used yet; run `quintet up` first")
    sealed = store.get_setting(ctx.tx, "", SEAL_CHECK)
    if sealed is not None:
        ctx.ports.sealer.unseal(str(sealed))
    admin = next(m.user for m in store.members_of(ctx.tx, space.id) if m.role == "admin")
    return FirstRun(space, admin, None)


def add_builtin_roles(ctx: Ctx[WriteTx], space_id: Id) -> None:
    """Gives a new space its roles, so that lists show them beside those that people add."""
    for key, permissions in BUILTIN_ROLES.items():
        store.insert_role(ctx.tx, Role(new_id(), space_id, key, key.replace("-", " ").title(), permissions, ctx.now))


def admin_actor(ctx: Ctx[ReadTx]) -> Actor:
    """The administrator of the first space: who a local command line, or a server without sign-in, acts as."""
    found = first_run(ctx)
    return actor_of(ctx.tx, found.admin.id, found.space.id)


@dataclass(frozen=True, slots=True)
class CreateUser:
    email: str
    name: str = ""
    role: str = "member"


def create_user(ctx: Ctx[WriteTx], cmd: CreateUser) -> User:
    """Adds a user to the actor's space; Conflict where the e-mail is taken, Invalid for an unknown role."""
    authorize(ctx, Permission.USERS_MANAGE)
    if not _EMAIL.match(cmd.email) or len(cmd.email) > 320:
        raise Invalid("'email' must be an e-mail address", field="email")
    name = check_name(cmd.name or cmd.email.split("@")[0])
    _known_role(ctx, cmd.role)
    if store.user_by_email(ctx.tx, cmd.email) is not None:
        raise Conflict(f"a user with the e-mail '{cmd.email}' is there already", field="email")
    user = User(new_id(), cmd.email, name, ctx.now)
    store.insert_user(ctx.tx, user)
    store.set_member(ctx.tx, ctx.actor.space_id, user.id, cmd.role, ctx.now)
    return user


def _known_role(ctx: Ctx[ReadTx], role: str) -> None:
    if role not in BUILTIN_ROLES and store.role_by_key(ctx.tx, ctx.actor.space_id, role) is None:
        known = sorted({*BUILTIN_ROLES, *(r.key for r in store.roles_of(ctx.tx, ctx.actor.space_id))})
        raise Invalid(f"'{role}' is no role; there are: {', '.join(known)}", field="role")


def find_member(ctx: Ctx[ReadTx], id_or_email: str) -> User:
    """A user of the actor's space by id or e-mail."""
    user = store.find_user(ctx.tx, Id(id_or_email)) or store.user_by_email(ctx.tx, id_or_email)
    if user is None or store.member_role(ctx.tx, ctx.actor.space_id, user.id) is None:
        raise NotFound.of("user", id_or_email)
    return user


def list_members(ctx: Ctx[ReadTx]) -> list[store.Membership]:
    """Every user of the actor's space with the role held there."""
    return store.members_of(ctx.tx, ctx.actor.space_id)


def get_users(ctx: Ctx[ReadTx], ids: Sequence[Id]) -> dict[Id, User]:
    """Users by id, as far as they are members of the actor's space."""
    mine = {m.user.id for m in store.members_of(ctx.tx, ctx.actor.space_id)}
    return {i: u for i, u in store.get_users(ctx.tx, list(ids)).items() if i in mine}


def current_user(ctx: Ctx[ReadTx]) -> User:
    user = store.find_user(ctx.tx, ctx.actor.user_id)
    if user is None:
        raise NotFound.of("user", ctx.actor.user_id)
    return user


def save_settings(ctx: Ctx[WriteTx], settings: dict[str, object]) -> User:
    """Replaces the caller's own preferences."""
    user = replace(current_user(ctx), settings=settings)
    store.save_user(ctx.tx, user)
    return user


def delete_user(ctx: Ctx[WriteTx], id_or_email: str) -> User:
    """Takes a user out of the space and disables the account; nobody deletes themselves."""
    authorize(ctx, Permission.USERS_MANAGE)
    user = find_member(ctx, id_or_email)
    if user.id == ctx.actor.user_id:
        raise Forbidden("you cannot delete your own account")
    store.remove_member(ctx.tx, ctx.actor.space_id, user.id)
    store.save_user(ctx.tx, replace(user, disabled=True, email=f"{user.id}+{user.email}"))
    ctx.after_commit(Effect("identity", user.id))
    return user


# -- keys -----------------------------------------------------------------------------------------------------


def _issue(ctx: Ctx[WriteTx], user_id: Id, space_id: Id, label: str) -> IssuedKey:
    access, secret = new_key_parts()
    key = ApiKey(new_id(), user_id, space_id, access, f"{KEY_PREFIX}{access[:6]}", label, ctx.now)
    store.insert_key(ctx.tx, key, hash_secret(secret))
    return IssuedKey(one_string(access, secret), access, secret, key)


def create_key(ctx: Ctx[WriteTx], label: str = "", user: str | None = None) -> IssuedKey:
    """A new key, for the actor or (with the right to manage users) for another member. Shown this once."""
    owner = ctx.actor.user_id
    if ctx.actor.run_id is not None:
        raise Forbidden("the token of a run cannot make keys")
    if user is not None:
        found = find_member(ctx, user)
        if found.id != owner:
            authorize(ctx, Permission.USERS_MANAGE)
        owner = found.id
    return _issue(ctx, owner, ctx.actor.space_id, check_name(label, field="label") if label else "")


def list_keys(ctx: Ctx[ReadTx], everybody: bool = False) -> list[ApiKey]:
    """The actor's keys, or everybody's with the right to manage users. Secrets are not among what is kept."""
    if everybody:
        authorize(ctx, Permission.USERS_MANAGE)
    return store.keys_of(ctx.tx, ctx.actor.space_id, None if everybody else ctx.actor.user_id)


def revoke_key(ctx: Ctx[WriteTx], access_or_id: str) -> None:
    """Ends a key; its next use is refused (within seconds in other processes)."""
    _own_key(ctx, access_or_id)
    if not store.revoke_key(ctx.tx, ctx.actor.space_id, access_or_id, ctx.now):
        raise NotFound.of("key", access_or_id)
    ctx.after_commit(Effect("identity"))


def _own_key(ctx: Ctx[WriteTx], access_or_id: str) -> None:
    """Whoever changes another's key needs the right to manage users."""
    own = store.keys_of(ctx.tx, ctx.actor.space_id, ctx.actor.user_id)
    if not any(access_or_id in (k.access_key, k.id) for k in own):
        authorize(ctx, Permission.USERS_MANAGE)


def relabel_key(ctx: Ctx[WriteTx], access_key: str, label: str) -> None:
    """Gives a key another label."""
    _own_key(ctx, access_key)
    label = check_name(label, field="label") if label else ""
    if not store.relabel_key(ctx.tx, ctx.actor.space_id, access_key, label):
        raise NotFound.of("key", access_key)


# -- teams and roles ----------------------------------------------------------------------------------------


def list_teams(ctx: Ctx[ReadTx]) -> list[Team]:
    return store.teams_of(ctx.tx, ctx.actor.space_id)


def find_team(ctx: Ctx[ReadTx], id_or_key: str) -> Team:
    team = store.find_team(ctx.tx, ctx.actor.space_id, id_or_key)
    if team is None:
        raise NotFound.of("team", id_or_key)
    return team


def create_team(ctx: Ctx[WriteTx], name: str, key: str | None = None) -> Team:
    authorize(ctx, Permission.TEAMS_MANAGE)
    name = check_name(name)
    team = Team(new_id(), ctx.actor.space_id, key or slug(name, "team"), name, ctx.now)
    if store.find_team(ctx.tx, team.space_id, team.key) is not None:
        raise Conflict(f"a team with the key '{team.key}' is there already", field="key")
    store.insert_team(ctx.tx, team)
    return team


def set_team_member(ctx: Ctx[WriteTx], user: str, team: str, role: str) -> User:
    authorize(ctx, Permission.TEAMS_MANAGE)
    _known_role(ctx, role)
    found = find_member(ctx, user)
    store.set_team_member(ctx.tx, find_team(ctx, team).id, found.id, role)
    return found


def remove_team_member(ctx: Ctx[WriteTx], user: str, team: str) -> User:
    authorize(ctx, Permission.TEAMS_MANAGE)
    found = find_member(ctx, user)
    store.remove_team_member(ctx.tx, find_team(ctx, team).id, found.id)
    return found


def memberships(ctx: Ctx[ReadTx]) -> list[tuple[Id, Team, str]]:
    """(user id, team, role key) for every membership of a team in the space."""
    return store.team_memberships(ctx.tx, ctx.actor.space_id)


def list_roles(ctx: Ctx[ReadTx]) -> list[Role]:
    return store.roles_of(ctx.tx, ctx.actor.space_id)


def create_role(ctx: Ctx[WriteTx], name: str, permissions: list[str], key: str | None = None) -> Role:
    authorize(ctx, Permission.ROLES_MANAGE)
    try:
        chosen = frozenset(Permission(p) for p in permissions)
    except ValueError:
        unknown = sorted(set(permissions) - {str(p) for p in Permission})
        raise Invalid(f"unknown permission: {', '.join(unknown)}", field="permissions") from None
    if not chosen <= ctx.actor.permissions:
        raise Forbidden("a role cannot have permissions that you do not have")
    name = check_name(name)
    role = Role(new_id(), ctx.actor.space_id, key or slug(name, "role"), name, chosen, ctx.now)
    if store.role_by_key(ctx.tx, role.space_id, role.key) is not None:
        raise Conflict(f"a role with the key '{role.key}' is there already", field="key")
    store.insert_role(ctx.tx, role)
    return role
