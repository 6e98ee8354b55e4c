"""Spaces, users, members, teams, roles and keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from quintet.domain.identity import ApiKey, Permission, Role, Space, Team, User
from quintet.domain.ids import Id
from quintet.storage import tables as t
from quintet.storage.mapping import Mapper
from quintet.storage.tx import ReadTx, WriteTx

_spaces = Mapper(Space, t.spaces)
_users = Mapper(User, t.users)
_keys = Mapper(ApiKey, t.api_keys)
_teams = Mapper(Team, t.teams)


@dataclass(frozen=True, slots=True)
class StoredKey:
    key: ApiKey
    secret_hash: str


@dataclass(frozen=True, slots=True)
class Membership:
    """A user in a space, with the key of the role that is held there."""

    user: User
    role: str


def insert_space(tx: WriteTx, space: Space) -> None:
    tx.write(insert(t.spaces), _spaces.dump(space))


def save_space(tx: WriteTx, space: Space) -> None:
    tx.write(update(t.spaces).where(t.spaces.c.id == space.id), _spaces.dump(space))


def find_space(tx: ReadTx, space_id: Id) -> Space | None:
    row = tx.one(select(t.spaces).where(t.spaces.c.id == space_id))
    return _spaces.load(row) if row else None


def first_space(tx: ReadTx) -> Space | None:
    row = tx.one(select(t.spaces).where(t.spaces.c.deleted_at.is_(None)).order_by(t.spaces.c.id).limit(1))
    return _spaces.load(row) if row else None


def spaces_of(tx: ReadTx, user_id: Id) -> list[Space]:
    query = (
        select(t.spaces)
        .join(t.members, t.members.c.space_id == t.spaces.c.id)
        .where(t.members.c.user_id == user_id)
        .order_by(t.spaces.c.id)
    )
    return [_spaces.load(r) for r in tx.all(query)]


def insert_user(tx: WriteTx, user: User) -> None:
    tx.write(insert(t.users), _users.dump(user))


def save_user(tx: WriteTx, user: User) -> None:
    tx.write(update(t.users).where(t.users.c.id == user.id), _users.dump(user))


def find_user(tx: ReadTx, user_id: Id) -> User | None:
    row = tx.one(select(t.users).where(t.users.c.id == user_id))
    return _users.load(row) if row else None


def user_by_email(tx: ReadTx, email: str) -> User | None:
    row = tx.one(select(t.users).where(func.lower(t.users.c.email) == email.lower()))
    return _users.load(row) if row else None


def delete_user(tx: WriteTx, user_id: Id) -> None:
    tx.write(delete(t.users).where(t.users.c.id == user_id))


def get_users(tx: ReadTx, ids: list[Id]) -> dict[Id, User]:
    rows = tx.all(select(t.users).where(t.users.c.id.in_(ids))) if ids else []
    return {r["id"]: _users.load(r) for r in rows}


def members_of(tx: ReadTx, space_id: Id) -> list[Membership]:
    query = (
        select(t.users, t.members.c.role.label("member_role"))
        .join(t.members, t.members.c.user_id == t.users.c.id)
        .where(t.members.c.space_id == space_id)
        .order_by(t.users.c.id)
    )
    return [Membership(_users.load(r), r["member_role"]) for r in tx.all(query)]


def set_member(tx: WriteTx, space_id: Id, user_id: Id, role: str, now: int) -> None:
    where = (t.members.c.space_id == space_id) & (t.members.c.user_id == user_id)
    if not tx.write(update(t.members).where(where).values(role=role)):
        tx.write(insert(t.members), {"space_id": space_id, "user_id": user_id, "role": role, "created_at": now})


def remove_member(tx: WriteTx, space_id: Id, user_id: Id) -> bool:
    where = (t.members.c.space_id == space_id) & (t.members.c.user_id == user_id)
    return tx.write(delete(t.members).where(where)) > 0


def member_role(tx: ReadTx, space_id: Id, user_id: Id) -> str | None:
    m = t.members.c
    role = tx.scalar(select(m.role).where(m.space_id == space_id, m.user_id == user_id))
    return str(role) if role is not None else None


# -- keys -----------------------------------------------------------------------------------------------------


def insert_key(tx: WriteTx, key: ApiKey, secret_hash: str) -> None:
    tx.write(insert(t.api_keys), {**_keys.dump(key), "secret_hash": secret_hash})


def key_by_access(tx: ReadTx, access_key: str) -> StoredKey | None:
    row = tx.one(select(t.api_keys).where(t.api_keys.c.access_key == access_key))
    return StoredKey(_keys.load(row), row["secret_hash"]) if row else None


def keys_of(tx: ReadTx, space_id: Id, user_id: Id | None = None) -> list[ApiKey]:
    query = select(t.api_keys).where(t.api_keys.c.space_id == space_id).order_by(t.api_keys.c.id)
    if user_id is not None:
        query = query.where(t.api_keys.c.user_id == user_id)
    return [_keys.load(r) for r in tx.all(query)]


def revoke_key(tx: WriteTx, space_id: Id, access_or_id: str, now: int) -> bool:
    k = t.api_keys.c
    where = (k.space_id == space_id) & ((k.access_key == access_or_id) | (k.id == access_or_id))
    return tx.write(update(t.api_keys).where(where, k.revoked_at.is_(None)).values(revoked_at=now)) > 0


def touch_key(tx: WriteTx, key_id: Id, now: int) -> None:
    tx.write(update(t.api_keys).where(t.api_keys.c.id == key_id).values(last_used_at=now))


def relabel_key(tx: WriteTx, space_id: Id, access_key: str, label: str) -> bool:
    k = t.api_keys.c
    return (
        tx.write(update(t.api_keys).where(k.space_id == space_id, k.access_key == access_key).values(label=label)) > 0
    )


# -- teams and roles ----------------------------------------------------------------------------------------


def insert_team(tx: WriteTx, team: Team) -> None:
    tx.write(insert(t.teams), _teams.dump(team))


def teams_of(tx: ReadTx, space_id: Id) -> list[Team]:
    return [
        _teams.load(r) for r in tx.all(select(t.teams).where(t.teams.c.space_id == space_id).order_by(t.teams.c.id))
    ]


def find_team(tx: ReadTx, space_id: Id, id_or_key: str) -> Team | None:
    c = t.teams.c
    row = tx.one(select(t.teams).where(c.space_id == space_id, (c.id == id_or_key) | (c.key == id_or_key)))
    return _teams.load(row) if row else None


def set_team_member(tx: WriteTx, team_id: Id, user_id: Id, role: str) -> None:
    c = t.team_members.c
    if not tx.write(update(t.team_members).where(c.team_id == team_id, c.user_id == user_id).values(role=role)):
        tx.write(insert(t.team_members), {"team_id": team_id, "user_id": user_id, "role": role})


def remove_team_member(tx: WriteTx, team_id: Id, user_id: Id) -> bool:
    c = t.team_members.c
    return tx.write(delete(t.team_members).where(c.team_id == team_id, c.user_id == user_id)) > 0


def team_memberships(tx: ReadTx, space_id: Id) -> list[tuple[Id, Team, str]]:
    """(user id, team, role key) of every member of every team of the space."""
    query = (
        select(t.teams, t.team_members.c.user_id, t.team_members.c.role)
        .join(t.team_members, t.team_members.c.team_id == t.teams.c.id)
        .where(t.teams.c.space_id == space_id)
    )
    return [(r["user_id"], _teams.load(r), r["role"]) for r in tx.all(query)]


def insert_role(tx: WriteTx, role: Role) -> None:
    row = {"id": role.id, "space_id": role.space_id, "key": role.key, "name": role.name}
    tx.write(insert(t.roles), {**row, "permissions": sorted(role.permissions), "created_at": role.created_at})


def _role(row: Any) -> Role:
    permissions = frozenset(Permission(p) for p in row["permissions"])
    return Role(row["id"], row["space_id"], row["key"], row["name"], permissions, row["created_at"])


def roles_of(tx: ReadTx, space_id: Id) -> list[Role]:
    return [_role(r) for r in tx.all(select(t.roles).where(t.roles.c.space_id == space_id).order_by(t.roles.c.id))]


def role_by_key(tx: ReadTx, space_id: Id, key: str) -> Role | None:
    row = tx.one(select(t.roles).where(t.roles.c.space_id == space_id, t.roles.c.key == key))
    return _role(row) if row else None


# -- settings ---------------------------------------------------------------------------------------------------


def get_setting(tx: ReadTx, space_id: str, name: str) -> Any:
    """The value of a setting, or None. `space_id` is empty for the whole server."""
    c = t.settings.c
    row = tx.one(select(c.value).where(c.space_id == space_id, c.name == name))
    return row["value"] if row else None


def put_setting(tx: WriteTx, space_id: str, name: str, value: Any, now: int) -> None:
    c = t.settings.c
    values = {"value": value, "updated_at": now}
    if not tx.write(update(t.settings).where(c.space_id == space_id, c.name == name).values(**values)):
        tx.write(insert(t.settings), {"space_id": space_id, "name": name, **values})
