"""A deterministic engine: the same request has the same answer on every machine, at no cost.

A token is a word with the white space before it. The rules, first match wins: a message `call NAME {json}` to
a model that was given tools becomes a tool call; `reply` in the settings answers everything; `mode` decides
the rest.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Literal, assert_never

import msgspec

from quintet.domain.errors import FAMILY, Internal, Invalid
from quintet.engines.services import EngineServices, read_config
from quintet.engines.text import StopScanner, content_text
from quintet.ports.engine import Delta, GenerateRequest, Generation, ModelRef, Usage

_TOKEN = re.compile(r"\s*\S+|\s+$")
_CALL = re.compile(r"call (\w[\w.-]*)(?: (.*))?$", re.DOTALL)
_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven", "iris", "jade", "kelp",
          "lotus", "maple", "north", "ocean", "pearl")  # fmt: skip


class FakeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`delay` in seconds before each chunk; `fail` is the code of an error (`unavailable`, ...) to answer with."""

    mode: Literal["echo", "upper", "words"] = "echo"
    reply: str | None = None
    delay: float = 0.0
    tokens_per_chunk: int = 1
    fail: str | None = None
    dimensions: int = 16


class FakeEngine:
    """Implements Generates, Streams, Embeds and LoadsAdapters. `loaded` and `calls` are there for tests."""

    def __init__(self, config: FakeConfig) -> None:
        self._config = config
        self.loaded: set[str] = set()
        self.calls = 0
        self.closed = False

    async def load(self, model: ModelRef) -> None:
        self.loaded.add(model.key)

    async def unload(self, model: ModelRef) -> None:
        self.loaded.discard(model.key)

    async def load_adapter(self, model: ModelRef) -> None:
        self.loaded.add(f"{model.key}+{model.adapter_key}")

    async def unload_adapter(self, model: ModelRef) -> None:
        self.loaded.discard(f"{model.key}+{model.adapter_key}")

    async def close(self) -> None:
        self.closed = True

    async def generate(self, request: GenerateRequest) -> Generation:
        deltas = [delta async for delta in self.stream(request)]
        last = deltas[-1]
        return Generation(
            text="".join(d.text for d in deltas),
            finish_reason=last.finish_reason or "stop",
            usage=last.usage or Usage(),
            tool_calls=[call for d in deltas for call in d.tool_calls],
        )

    async def stream(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        self.calls += 1
        self._maybe_fail()
        prompt_tokens = sum(_count(content_text(m.get("content"))) for m in request.messages)
        call = _tool_call(request)
        if call is not None:
            await asyncio.sleep(self._config.delay)
            yield Delta(tool_calls=[call], finish_reason="tool_calls", usage=Usage(prompt_tokens, 1))
            return
        tokens = _tokens(self._answer(request))
        limit = len(tokens) if request.max_tokens is None else request.max_tokens
        scanner = StopScanner(request.stop)
        used = 0
        for chunk in _chunks(tokens[:limit], self._config.tokens_per_chunk):
            await asyncio.sleep(self._config.delay)
            used += len(chunk)
            shown = scanner.feed("".join(chunk))
            if shown:
                yield Delta(text=shown)
            if scanner.stopped:
                break
        reason = "length" if not scanner.stopped and limit < len(tokens) else "stop"
        yield Delta(text=scanner.flush(), finish_reason=reason, usage=Usage(prompt_tokens, used))

    async def embed(self, model: ModelRef, texts: Sequence[str]) -> list[list[float]]:
        self._maybe_fail()
        return [_vector(f"{model.key}\n{text}", self._config.dimensions) for text in texts]

    def _answer(self, request: GenerateRequest) -> str:
        if self._config.reply is not None:
            return self._config.reply
        text = _last_user_text(request.messages)
        prefix = f"{request.model.adapter_key}: " if request.model.adapter_key else ""
        match self._config.mode:
            case "echo":
                return f"{prefix}echo: {text}"
            case "upper":
                return f"{prefix}{text.upper()}"
            case "words":
                seed = f"{request.model.key}|{prefix}|{text}|{request.temperature}|{request.seed}"
                digest = hashlib.sha256(seed.encode()).digest()
                return " ".join(_WORDS[byte % len(_WORDS)] for byte in digest[:12])
            case unreachable:
                assert_never(unreachable)

    def _maybe_fail(self) -> None:
        if self._config.fail is not None:
            kind = next((k for k in FAMILY if k.code == self._config.fail), Internal)
            raise kind("the fake engine was told to fail")


def create(config: Mapping[str, Any], services: EngineServices) -> FakeEngine:
    """The engine. Invalid for settings that make no sense."""
    settings = read_config(FakeConfig, config)
    if settings.tokens_per_chunk < 1 or settings.dimensions < 1 or settings.delay < 0:
        raise Invalid("engine settings: tokens_per_chunk and dimensions start at 1, delay at 0", field="config")
    return FakeEngine(settings)


def _last_user_text(messages: Sequence[Mapping[str, Any]]) -> str:
    for message in reversed(messages):
        if message.get("role") == "user":
            return content_text(message.get("content"))
    return ""


def _tool_call(request: GenerateRequest) -> dict[str, Any] | None:
    if not request.extra.get("tools") or not request.messages or request.messages[-1].get("role") != "user":
        return None
    found = _CALL.match(content_text(request.messages[-1].get("content")))
    if found is None:
        return None
    name, arguments = found.group(1), found.group(2) or "{}"
    ident = hashlib.sha256(f"{name}{arguments}{len(request.messages)}".encode()).hexdigest()[:12]
    function = {"name": name, "arguments": arguments}
    return {"index": 0, "id": f"call_{ident}", "type": "function", "function": function}


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text)


def _count(text: str) -> int:
    return len(_tokens(text))


def _chunks(tokens: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(tokens), size):
        yield tokens[start : start + size]


def _vector(text: str, dimensions: int) -> list[float]:
    """A unit vector out of hashes, so that equal texts are near and others are not."""
    values: list[float] = []
    for block in range((dimensions + 31) // 32):
        digest = hashlib.sha256(f"{block}|{text}".encode()).digest()
        values.extend((byte - 127.5) / 127.5 for byte in digest)
    values = values[:dimensions]
    norm = math.sqrt(sum(v * v for v in values))
    return [v / norm for v in values]
