"""The bodies of chat completions, as OpenAI writes them."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType


class StreamOptions(Struct):
    include_usage: bool | None = None


class Sampled(Struct, kw_only=True):
    """What chat and text completions have in common. Fields of the type Any go to the engine as they came."""

    model: str
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    frequency_penalty: Any = None
    presence_penalty: Any = None
    logit_bias: Any = None
    logprobs: Any = None
    top_k: Any = None
    min_p: Any = None
    repetition_penalty: Any = None
    guided_choice: Any = None
    guided_json: Any = None
    guided_regex: Any = None


class ChatRequest(Sampled, kw_only=True):
    """`metadata` becomes the labels of the interaction."""

    messages: list[dict[str, Any]]
    max_completion_tokens: int | None = None
    metadata: dict[str, str] | None = None
    tools: Any = None
    tool_choice: Any = None
    response_format: Any = None
    parallel_tool_calls: Any = None
    functions: Any = None
    function_call: Any = None
    top_logprobs: Any = None
    reasoning_effort: Any = None
    chat_template_kwargs: Any = None


class Usage(Struct):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Message(Struct):
    content: str | None
    role: str = "assistant"
    tool_calls: list[Any] | UnsetType = UNSET


class Choice(Struct):
    index: int
    message: Message
    finish_reason: str | None
    logprobs: None = None


class ChatCompletion(Struct):
    id: str
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    object: str = "chat.completion"


class Delta(Struct):
    role: str | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    tool_calls: list[Any] | UnsetType = UNSET


class ChunkChoice(Struct):
    index: int
    delta: Delta
    finish_reason: str | None = None
    logprobs: None = None


class Chunk(Struct):
    id: str
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | UnsetType = UNSET
    object: str = "chat.completion.chunk"


class StoredCompletion(Struct):
    """A completion with what was sent, as the list of stored ones shows it."""

    id: str
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    input_messages: list[Any]
    object: str = "chat.completion"
