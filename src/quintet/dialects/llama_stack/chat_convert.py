"""Between OpenAI's chat bodies and the call path's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET
from msgspec.structs import fields

from quintet.app.interactions.manage import check_labels
from quintet.app.serving.callpath import Completed, Completion, StreamPart
from quintet.app.serving.routes import Route
from quintet.dialects.kit.times import to_seconds
from quintet.dialects.llama_stack import chat_wire as wire
from quintet.dialects.llama_stack.binder import DIALECT
from quintet.domain.ids import Id, from_prefixed, to_prefixed
from quintet.domain.interactions import Interaction
from quintet.ports.engine import Usage

CHAT_PREFIX = "chatcmpl-"

_PASSED = tuple(f.name for f in fields(wire.ChatRequest) if f.type is Any)
"""What goes to the engine as it came: only upstreams that know it read it."""


def to_completion(body: wire.ChatRequest) -> Completion:
    """The command for the call path, which checks the values."""
    if body.metadata:
        check_labels(body.metadata)
    return Completion(
        model=body.model,
        messages=body.messages,
        dialect=DIALECT,
        max_tokens=body.max_completion_tokens if body.max_tokens is None else body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        stop=stops(body.stop),
        seed=body.seed,
        n=1 if body.n is None else body.n,
        end_user=body.user,
        labels=body.metadata or {},
        extra=passed(body, _PASSED),
    )


def stops(given: str | list[str] | None) -> Sequence[str]:
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else given


def passed(body: wire.Sampled, names: Sequence[str]) -> Mapping[str, Any]:
    """Those of the fields that the client gave a value."""
    return {name: value for name in names if (value := getattr(body, name)) is not None}


def model_said(wanted: str, route: Route) -> str:
    """The model as the client named it, or what it was routed to where it named only a project."""
    key = route.deployment.key
    if wanted == key or wanted.endswith(f"/{key}"):
        return wanted
    return f"{route.project_key}/{key}" if route.project_key else key


def usage(used: Usage) -> wire.Usage:
    return wire.Usage(used.prompt_tokens, used.completion_tokens, used.prompt_tokens + used.completion_tokens)


def completion_id(interaction: Id) -> str:
    return to_prefixed(interaction, CHAT_PREFIX)


def interaction_id(text: str) -> Id | None:
    """The interaction that a completion's id names; None for any other text."""
    return from_prefixed(text, CHAT_PREFIX)


def from_completed(done: Completed, wanted: str) -> wire.ChatCompletion:
    """The whole reply. It has the id of its first choice; the others are stored under ids of their own."""
    first = done.choices[0].interaction
    choices = [
        wire.Choice(index, _message(c.generation.text, c.generation.tool_calls), c.generation.finish_reason)
        for index, c in enumerate(done.choices)
    ]
    return wire.ChatCompletion(
        completion_id(first.id), to_seconds(first.created_at), model_said(wanted, done.route), choices,
        usage(done.usage),
    )  # fmt: skip


def _message(text: str, calls: Sequence[Mapping[str, Any]]) -> wire.Message:
    if not calls:
        return wire.Message(text)
    # The place in the list is an index already; only parts of a stream carry it.
    return wire.Message(text or None, tool_calls=[{k: v for k, v in c.items() if k != "index"} for c in calls])


def from_part(part: StreamPart, ident: str, created: int, model: str, *, first: bool) -> wire.Chunk:
    """One event; the `first` of a choice says whose turn it is."""
    given = part.delta
    delta = wire.Delta(
        role="assistant" if first else UNSET,
        content=given.text if given.text or first else UNSET,
        tool_calls=[{"index": i, **c} for i, c in enumerate(given.tool_calls)] if given.tool_calls else UNSET,
    )
    return wire.Chunk(ident, created, model, [wire.ChunkChoice(part.index, delta, given.finish_reason)])


def from_interaction(item: Interaction) -> wire.StoredCompletion:
    """A stored interaction as a completion with what was sent."""
    used = Usage(item.prompt_tokens, item.completion_tokens)
    message = _message(item.completion, item.metadata.get("tool_calls") or ())
    return wire.StoredCompletion(
        completion_id(item.id), to_seconds(item.created_at), item.model_name,
        [wire.Choice(0, message, item.finish_reason)], usage(used), item.messages,
    )  # fmt: skip
