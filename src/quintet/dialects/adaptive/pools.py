"""Compute pools: this server is one, called "default"; queues and workers are the core's own business."""

from __future__ import annotations

from quintet.app.identity.accounts import current_user
from quintet.dialects.adaptive import ids
from quintet.dialects.adaptive.binder import graph
from quintet.dialects.adaptive.views import View
from quintet.dialects.kit.call import Call
from quintet.domain.errors import NotFound
from quintet.domain.ids import Id, time_of, to_uuid

DEFAULT = "default"


def pool(space: Id) -> View:
    """The pool of a space: it is there as long as the space is, under the same id."""
    return {
        "id": to_uuid(space, ids.POOL),
        "key": DEFAULT,
        "name": "Default",
        "createdAt": time_of(space),
        "capabilities": ["INFERENCE", "JOB"],
        "harmonyGroups": [],
        "allHarmonyGroups": [],
    }


def check_pool(call: Call, ref: str | None) -> None:
    """NotFound for a pool that is not the one there is."""
    space = call.actor.space_id
    if ref is not None and ref not in (DEFAULT, to_uuid(space, ids.POOL)):
        raise NotFound.of("compute pool", ref)


@graph.query("computePools")
async def compute_pools(call: Call, _obj: object) -> list[View]:
    await call.read(current_user)
    return [pool(call.actor.space_id)]


@graph.query("harmonyGroups")
async def harmony_groups(_call: Call, _obj: object) -> list[View]:
    """None: models run in the server's own processes, not in groups that register with it."""
    return []


@graph.query("allHarmonyGroups")
async def all_harmony_groups(_call: Call, _obj: object) -> list[View]:
    return []
