"""Billing tags, the rule about them, and which project is booked where."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from quintet.app.billing.policy import TagMode, TagPolicy, book_project, set_tag_policy, tag_policy
from quintet.app.billing.usage import find_tag, list_tags, put_tags, retire_tag
from quintet.app.projects.collaboration import view_project
from quintet.dialects.domino.binder import binder
from quintet.dialects.domino.contract import LEGACY_COST
from quintet.dialects.domino.envelope import Body, chosen, path_id
from quintet.dialects.kit.call import Call
from quintet.domain.billing import BillingTag
from quintet.domain.errors import Invalid

MODES = {str(mode): mode for mode in TagMode}


class NewTags(Body):
    billing_tags: list[str]


def _tag(item: BillingTag) -> dict[str, Any]:
    return {"billingTag": {"tag": item.tag, "active": item.active}}


@binder.op("GET /api/cost/v1/billingtags", aliases=[f"GET {LEGACY_COST}/billingtags"])
async def tags(call: Call) -> object:
    """The tags that projects may be booked under."""
    return {"billingTags": [{"tag": t.tag} for t in await call.read(list_tags) if t.active]}


@binder.op("POST /api/cost/v1/billingtags", body=NewTags, aliases=[f"POST {LEGACY_COST}/billingtags"])
async def create(call: Call) -> object:
    body: NewTags = call.body
    if not body.billing_tags:
        raise Invalid("give at least one tag", field="billingTags")
    return {"billingTags": [{"tag": t.tag} for t in await call.write(put_tags, body.billing_tags)]}


@binder.op("GET /api/cost/v1/billingtags/{tag}", aliases=[f"GET {LEGACY_COST}/billingtags/{{tag}}"])
async def get(call: Call) -> object:
    return _tag(await call.read(find_tag, call.path["tag"]))


@binder.op("DELETE /api/cost/v1/billingtags/{tag}", aliases=[f"DELETE {LEGACY_COST}/billingtags/{{tag}}"])
async def retire(call: Call) -> object:
    return _tag(await call.write(retire_tag, call.path["tag"]))


class Settings(Body):
    mode: str | None = None
    notifications: bool | None = None


def _policy(policy: TagPolicy) -> dict[str, Any]:
    return {"mode": str(policy.mode), "notifications": policy.notifications}


@binder.op("GET /api/cost/v1/billingtagSettings", aliases=[f"GET {LEGACY_COST}/billingtagSettings"])
async def settings(call: Call) -> object:
    return _policy(await call.read(tag_policy))


@binder.op(
    "PUT /api/cost/v1/billingtagSettings",
    body=Settings,
    aliases=[f"PUT {LEGACY_COST}/billingtagSettings", f"PUT {LEGACY_COST}/billingtagSettings/mode"],
)
async def set_settings(call: Call) -> object:
    body: Settings = call.body
    mode = chosen(body.mode, MODES, "mode") if body.mode is not None else None
    return _policy(await call.write(set_tag_policy, mode, body.notifications))


class ProjectTag(Body):
    tag: str


@binder.op("GET /v4/projects/{projectId}/billingtag")
async def tag_of_project(call: Call) -> Response | object:
    """The project's tag, or `null`."""
    project = (await call.read(view_project, path_id(call, "projectId", "project"))).project
    if project.billing_tag is None:
        return Response(b"null", media_type="application/json")
    return {"tag": project.billing_tag}


@binder.op("POST /v4/projects/{projectId}/billingtag", body=ProjectTag)
async def book(call: Call) -> object:
    body: ProjectTag = call.body
    project = await call.write(book_project, path_id(call, "projectId", "project"), body.tag)
    return {"tag": project.billing_tag}


@binder.op("DELETE /v4/projects/{projectId}/billingtag")
async def unbook(call: Call) -> Response:
    await call.write(book_project, path_id(call, "projectId", "project"), None)
    return Response(b"null", media_type="application/json")
