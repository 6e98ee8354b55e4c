"""Who is signed in, and the spaces."""

from __future__ import annotations

from typing import Any

import msgspec

from quintet.app.identity.accounts import current_user
from quintet.app.identity.profile import edit_profile
from quintet.app.identity.spaces import edit_space, get_space, my_spaces
from quintet.dialects.inference.binder import binder
from quintet.dialects.inference.paging import cut, wanted_page
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.times import to_rfc3339
from quintet.domain.identity import Permission, Space, User

NOUNS = {
    "benchmarks": (Permission.MODEL_READ, Permission.RUN_WRITE),
    "evaluations": (Permission.RUN_READ, Permission.RUN_WRITE),
    "leaderboards": (Permission.MODEL_READ, Permission.RUN_WRITE),
    "trainings": (Permission.RUN_READ, Permission.RUN_WRITE),
    "data-models": (Permission.PROJECT_READ, Permission.PROJECT_WRITE),
}
WRITES = {
    "benchmarks": ("create",),
    "evaluations": ("create",),
    "leaderboards": (),
    "trainings": ("create", "delete", "update"),
    "data-models": ("create", "delete", "update"),
}
READS = {"benchmarks": ("get", "list"), "evaluations": (), "leaderboards": ("list",)}


def permissions_of(call: Call) -> list[str]:
    """The API's own permission names that the actor's role amounts to."""
    names = []
    for noun, (read, write) in NOUNS.items():
        if call.actor.may(read):
            names += [f"{noun}:{verb}" for verb in READS.get(noun, ("get", "list"))]
        if call.actor.may(write):
            names += [f"{noun}:{verb}" for verb in WRITES[noun]]
    return sorted(names)


def _user(user: User) -> dict[str, Any]:
    first, _, last = user.name.partition(" ")
    return {
        "id": user.id,
        "external_id": user.settings.get("external_id", ""),
        "email": user.email,
        "first_name": user.settings.get("first_name", first),
        "last_name": user.settings.get("last_name", last),
        "role": user.settings.get("persona", "developer"),
    }


class ProfileBody(msgspec.Struct):
    """`role` is what the user does here: designs or develops."""

    first_name: str | None = None
    last_name: str | None = None
    role: str | None = None


@binder.op("GET /me")
async def me(call: Call) -> object:
    user = await call.read(current_user)
    spaces = [_space(s) for s in await call.read(my_spaces)]
    return {**_user(user), "permissions": permissions_of(call), "spaces": spaces}


@binder.op("PUT /me", body=ProfileBody)
async def update_me(call: Call) -> object:
    body: ProfileBody = call.body
    return _user(await call.write(edit_profile, body.first_name, body.last_name, body.role))


def _space(space: Space) -> dict[str, Any]:
    return {
        "id": space.id,
        "name": space.name,
        "description": space.description,
        "created_at": to_rfc3339(space.created_at),
        "created_by": space.created_by,
        "updated_at": to_rfc3339(space.updated_at),
        "updated_by": space.created_by,
    }


class SpaceBody(msgspec.Struct):
    name: str | None = None
    description: str | None = None


@binder.op("GET /spaces")
async def list_spaces(call: Call) -> object:
    spaces = await call.read(my_spaces)
    return cut([_space(s) for s in spaces], [s.id for s in spaces], wanted_page(call))


@binder.op("GET /spaces/{id}")
async def one_space(call: Call) -> object:
    return _space(await call.read(get_space, call.path["id"]))


@binder.op("PUT /spaces/{id}", body=SpaceBody)
async def update_space(call: Call) -> object:
    body: SpaceBody = call.body
    return _space(await call.write(edit_space, call.path["id"], body.name, body.description))
