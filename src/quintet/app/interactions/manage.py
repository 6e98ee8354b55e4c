"""Find interactions, add those that happened elsewhere, and change their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx, WriteTx
from quintet.app.serving.callpath import prompt_hash
from quintet.domain.errors import Invalid, NotFound
from quintet.domain.identity import Permission
from quintet.domain.ids import Id, new_id
from quintet.domain.interactions import Interaction, InteractionSource
from quintet.domain.page import Page, PageRequest
from quintet.storage import interactions as store
from quintet.storage.interactions import InteractionFilter

__all__ = [
    "AddInteraction",
    "InteractionFilter",
    "InteractionGroup",
    "add_interaction",
    "check_labels",
    "get_interaction",
    "get_interactions",
    "group_interactions",
    "label_usage",
    "list_interactions",
    "set_labels",
]
MAX_LABELS = 100


@dataclass(frozen=True, slots=True)
class AddInteraction:
    """A call that another system made. `created_at` None means now."""

    messages: Sequence[Mapping[str, Any]]
    completion: str
    project_id: Id | None = None
    model_id: Id | None = None
    deployment_id: Id | None = None
    model_name: str = ""
    session_id: Id | None = None
    end_user: str | None = None
    created_at: int | None = None
    experiment_id: Id | None = None
    source: InteractionSource = InteractionSource.OFFLINE
    type: str = "chat"
    dialect: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    prompt_tokens: int = 0
    completion_tokens: int = 0


def add_interaction(ctx: Ctx[WriteTx], cmd: AddInteraction) -> Interaction:
    """Stores it as it happened."""
    authorize(ctx, Permission.INTERACTION_WRITE)
    if not cmd.messages:
        raise Invalid("'messages' needs at least one message", field="messages")
    check_labels(cmd.labels)
    messages = [dict(m) for m in cmd.messages]
    item = Interaction(
        id=new_id(), space_id=ctx.actor.space_id, project_id=cmd.project_id, created_at=cmd.created_at or ctx.now,
        messages=messages, completion=cmd.completion, source=cmd.source, type=cmd.type, dialect=cmd.dialect,
        user_id=ctx.actor.user_id, end_user=cmd.end_user, model_id=cmd.model_id, deployment_id=cmd.deployment_id,
        model_name=cmd.model_name, experiment_id=cmd.experiment_id, session_id=cmd.session_id or new_id(),
        prompt_hash=prompt_hash(messages), labels=dict(cmd.labels), metadata=dict(cmd.metadata),
        prompt_tokens=cmd.prompt_tokens, completion_tokens=cmd.completion_tokens,
    )  # fmt: skip
    store.insert_many(ctx.tx, [item])
    return item


def check_labels(labels: Mapping[str, Any]) -> None:
    """Invalid for labels that are not short texts."""
    if len(labels) > MAX_LABELS:
        raise Invalid(f"an interaction has at most {MAX_LABELS} labels", field="labels")
    for key, value in labels.items():
        if not isinstance(value, str) or not key or len(key) > 200 or len(value) > 1000:
            raise Invalid(f"the label '{key[:50]}' must be text of at most 1000 characters", field="labels")


def get_interaction(ctx: Ctx[ReadTx], interaction_id: Id) -> Interaction:
    authorize(ctx, Permission.INTERACTION_READ)
    item = store.get(ctx.tx, ctx.actor.space_id, interaction_id)
    if item is None:
        raise NotFound.of("interaction", interaction_id)
    return item


def get_interactions(ctx: Ctx[ReadTx], ids: Sequence[Id]) -> dict[Id, Interaction]:
    authorize(ctx, Permission.INTERACTION_READ)
    return store.get_many(ctx.tx, ctx.actor.space_id, ids)


def list_interactions(
    ctx: Ctx[ReadTx],
    wanted: InteractionFilter,
    page: PageRequest,
    *,
    descending: bool = True,
    count: bool = False,
) -> Page[Interaction]:
    """A page of interactions; `count` asks for the total too, which scans what the filter leaves."""
    authorize(ctx, Permission.INTERACTION_READ)
    found = store.page(ctx.tx, ctx.actor.space_id, wanted, page, descending=descending)
    return replace(found, total=store.count(ctx.tx, ctx.actor.space_id, wanted)) if count else found


@dataclass(frozen=True, slots=True)
class InteractionGroup:
    """The interactions that share `value` (a model id or a prompt hash)."""

    value: str
    count: int


def group_interactions(
    ctx: Ctx[ReadTx],
    wanted: InteractionFilter,
    by: str,
    page: PageRequest,
    *,
    descending: bool = False,
) -> tuple[list[InteractionGroup], int]:
    """Groups by "model_id" or "prompt_hash" after the cursor value, and how many there are in all."""
    authorize(ctx, Permission.INTERACTION_READ)
    if by not in ("model_id", "prompt_hash"):
        raise Invalid("interactions group by model or prompt", field="groupBy")
    rows = store.groups(ctx.tx, ctx.actor.space_id, wanted, by, page.limit, page.after, descending=descending)
    total = store.count_groups(ctx.tx, ctx.actor.space_id, wanted, by)
    return [InteractionGroup(v, n) for v, n in rows], total


def set_labels(
    ctx: Ctx[WriteTx],
    interaction_id: Id,
    *,
    add: Mapping[str, str] | None = None,
    remove: Sequence[str] = (),
    replace_all: Mapping[str, str] | None = None,
) -> Interaction:
    """Adds, removes or replaces labels, in one step."""
    authorize(ctx, Permission.INTERACTION_WRITE)
    item = get_interaction(ctx, interaction_id)
    labels = dict(item.labels if replace_all is None else replace_all)
    labels.update(add or {})
    for key in remove:
        labels.pop(key, None)
    check_labels(labels)
    changed = replace(item, labels=labels)
    store.save_labels(ctx.tx, changed)
    return changed


def label_usage(ctx: Ctx[ReadTx], project_id: Id) -> list[tuple[str, str, int]]:
    """(key, value, how many interactions) of a project."""
    authorize(ctx, Permission.INTERACTION_READ)
    return store.label_usage(ctx.tx, project_id)
