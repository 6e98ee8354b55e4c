"""Users, teams, roles and permissions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from quintet.app.context import Ctx, ReadTx
from quintet.app.identity.accounts import (
    create_key,
    create_role,
    create_team,
    current_user,
    delete_user,
    find_team,
    list_members,
    list_roles,
    list_teams,
    memberships,
    remove_team_member,
)
from quintet.app.identity.membership import CreateTeamUser, TeamRole, create_team_user, keys_of_users, put_team_member
from quintet.dialects.adaptive import ids, views
from quintet.dialects.adaptive.binder import graph
from quintet.dialects.adaptive.views import View
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.graphql import load
from quintet.domain.identity import Permission, Role, Team
from quintet.domain.ids import Id


@graph.query("me")
async def me(call: Call, _obj: object) -> View:
    return views.user(await call.read(current_user))


@graph.query("users")
async def users(call: Call, _obj: object) -> list[View]:
    return [views.user(m.user) for m in await call.read(list_members)]


@graph.query("teams")
async def teams(call: Call, _obj: object) -> list[View]:
    return [views.team(t) for t in await call.read(list_teams)]


@graph.query("roles")
async def roles(call: Call, _obj: object) -> list[View]:
    return [views.role(r) for r in await call.read(list_roles)]


@graph.query("meta")
def meta(_call: Call, _obj: object) -> View:
    """No provider: people sign in with keys."""
    return {"authProviders": {"providers": []}}


@graph.query("permissions")
def permissions(_call: Call, _obj: object) -> list[str]:
    """Every permission there is."""
    return sorted(Permission)


@graph.mutation("createUser")
async def create_user(call: Call, _obj: object, *, input: Mapping[str, Any]) -> View:
    teams = [TeamRole(ids.ref(t["team"], ids.TEAM), ids.ref(t["role"], ids.ROLE)) for t in input["teams"]]
    return views.user(await call.write(create_team_user, CreateTeamUser(input["email"], input["name"], teams)))


@graph.mutation("deleteUser")
async def remove_user(call: Call, _obj: object, *, user: str) -> View:
    gone = await call.write(delete_user, ids.ref(user, ids.USER))
    return {**views.user(gone), "deleted": True, "teams": []}


@graph.mutation("createTeam")
async def new_team(call: Call, _obj: object, *, input: Mapping[str, Any]) -> View:
    return views.team(await call.write(create_team, input["name"], input.get("key")))


@graph.mutation("createRole")
async def new_role(call: Call, _obj: object, *, input: Mapping[str, Any]) -> View:
    return views.role(await call.write(create_role, input["name"], input["permissions"], input.get("key")))


@graph.mutation("setTeamMember")
async def set_member(call: Call, _obj: object, *, input: Mapping[str, Any]) -> View:
    place = TeamRole(ids.ref(input["team"], ids.TEAM), ids.ref(input["role"], ids.ROLE))
    member = await call.write(put_team_member, ids.ref(input["user"], ids.USER), place)
    return {"user": views.user(member.user), "team": views.team(member.team), "role": views.role(member.role)}


@graph.mutation("removeTeamMember")
async def remove_member(call: Call, _obj: object, *, input: Mapping[str, Any]) -> View:
    team = await call.read(find_team, ids.ref(input["team"], ids.TEAM))
    return views.user(await call.write(remove_team_member, ids.ref(input["user"], ids.USER), team.id))


@graph.mutation("createApiKey")
async def new_key(call: Call, _obj: object, *, input: Mapping[str, Any]) -> View:
    """The key as a whole, this once."""
    made = await call.write(create_key, "adaptive", ids.ref(input["user"], ids.USER))
    return {"key": made.key, "createdAt": made.record.created_at}


# -- what a user shows ----------------------------------------------------------------------------------------


def teams_of_users(ctx: Ctx[ReadTx], users: Sequence[Id]) -> dict[Id, list[tuple[Team, Role]]]:
    """Each user's teams with the role held there; a role that was removed is left out."""
    known = {r.key: r for r in list_roles(ctx)}
    found: dict[Id, list[tuple[Team, Role]]] = {}
    for user, team, role in memberships(ctx):
        if role in known:
            found.setdefault(user, []).append((team, known[role]))
    return found


@graph.field("User", "teams")
async def user_teams(call: Call, obj: View) -> list[View]:
    found = await load(call, teams_of_users, obj["self"].id) or []
    return [{"team": views.team(team), "role": views.role(role)} for team, role in found]


@graph.field("User", "apiKeys")
async def api_keys(call: Call, obj: View) -> list[View]:
    """The beginnings of the keys: the rest was shown once and is not kept."""
    found = await load(call, keys_of_users, obj["self"].id) or []
    return [{"key": f"{k.prefix}…", "createdAt": k.created_at} for k in found]
