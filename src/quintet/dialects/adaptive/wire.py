"""Bodies of the REST operations, decoded by declared types; absent and null mean the same."""

from __future__ import annotations

from typing import Any

import msgspec


class ContentPart(msgspec.Struct, frozen=True):
    """`image_url` is an address or a data URI, as text or in OpenAI's object."""

    type: str
    text: str | None = None
    image_url: str | dict[str, Any] | None = None


class ChatMessage(msgspec.Struct, frozen=True):
    """`tool_calls` and `tool_call_id` are OpenAI's, whose clients use this endpoint too."""

    role: str
    content: str | list[ContentPart] | None = None
    name: str | None = None
    completion_id: str | None = None
    metadata: Any = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None


class ChatInput(msgspec.Struct, frozen=True):
    """The last block is OpenAI's: handed to upstreams that know it."""

    messages: list[ChatMessage]
    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_ttft_ms: int | None = None
    session_id: str | None = None
    user: str | None = None
    ab_campaign: str | None = None
    n: int | None = None
    labels: dict[str, str] | None = None
    metadata: dict[str, str] | None = None
    tags: list[str] | None = None
    system_prompt_args: dict[str, Any] | None = None
    use_tools: bool | None = None
    tools: list[dict[str, Any]] | None = None

    max_completion_tokens: int | None = None
    seed: int | None = None
    tool_choice: Any = None
    response_format: Any = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


class EmbeddingsInput(msgspec.Struct, frozen=True):
    input: str | list[str]
    model: str
    encoding_format: str | None = None
    dimensions: int | None = None
    user: str | None = None
    session_id: str | None = None


class InteractionFeedback(msgspec.Struct, frozen=True):
    metric: str
    value: bool | float
    reason: str | None = None
    details: str | None = None
    created_at: int | float | str | None = None


class AddInteractions(msgspec.Struct, frozen=True):
    use_case: str
    messages: list[ChatMessage]
    completion: str
    model_service: str | None = None
    feedbacks: list[InteractionFeedback] | None = None
    user: str | None = None
    session_id: str | None = None
    created_at: int | float | str | None = None
    ab_campaign: str | None = None
    labels: dict[str, str] | None = None


class AddFeedback(msgspec.Struct, frozen=True):
    value: bool | float
    completion_id: str
    metric: str
    user_id: str | None = None
    reason: str | None = None
    details: str | None = None


class RawCompletion(msgspec.Struct, frozen=True):
    text: str
    model: str


class AddComparison(msgspec.Struct, frozen=True):
    metric: str
    preferred_completion: str | RawCompletion
    other_completion: str | RawCompletion
    messages: list[ChatMessage] | None = None
    tied: str | None = None
    use_case: str | None = None
    user_id: str | None = None


class AddOutcome(msgspec.Struct, frozen=True):
    value: bool | float
    metric: str
    session_id: str
    user_id: str | None = None


class InitUpload(msgspec.Struct, frozen=True):
    total_parts_count: int
    content_type: str | None = None
    metadata: dict[str, Any] | None = None


class UploadSession(msgspec.Struct, frozen=True):
    session_id: str


# -- replies on the hot path ----------------------------------------------------------------------------------


class Usage(msgspec.Struct, frozen=True):
    completion_tokens: int
    prompt_tokens: int
    total_tokens: int


class ReplyMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """`content` is text in every case, because the official client takes nothing else."""

    id: str
    role: str
    content: str
    tool_calls: list[Any] = []


class Choice(msgspec.Struct, frozen=True):
    index: int
    message: ReplyMessage
    finish_reason: str | None
    completion_id: str
    model: str


class ChatReply(msgspec.Struct, frozen=True):
    """With `object` and `model`, which only OpenAI's clients read."""

    id: str
    object: str
    created: float
    model: str
    choices: list[Choice]
    session_id: str
    usage: Usage


class StreamChoice(msgspec.Struct, frozen=True):
    index: int
    delta: ReplyMessage
    finish_reason: str | None
    completion_id: str


class Chunk(msgspec.Struct, frozen=True, omit_defaults=True):
    id: str
    object: str
    created: float
    model: str
    choices: list[StreamChoice]
    session_id: str
    usage: Usage | None = None
