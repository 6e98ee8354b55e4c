"""Users with their teams, as one step, and the keys of many users at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx, WriteTx
from quintet.app.identity.accounts import CreateUser, create_user, find_team, set_team_member
from quintet.app.projects.sharing import find_role
from quintet.domain.errors import Forbidden
from quintet.domain.identity import ApiKey, Permission, Role, Team, User
from quintet.domain.ids import Id
from quintet.storage import identity as store


@dataclass(frozen=True, slots=True)
class TeamRole:
    """A team and the role held there, each by id or key."""

    team: str
    role: str


@dataclass(frozen=True, slots=True)
class CreateTeamUser:
    email: str
    name: str
    teams: Sequence[TeamRole] = ()


class Member(NamedTuple):
    user: User
    team: Team
    role: Role


def create_team_user(ctx: Ctx[WriteTx], cmd: CreateTeamUser) -> User:
    """A new user of the space with the role held in the first team, and a member of every team that is named.

    Forbidden for a role that may more than the actor.
    """
    authorize(ctx, Permission.USERS_MANAGE)
    roles = [_grantable(ctx, t.role) for t in cmd.teams]
    user = create_user(ctx, CreateUser(cmd.email, cmd.name, roles[0].key if roles else "member"))
    for wanted, role in zip(cmd.teams, roles, strict=True):
        team = find_team(ctx, wanted.team)
        store.set_team_member(ctx.tx, team.id, user.id, role.key)
    return user


def put_team_member(ctx: Ctx[WriteTx], user: str, place: TeamRole) -> Member:
    """Makes a user a member of a team, or changes the role held there."""
    authorize(ctx, Permission.TEAMS_MANAGE)
    role = _grantable(ctx, place.role)
    team = find_team(ctx, place.team)
    return Member(set_team_member(ctx, user, team.id, role.key), team, role)


def _grantable(ctx: Ctx[ReadTx], ref: str) -> Role:
    role = find_role(ctx, ref)
    if not role.permissions <= ctx.actor.permissions:
        raise Forbidden(f"the role '{role.key}' may more than you")
    return role


def keys_of_users(ctx: Ctx[ReadTx], users: Sequence[Id]) -> dict[Id, list[ApiKey]]:
    """Keys that were not revoked, of each user; of others than the actor only for those who manage users."""
    own = [u for u in users if u == ctx.actor.user_id or ctx.actor.may(Permission.USERS_MANAGE)]
    found: dict[Id, list[ApiKey]] = {}
    for key in store.keys_of(ctx.tx, ctx.actor.space_id) if own else []:
        if key.user_id in own and key.revoked_at is None:
            found.setdefault(key.user_id, []).append(key)
    return found
