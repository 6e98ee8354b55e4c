"""The engine in the server: turns requests into frames for the model process and its frames into replies.

The process starts with the first request, is started again after a crash (which fails only what was in flight),
and ends after a while without any request, which is the one sure way to give all of its memory back.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Literal

import msgspec

from quintet.domain.errors import Internal, Invalid
from quintet.engines.services import EngineServices, read_config
from quintet.engines.transformers.link import Call, ModelProcess
from quintet.engines.transformers.protocol import (
    Answer,
    Embed,
    Finished,
    Generate,
    Load,
    Piece,
    Request,
    Unload,
    Vectors,
    Weights,
)
from quintet.ports.engine import Delta, GenerateRequest, Generation, ModelRef, Usage


class TransformersConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`threads`: more than the cores of the machine slow everything down. `dtype` "default" is float32 on a CPU
    and the checkpoint's own on a GPU. `max_batch` rows decode together: each costs memory for its context.
    `max_models` stay loaded at once. `idle_seconds` without a request end the process; 0 keeps it.
    """

    threads: int = 2
    dtype: Literal["default", "auto", "float32", "bfloat16", "float16"] = "default"
    max_batch: int = 16
    max_models: int = 4
    default_max_tokens: int = 512
    idle_seconds: float = 900.0


class TransformersEngine:
    """Implements Generates, Streams, Embeds and LoadsAdapters for folders of Hugging Face models."""

    def __init__(self, config: TransformersConfig, services: EngineServices) -> None:
        self._config = config
        self._log = services.log
        self._process: ModelProcess | None = None
        self._starting = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._users = 0

    async def load(self, model: ModelRef) -> None:
        await self._ask(lambda ident: Load(ident, _weights(model)))

    async def unload(self, model: ModelRef) -> None:
        if self._process is not None and not self._process.dead:
            await self._ask(lambda ident: Unload(ident, _weights(model)))

    async def load_adapter(self, model: ModelRef) -> None:
        await self.load(model)

    async def unload_adapter(self, model: ModelRef) -> None:
        if self._process is not None and not self._process.dead:
            await self._ask(lambda ident: Unload(ident, _weights(model), adapter_only=True))

    async def close(self) -> None:
        """Ends the process; what is in flight fails with Unavailable."""
        self._stop_clock()
        process, self._process = self._process, None
        if process is not None:
            await process.close()
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def generate(self, request: GenerateRequest) -> Generation:
        make = _generate(request, stream=False)
        answer = await self._ask(make)
        if not isinstance(answer, Finished):
            raise Internal("the model process gave an answer of the wrong kind")
        return Generation(answer.text, answer.reason, Usage(answer.prompt_tokens, answer.completion_tokens))

    async def stream(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        make = _generate(request, stream=True)
        with self._in_use():
            process = await self._running()
            with contextlib.closing(process.subscribe()) as call:
                await call.send(make)
                async for delta in _deltas(call):
                    yield delta

    async def embed(self, model: ModelRef, texts: Sequence[str]) -> list[list[float]]:
        if not texts:
            return []
        answer = await self._ask(lambda ident: Embed(ident, _weights(model), list(texts)))
        if not isinstance(answer, Vectors):
            raise Internal("the model process gave an answer of the wrong kind")
        return answer.vectors

    async def _ask(self, make: Callable[[int], Request]) -> Answer:
        with self._in_use():
            process = await self._running()
            return await process.ask(make)

    async def _running(self) -> ModelProcess:
        """The process, started where there is none or the last one has died."""
        async with self._starting:
            if self._process is None or self._process.dead:
                if self._process is not None:
                    await self._process.close()
                self._process = await ModelProcess.start(_options(self._config), self._log)
            return self._process

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[None]:
        """Counts the requests, so that the clock of idleness runs between the last one and the next."""
        self._users += 1
        self._stop_clock()
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0 and self._config.idle_seconds > 0:
                loop = asyncio.get_running_loop()
                self._idle = loop.call_later(self._config.idle_seconds, self._end_idle)

    def _end_idle(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            task = asyncio.get_running_loop().create_task(process.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _stop_clock(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None


def create(config: Mapping[str, Any], services: EngineServices) -> TransformersEngine:
    """The engine. ModuleNotFoundError, which the catalog explains, where its libraries are not installed."""
    settings = read_config(TransformersConfig, config)
    if min(settings.threads, settings.max_batch, settings.max_models, settings.default_max_tokens) < 1:
        raise Invalid(
            "engine settings: threads, max_batch, max_models and default_max_tokens start at 1", field="config"
        )
    for package in ("torch", "transformers", "peft"):
        # Looked for and not imported: only the process has use for them.
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named '{package}'", name=package)
    return TransformersEngine(settings, services)


async def _deltas(call: Call) -> AsyncIterator[Delta]:
    while True:
        answer = await call.next()
        if isinstance(answer, Piece):
            yield Delta(text=answer.text)
        elif isinstance(answer, Finished):
            usage = Usage(answer.prompt_tokens, answer.completion_tokens)
            yield Delta(text=answer.text, finish_reason=answer.reason, usage=usage)
            return


def _generate(request: GenerateRequest, *, stream: bool) -> Callable[[int], Generate]:
    """Checks what a client may have sent wrong, here, where it costs no trip to the process."""
    temperature = 1.0 if request.temperature is None else request.temperature
    top_p = 1.0 if request.top_p is None else request.top_p
    if request.max_tokens is not None and request.max_tokens < 1:
        raise Invalid("max_tokens must be at least 1", field="max_tokens")
    if not 0 <= temperature <= 100:
        raise Invalid("temperature must be at least 0 and at most 100", field="temperature")
    if not 0 < top_p <= 1:
        raise Invalid("top_p must be above 0 and at most 1", field="top_p")
    if not request.messages:
        raise Invalid("there must be at least one message", field="messages")
    tools = request.extra.get("tools")
    return lambda ident: Generate(
        id=ident,
        weights=_weights(request.model),
        messages=[dict(message) for message in request.messages],
        max_tokens=request.max_tokens,
        temperature=float(temperature),
        top_p=float(top_p),
        stop=list(request.stop),
        # MessagePack knows integers of 64 bits, clients any.
        seed=secrets.randbits(63) if request.seed is None else request.seed % 2**63,
        stream=stream,
        tools=list(tools) if isinstance(tools, list | tuple) and tools else None,
    )


def _weights(model: ModelRef) -> Weights:
    return Weights(model.key, model.path, model.adapter_key, model.adapter_path)


def _options(config: TransformersConfig) -> str:
    """What the process is told on its command line; it ignores what it does not know."""
    return msgspec.json.encode(config).decode()
