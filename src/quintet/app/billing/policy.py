"""Whether projects must, may or may not have a billing tag, and how they get one under that rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from quintet.app.audit import note
from quintet.app.authz import authorize
from quintet.app.billing.usage import get_setting, put_setting, tag_project
from quintet.app.context import Ctx, ReadTx, WriteTx
from quintet.domain.errors import Precondition
from quintet.domain.identity import Permission
from quintet.domain.projects import Project

SETTING = "billing_tags"


class TagMode(StrEnum):
    REQUIRED = "required"
    OPTIONAL = "optional"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class TagPolicy:
    """`notifications` asks to be told of projects without a tag."""

    mode: TagMode = TagMode.OPTIONAL
    notifications: bool = False


def tag_policy(ctx: Ctx[ReadTx]) -> TagPolicy:
    """The space's policy; tags are optional until somebody decides otherwise."""
    authorize(ctx, Permission.PROJECT_READ)
    kept = get_setting(ctx, SETTING)
    if not isinstance(kept, dict):
        return TagPolicy()
    return TagPolicy(TagMode(kept["mode"]), bool(kept["notifications"]))


def set_tag_policy(ctx: Ctx[WriteTx], mode: TagMode | None, notifications: bool | None) -> TagPolicy:
    """Changes what is given."""
    old = tag_policy(ctx)
    new = TagPolicy(mode or old.mode, old.notifications if notifications is None else notifications)
    put_setting(ctx, SETTING, {"mode": str(new.mode), "notifications": new.notifications})
    note(ctx, "billing.policy", "space", ctx.actor.space_id, mode=str(new.mode))
    return new


def book_projects(ctx: Ctx[WriteTx], tags: Sequence[tuple[str, str | None]]) -> list[Project]:
    """Books several projects, all of them or none."""
    return [book_project(ctx, project, tag) for project, tag in tags]


def book_project(ctx: Ctx[WriteTx], project: str, tag: str | None) -> Project:
    """Books a project under a tag, or under none; Precondition where the policy forbids it."""
    authorize(ctx, Permission.PROJECT_WRITE)
    mode = tag_policy(ctx).mode
    if tag is None and mode is TagMode.REQUIRED:
        raise Precondition("every project needs a billing tag here", field="billingTag")
    if tag is not None and mode is TagMode.DISABLED:
        raise Precondition("billing tags are disabled here", field="billingTag")
    changed = tag_project(ctx, project, tag)
    note(ctx, "billing.book", "project", changed.id, tag=tag)
    return changed
