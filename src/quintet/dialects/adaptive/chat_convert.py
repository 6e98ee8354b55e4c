"""Chat requests to the core's completions, and completions to replies. Pure, and on the hot path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from quintet.app.serving.callpath import Completed, Completion, StreamPart
from quintet.dialects.adaptive import wire
from quintet.dialects.adaptive.ids import (
    CAMPAIGN,
    COMPLETION,
    SESSION_GIVEN,
    USE_CASE,
    SessionRef,
    check_uuid,
    ref,
    session_of,
    session_of_id,
)
from quintet.domain.errors import Invalid, Unsupported
from quintet.domain.ids import from_uuid, new_id, to_uuid
from quintet.ports.engine import Usage

PASSED_ON = ("tool_choice", "response_format", "presence_penalty", "frequency_penalty")
"""What upstreams that speak OpenAI's protocol may know; our own engines ignore it."""


def session_for(text: str | None) -> SessionRef:
    """The session of a request; a new one where none is named."""
    return session_of(check_uuid(text, "session_id")) if text is not None else session_of_id(new_id())


def to_completion(body: wire.ChatInput, session: SessionRef) -> Completion:
    """The request as the core takes it."""
    if body.system_prompt_args:
        raise Unsupported("system prompt templates are not implemented", field="system_prompt_args")
    stop = [body.stop] if isinstance(body.stop, str) else body.stop
    labels = body.labels if body.labels is not None else body.metadata
    metadata: dict[str, Any] = {}
    if not session.ours:
        metadata[SESSION_GIVEN] = session.uuid
    if body.tags:
        metadata["tags"] = body.tags
    return Completion(
        model=model_path(body.model),
        messages=to_messages(body.messages),
        dialect="adaptive",
        max_tokens=body.max_tokens if body.max_tokens is not None else body.max_completion_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        stop=stop or (),
        seed=body.seed,
        n=1 if body.n is None else body.n,
        session_id=session.id,
        end_user=body.user,
        experiment=None if body.ab_campaign is None else from_uuid(body.ab_campaign, CAMPAIGN) or body.ab_campaign,
        labels=labels or {},
        metadata=metadata,
        extra=_extra(body),
        max_ttft_ms=body.max_ttft_ms,
    )


def model_path(text: str) -> str:
    """`use_case/model` or `use_case`; the use case may be given by its id."""
    head, slash, tail = text.partition("/")
    return f"{ref(head, USE_CASE)}{slash}{tail}"


def _extra(body: wire.ChatInput) -> dict[str, Any]:
    extra = {name: value for name in PASSED_ON if (value := getattr(body, name)) is not None}
    # The contract's own `tools` switch tool providers on and off; OpenAI's describe functions.
    functions = [tool for tool in body.tools or () if "function" in tool]
    if functions:
        extra["tools"] = functions
    return extra


def to_messages(messages: Iterable[wire.ChatMessage]) -> list[dict[str, Any]]:
    """Messages in OpenAI's shape, which is the core's."""
    made: list[dict[str, Any]] = []
    for index, message in enumerate(messages):
        item: dict[str, Any] = {"role": message.role}
        content = message.content
        if isinstance(content, list):
            item["content"] = [_part(part, f"messages[{index}].content[{n}]") for n, part in enumerate(content)]
        elif content is not None:
            item["content"] = content
        elif message.tool_calls:
            item["content"] = ""
        else:
            raise Invalid("this field is required", field=f"messages[{index}].content")
        for name in ("name", "tool_calls", "tool_call_id"):
            value = getattr(message, name)
            if value is not None:
                item[name] = value
        made.append(item)
    return made


def _part(part: wire.ContentPart, field: str) -> dict[str, Any]:
    if part.type == "text" and part.text is not None:
        return {"type": "text", "text": part.text}
    if part.type == "image_url" and part.image_url is not None:
        image = part.image_url if isinstance(part.image_url, dict) else {"url": part.image_url}
        return {"type": "image_url", "image_url": image}
    raise Invalid("a part is a 'text' with text or an 'image_url' with an address", field=field)


def from_completed(done: Completed, session: SessionRef, chat_id: str) -> wire.ChatReply:
    model = done.route.deployment.key
    choices = [
        wire.Choice(
            index, _message(completion_id := to_uuid(choice.interaction.id, COMPLETION), choice.generation.text,
                            choice.generation.tool_calls),
            choice.generation.finish_reason, completion_id, model,
        )
        for index, choice in enumerate(done.choices)
    ]  # fmt: skip
    created = done.choices[0].interaction.created_at // 1_000_000
    usage = usage_of(done.usage)
    return wire.ChatReply(chat_id, "chat.completion", float(created), model, choices, session.uuid, usage)


def from_part(part: StreamPart, session: SessionRef, chat_id: str, created: float, model: str) -> wire.Chunk:
    completion_id = to_uuid(part.interaction_id, COMPLETION)
    message = _message(completion_id, part.delta.text, part.delta.tool_calls)
    choice = wire.StreamChoice(part.index, message, part.delta.finish_reason, completion_id)
    return wire.Chunk(chat_id, "chat.completion.chunk", created, model, [choice], session.uuid)


def _message(ident: str, text: str, calls: Iterable[Mapping[str, Any]]) -> wire.ReplyMessage:
    return wire.ReplyMessage(ident, "assistant", text, list(calls))


def usage_of(usage: Usage) -> wire.Usage:
    total = usage.prompt_tokens + usage.completion_tokens
    return wire.Usage(usage.completion_tokens, usage.prompt_tokens, total)
