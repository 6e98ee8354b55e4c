"""Users, and organisations: the teams of the space."""

from __future__ import annotations

from typing import Any

from quintet.app.identity.accounts import current_user, list_members
from quintet.app.identity.organisations import (
    Organisation,
    create_organisation,
    drop_from_organisation,
    get_organisation,
    list_organisations,
    put_in_organisation,
)
from quintet.dialects.domino.binder import binder
from quintet.dialects.domino.envelope import Body, choices, chosen, cut, enveloped, paged, wanted_page
from quintet.dialects.kit.call import Call
from quintet.domain.identity import User

ROLES = choices(("member", "admin"))


def user_name(user: User | None) -> str:
    """What this API calls the user: the e-mail address, because it alone is unique."""
    return user.email if user is not None else ""


def names_of(user: User) -> tuple[str, str]:
    """First and last name."""
    first, _, last = user.name.partition(" ")
    return str(user.settings.get("first_name", first)), str(user.settings.get("last_name", last))


def user_shown(user: User) -> dict[str, Any]:
    first, last = names_of(user)
    return {
        "id": user.id,
        "userName": user_name(user),
        "email": user.email,
        "firstName": first,
        "lastName": last,
        "fullName": user.name,
        "avatarUrl": "",
        "companyName": "",
        "phoneNumber": "",
    }


@binder.op("GET /api/users/v1/self")
async def myself(call: Call) -> object:
    return enveloped(call, user=user_shown(await call.read(current_user)))


@binder.op("GET /api/users/v1/users")
async def users(call: Call) -> object:
    page = wanted_page(call)
    members = [m.user for m in await call.read(list_members)]
    return paged(call, "users", [user_shown(u) for u in cut(members, page)], len(members), page)


class Member(Body):
    user_id: str
    organization_role: str = "member"


class NewOrganization(Body):
    name: str
    members: list[Member] = []


def organization_shown(item: Organisation) -> dict[str, Any]:
    return {
        "id": item.team.id,
        "name": item.team.name,
        "defaultEnvironmentId": None,
        "members": [{"userId": user, "organizationRole": _role(role)} for user, role in item.members],
    }


def _role(role: str) -> str:
    return "admin" if role == "admin" else "member"


@binder.op("GET /api/organizations/v1/organizations", "GET /api/organizations/v1/organizations/all")
async def organizations(call: Call) -> object:
    """Those that the caller belongs to; `all` of them for who manages them."""
    page = wanted_page(call)
    everybody = call.request.url.path.rstrip("/").endswith("/all")
    wanted = call.query.get("nameFilter")
    found = await call.read(list_organisations, mine_only=not everybody)
    matching = [o for o in found if not wanted or o.team.name == wanted]
    return paged(call, "orgs", [organization_shown(o) for o in cut(matching, page)], len(matching), page)


@binder.op("POST /api/organizations/v1/organizations", body=NewOrganization)
async def create(call: Call) -> object:
    body: NewOrganization = call.body
    members = [(m.user_id, chosen(m.organization_role, ROLES, "organizationRole")) for m in body.members]
    made = await call.write(create_organisation, body.name, members)
    return enveloped(call, org=organization_shown(made))


@binder.op("GET /api/organizations/v1/organizations/{organizationId}")
async def get(call: Call) -> object:
    found = await call.read(get_organisation, call.path["organizationId"])
    return enveloped(call, org=organization_shown(found))


@binder.op("PUT /api/organizations/v1/organizations/{organizationId}/user", body=Member)
async def put_member(call: Call) -> object:
    body: Member = call.body
    role = chosen(body.organization_role, ROLES, "organizationRole")
    changed = await call.write(put_in_organisation, call.path["organizationId"], body.user_id, role)
    return enveloped(call, org=organization_shown(changed))


@binder.op("DELETE /api/organizations/v1/organizations/{organizationId}/user")
async def drop_member(call: Call) -> object:
    changed = await call.write(
        drop_from_organisation, call.path["organizationId"], call.query["memberToRemoveId"]
    )
    return enveloped(call, org=organization_shown(changed))
