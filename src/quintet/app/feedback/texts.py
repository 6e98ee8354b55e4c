"""Preferences between texts that this server did not write: both become interactions first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quintet.app.context import Ctx, WriteTx
from quintet.app.feedback.manage import GiveComparison, give_comparison
from quintet.app.interactions.manage import AddInteraction, add_interaction
from quintet.app.projects.manage import find_project
from quintet.app.serving.services import find_service
from quintet.domain.errors import Invalid
from quintet.domain.ids import Id, new_id
from quintet.domain.interactions import Feedback


@dataclass(frozen=True, slots=True)
class SaidBy:
    """A completion as text, and the model that wrote it: a service of the project, by id or key."""

    text: str
    model: str


@dataclass(frozen=True, slots=True)
class CompareTexts:
    """One text preferred over another; both answer `messages`."""

    metric: str
    project: str
    messages: Sequence[Mapping[str, Any]]
    preferred: SaidBy
    other: SaidBy
    tied: str | None = None
    end_user: str | None = None
    dialect: str = ""


def compare_texts(ctx: Ctx[WriteTx], cmd: CompareTexts) -> Feedback:
    """Stores both completions, one session for the two, and the preference between them."""
    if not cmd.messages:
        raise Invalid("raw completions need the 'messages' that they answer", field="messages")
    project = find_project(ctx, cmd.project)
    session = new_id()
    ids = [_add(ctx, cmd, project.id, session, said) for said in (cmd.preferred, cmd.other)]
    return give_comparison(ctx, GiveComparison(cmd.metric, ids[0], ids[1], cmd.tied, cmd.end_user))


def _add(ctx: Ctx[WriteTx], cmd: CompareTexts, project_id: Id, session: Id, said: SaidBy) -> Id:
    service = find_service(ctx, project_id, said.model)
    return add_interaction(
        ctx,
        AddInteraction(
            messages=cmd.messages, completion=said.text, project_id=project_id, model_id=service.model_id,
            deployment_id=service.id, model_name=service.key, session_id=session, end_user=cmd.end_user,
            dialect=cmd.dialect,
        ),
    ).id  # fmt: skip
