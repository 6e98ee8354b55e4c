"""Labels and metadata of an interaction, the only things of it that may change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx, WriteTx
from quintet.app.interactions.manage import check_labels, get_interaction
from quintet.app.projects.manage import find_project
from quintet.domain.errors import NotFound
from quintet.domain.identity import Permission
from quintet.domain.ids import Id
from quintet.domain.interactions import Interaction
from quintet.storage import interactions as store


def find_in_project(ctx: Ctx[ReadTx], project: str, interaction_id: Id) -> Interaction:
    """An interaction of that project; NotFound for one of another."""
    owner = find_project(ctx, project)
    found = get_interaction(ctx, interaction_id)
    if found.project_id != owner.id:
        raise NotFound.of("interaction", interaction_id)
    return found


@dataclass(frozen=True, slots=True)
class ReviseInteraction:
    """`labels` replaces all of them, then pairs in `remove` go and `add` comes. `metadata` replaces all entries but
    `kept`, which are ours; None leaves what is.
    """

    interaction_id: Id
    labels: Mapping[str, str] | None = None
    remove: Sequence[tuple[str, str]] = ()
    add: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] | None = None
    kept: Sequence[str] = ()


def revise_interaction(ctx: Ctx[WriteTx], cmd: ReviseInteraction) -> Interaction:
    """Changes labels and metadata in one step; a label is removed only with the value that it has."""
    authorize(ctx, Permission.INTERACTION_WRITE)
    item = get_interaction(ctx, cmd.interaction_id)
    labels = dict(item.labels if cmd.labels is None else cmd.labels)
    for key, value in cmd.remove:
        if labels.get(key) == value:
            del labels[key]
    labels.update(cmd.add)
    check_labels(labels)
    metadata = item.metadata
    if cmd.metadata is not None:
        metadata = {**cmd.metadata, **{k: metadata[k] for k in cmd.kept if k in metadata}}
    changed = replace(item, labels=labels, metadata=metadata)
    store.save_labels(ctx.tx, changed)
    return changed
