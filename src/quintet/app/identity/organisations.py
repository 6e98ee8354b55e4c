"""Teams as organisations: a team together with who is in it, found and changed as one thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx, WriteTx
from quintet.app.identity.accounts import create_team, find_team, memberships, remove_team_member, set_team_member
from quintet.domain.errors import NotFound
from quintet.domain.identity import Permission, Team
from quintet.domain.ids import Id
from quintet.storage import identity as store


@dataclass(frozen=True, slots=True)
class Organisation:
    """A team with its members as (user id, role key)."""

    team: Team
    members: tuple[tuple[Id, str], ...] = ()


def list_organisations(ctx: Ctx[ReadTx], *, mine_only: bool = True) -> list[Organisation]:
    """The actor's organisations; all of the space with the right to manage teams."""
    if not mine_only:
        authorize(ctx, Permission.TEAMS_MANAGE)
    found = [_with_members(ctx, team) for team in store.teams_of(ctx.tx, ctx.actor.space_id)]
    return [o for o in found if not mine_only or _may_see(ctx, o)]


def get_organisation(ctx: Ctx[ReadTx], ref: str) -> Organisation:
    """One that the actor belongs to or manages; NotFound otherwise."""
    found = _with_members(ctx, find_team(ctx, ref))
    if not (_may_see(ctx, found) or ctx.actor.may(Permission.TEAMS_MANAGE)):
        raise NotFound.of("organisation", ref)
    return found


def create_organisation(ctx: Ctx[WriteTx], name: str, members: Sequence[tuple[str, str]]) -> Organisation:
    """A new one with these members, as (user, role)."""
    team = create_team(ctx, name)
    for user, role in members:
        set_team_member(ctx, user, team.id, role)
    return _with_members(ctx, team)


def put_in_organisation(ctx: Ctx[WriteTx], ref: str, user: str, role: str) -> Organisation:
    """Adds a user, or changes what the user is there."""
    set_team_member(ctx, user, ref, role)
    return _with_members(ctx, find_team(ctx, ref))


def drop_from_organisation(ctx: Ctx[WriteTx], ref: str, user: str) -> Organisation:
    """Takes a user out."""
    remove_team_member(ctx, user, ref)
    return _with_members(ctx, find_team(ctx, ref))


def _with_members(ctx: Ctx[ReadTx], team: Team) -> Organisation:
    return Organisation(team, tuple((user, role) for user, of, role in memberships(ctx) if of.id == team.id))


def _may_see(ctx: Ctx[ReadTx], item: Organisation) -> bool:
    return any(user == ctx.actor.user_id for user, _ in item.members)
