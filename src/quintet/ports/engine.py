"""What a model engine can do, as small capability protocols.

A caller asks for the capability it needs (`isinstance(engine, Streams)`), never for an engine by name.
All methods are coroutines of the server's event loop and must not block it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """An engine as data, so that listing engines imports none of them.

    `module` holds `create(config, services) -> Engine`; `extra` is the pip extra it needs, if any;
    `capabilities` are names of the protocols below.
    """

    name: str
    module: str
    extra: str | None
    capabilities: frozenset[str]
    summary: str


@dataclass(frozen=True, slots=True)
class ModelRef:
    """What to load: `path` is a folder of a transformers model; with `adapter_path` a PEFT adapter beside it.

    `key` names the weights (model id and version) and is what caches and adapters are keyed by; `name` is the
    upstream's own name where the engine is one.
    """

    key: str
    path: str = ""
    adapter_key: str = ""
    adapter_path: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """One completion. `messages` are OpenAI-shaped; `extra` goes to upstreams that know more (tools, ...)."""

    model: ModelRef
    messages: Sequence[Mapping[str, Any]]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: Sequence[str] = ()
    seed: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Generation:
    """A whole reply. `finish_reason`: stop, length, tool_calls or content_filter. `tool_calls` OpenAI-shaped."""

    text: str
    finish_reason: str
    usage: Usage
    tool_calls: Sequence[Mapping[str, Any]] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delta:
    """A part of a streamed reply; the last one carries `finish_reason` and `usage`."""

    text: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    tool_calls: Sequence[Mapping[str, Any]] = ()


class Engine(Protocol):
    """What every engine has. `load` may take minutes and is idempotent; `unload` of what is gone is no error."""

    async def load(self, model: ModelRef) -> None: ...

    async def unload(self, model: ModelRef) -> None: ...

    async def close(self) -> None: ...


@runtime_checkable
class Generates(Protocol):
    async def generate(self, request: GenerateRequest) -> Generation: ...


@runtime_checkable
class Streams(Protocol):
    def stream(self, request: GenerateRequest) -> AsyncIterator[Delta]: ...


@runtime_checkable
class Embeds(Protocol):
    async def embed(self, model: ModelRef, texts: Sequence[str]) -> list[list[float]]: ...


@runtime_checkable
class LoadsAdapters(Protocol):
    async def load_adapter(self, model: ModelRef) -> None: ...

    async def unload_adapter(self, model: ModelRef) -> None: ...
