"""The call path: key → deployment → engine → reply, with the interaction durable when the reply ends.

Nothing here asks the database for what the routing table knows. The one write of a call is its interaction,
and it shares its commit with the calls beside it. A stream holds neither a thread nor a transaction.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from quintet.app.context import Effect
from quintet.app.core import Core
from quintet.app.serving.engines import EnginePool
from quintet.app.serving.recorder import Recorder
from quintet.app.serving.routes import Route, RoutingTable, load_table, resolve
from quintet.domain.errors import Invalid, NotFound, QuintetError, TimedOut, Unsupported
from quintet.domain.identity import Actor
from quintet.domain.ids import Id, new_id
from quintet.domain.interactions import Interaction, InteractionSource
from quintet.ports.engine import Delta, Embeds, GenerateRequest, Generates, Generation, Streams, Usage

log = logging.getLogger("quintet.calls")
REFRESH_SECONDS = 5.0
"""How stale the routing table may get when another process changed it; our own changes are seen at once."""

MAX_CHOICES = 16
"""The most choices of one request: each is a generation of its own."""

CALLABLE_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function", "document"})


@dataclass(frozen=True, slots=True)
class Completion:
    """What to complete. `model` as in `routes.resolve`; `extra` is passed to upstreams (tools, formats, ...)."""

    model: str
    messages: Sequence[Mapping[str, Any]]
    dialect: str
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: Sequence[str] = ()
    seed: int | None = None
    n: int = 1
    session_id: Id | None = None
    end_user: str | None = None
    experiment: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    type: str = "chat"
    source: InteractionSource = InteractionSource.LIVE
    correlation_id: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    max_ttft_ms: int | None = None
    record: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer, with the interaction that was written for it."""

    interaction: Interaction
    generation: Generation


@dataclass(frozen=True, slots=True)
class Completed:
    """Every choice, the route that was taken, and how long the engine took (µs)."""

    choices: Sequence[Choice]
    route: Route
    engine_us: int

    @property
    def usage(self) -> Usage:
        prompt = max((c.generation.usage.prompt_tokens for c in self.choices), default=0)
        return Usage(prompt, sum(c.generation.usage.completion_tokens for c in self.choices))


@dataclass(slots=True)
class StreamPart:
    """A delta of choice `index`; the last part of a choice carries the interaction that was written."""

    index: int
    delta: Delta
    interaction_id: Id
    interaction: Interaction | None = None


class CallPath:
    """Completions and embeddings for every dialect."""

    def __init__(self, core: Core, pool: EnginePool) -> None:
        self._core = core
        self.pool = pool
        self.recorder = Recorder(core)
        self._table: RoutingTable | None = None
        # What was last heard of, and what the table was loaded after. An object for each change and not a flag:
        # a flag that is cleared while the table loads would give the old one to whoever asks meanwhile.
        self._change: object = object()
        self._loaded_after: object = None
        self._loaded_at = 0.0
        self._lock = asyncio.Lock()
        core.listen(self._on_effect)

    def _on_effect(self, effect: Effect) -> None:
        if effect.kind == "routes":
            self._change = object()

    async def table(self) -> RoutingTable:
        """The current routing table."""
        if self._table is not None and self._fresh():
            return self._table
        async with self._lock:
            if self._table is None or not self._fresh():
                change = self._change
                version = self._table.version + 1 if self._table else 1
                self._table = await self._core.db.aread(lambda tx: load_table(tx, version))
                self._loaded_after, self._loaded_at = change, time.monotonic()
            return self._table

    def _fresh(self) -> bool:
        return self._loaded_after is self._change and time.monotonic() - self._loaded_at < REFRESH_SECONDS

    async def route(self, actor: Actor, wanted: Completion) -> Route:
        sticky = wanted.session_id or wanted.end_user
        table = await self.table()
        return resolve(table, actor, wanted.model, sticky=sticky, experiment=wanted.experiment)

    async def complete(self, actor: Actor, wanted: Completion) -> Completed:
        """Every choice at once. A failed call is written down too, then raised."""
        _check(wanted)
        route = await self.route(actor, wanted)
        started = self._core.clock()
        begun = time.perf_counter_ns()
        try:
            engine, ref = await _within(self.pool.ready(route.deployment), wanted.max_ttft_ms)
            if not isinstance(engine, Generates):
                raise Unsupported(f"'{route.deployment.key}' cannot answer chat requests", field="model")
            requests = [_request(wanted, ref, n) for n in range(wanted.n)]
            generations = await asyncio.gather(*(engine.generate(r) for r in requests))
        except QuintetError as error:
            await self._record_failure(actor, wanted, route, started, begun, error)
            raise
        engine_us = (time.perf_counter_ns() - begun) // 1000
        made = [_interaction(actor, wanted, route, g, started=started, latency_us=engine_us) for g in generations]
        if wanted.record:
            await asyncio.gather(*(self.recorder.record(i) for i in made))
        return Completed([Choice(i, g) for i, g in zip(made, generations, strict=True)], route, engine_us)

    async def stream(self, actor: Actor, wanted: Completion) -> tuple[Route, AsyncIterator[StreamPart]]:
        """The route, and the parts as they come; what can fail before the first part fails here.

        When the reader goes away the engine is told to stop, and what was said until then is written down.
        """
        _check(wanted)
        route = await self.route(actor, wanted)
        started = self._core.clock()
        begun = time.perf_counter_ns()
        try:
            engine, ref = await _within(self.pool.ready(route.deployment), wanted.max_ttft_ms)
            if not isinstance(engine, Streams):
                raise Unsupported(f"'{route.deployment.key}' cannot stream", field="stream")
        except QuintetError as error:
            await self._record_failure(actor, wanted, route, started, begun, error)
            raise
        sources = [engine.stream(_request(wanted, ref, n)) for n in range(wanted.n)]
        return route, self._merge(actor, wanted, route, sources, started, begun)

    async def _merge(
        self,
        actor: Actor,
        wanted: Completion,
        route: Route,
        sources: Sequence[AsyncIterator[Delta]],
        started: int,
        begun: int,
    ) -> AsyncIterator[StreamPart]:
        if len(sources) == 1:
            # Closed on purpose: a generator that is left to the garbage collector would write its interaction late.
            async with aclosing(self._one_stream(actor, wanted, route, sources[0], 0, started, begun)) as only:
                async for part in only:
                    yield part
            return
        queue: asyncio.Queue[StreamPart | BaseException | None] = asyncio.Queue(64)

        async def pump(index: int) -> None:
            try:
                async with aclosing(
                    self._one_stream(actor, wanted, route, sources[index], index, started, begun)
                ) as parts:
                    async for part in parts:
                        await queue.put(part)
                await queue.put(None)
            except Exception as error:
                await queue.put(error)

        tasks = [asyncio.create_task(pump(i)) for i in range(len(sources))]
        try:
            open_ones = len(tasks)
            while open_ones:
                got = await queue.get()
                if got is None:
                    open_ones -= 1
                elif isinstance(got, BaseException):
                    raise got
                else:
                    yield got
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _one_stream(
        self,
        actor: Actor,
        wanted: Completion,
        route: Route,
        source: AsyncIterator[Delta],
        index: int,
        started: int,
        begun: int,
    ) -> AsyncGenerator[StreamPart, None]:
        ident = new_id()
        text: list[str] = []
        calls: list[Mapping[str, Any]] = []
        ttft: int | None = None
        last: Delta | None = None
        failure: BaseException | None = None
        try:
            async with _closing(source) as deltas:
                async for delta in deltas:
                    if ttft is None:
                        ttft = (time.perf_counter_ns() - begun) // 1000
                    text.append(delta.text)
                    calls.extend(delta.tool_calls)
                    if delta.finish_reason is not None:
                        last = delta
                        continue
                    yield StreamPart(index, delta, ident)
        except (Exception, asyncio.CancelledError, GeneratorExit) as error:
            failure = error
            raise
        finally:
            # An interrupted stream is still written down: shielded, because this task may be on its way out.
            usage = (last.usage if last else None) or Usage(0, len(text))
            reason = last.finish_reason if last and last.finish_reason else "interrupted"
            whole = Generation("".join(text), reason, usage, calls)
            made = _interaction(
                actor, wanted, route, whole, started=started, ttft_us=ttft, ident=ident, failure=failure,
                latency_us=(time.perf_counter_ns() - begun) // 1000,
            )  # fmt: skip
            if wanted.record:
                await asyncio.shield(self.recorder.record(made))
        if last is not None:
            yield StreamPart(index, last, ident, made)

    async def embed(
        self, actor: Actor, model: str, texts: Sequence[str], *, dialect: str
    ) -> tuple[Route, list[list[float]]]:
        """One vector for each text, in the same order."""
        if not texts or any(not isinstance(t, str) or not t for t in texts):
            raise Invalid("'input' needs one or more texts that are not empty", field="input")
        wanted = Completion(model, [{"role": "user", "content": "\n".join(texts)}], dialect, type="embedding")
        route = await self.route(actor, wanted)
        started, begun = self._core.clock(), time.perf_counter_ns()
        engine, ref = await self.pool.ready(route.deployment)
        if not isinstance(engine, Embeds):
            raise Unsupported(f"'{route.deployment.key}' cannot embed", field="model")
        vectors = await engine.embed(ref, texts)
        latency = (time.perf_counter_ns() - begun) // 1000
        whole = Generation("", "stop", Usage(sum(len(t.split()) for t in texts), 0))
        await self.recorder.record(_interaction(actor, wanted, route, whole, started=started, latency_us=latency))
        return route, vectors

    async def _record_failure(
        self, actor: Actor, wanted: Completion, route: Route, started: int, begun: int, error: QuintetError
    ) -> None:
        if wanted.record:
            latency = (time.perf_counter_ns() - begun) // 1000
            none = Generation("", "error", Usage())
            made = _interaction(actor, wanted, route, none, started=started, latency_us=latency, failure=error)
            await self.recorder.record(made)


@asynccontextmanager
async def _closing(source: AsyncIterator[Delta]) -> AsyncIterator[AsyncIterator[Delta]]:
    """Ends an engine's stream when its reader is done with it; a plain iterator has nothing to end."""
    try:
        yield source
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()


async def _within(waiting: Any, max_ttft_ms: int | None) -> Any:
    if max_ttft_ms is None:
        return await waiting
    try:
        return await asyncio.wait_for(waiting, max_ttft_ms / 1000)
    except TimeoutError as error:
        raise TimedOut(f"no answer within {max_ttft_ms} ms", field="max_ttft_ms") from error


def _check(wanted: Completion) -> None:
    if not wanted.messages:
        raise Invalid("'messages' needs at least one message", field="messages")
    for index, message in enumerate(wanted.messages):
        if message.get("role") not in CALLABLE_ROLES:
            raise Invalid(f"'{message.get('role')}' is no role", field=f"messages[{index}].role")
    if not 1 <= wanted.n <= MAX_CHOICES:
        raise Invalid(f"'n' must be 1 to {MAX_CHOICES}", field="n")
    if wanted.max_tokens is not None and wanted.max_tokens < 1:
        raise Invalid("'max_tokens' must be at least 1", field="max_tokens")
    if wanted.temperature is not None and not 0 <= wanted.temperature <= 2:
        raise Invalid("'temperature' must be between 0 and 2", field="temperature")
    if wanted.top_p is not None and not 0 < wanted.top_p <= 1:
        raise Invalid("'top_p' must be above 0 and at most 1", field="top_p")


def _request(wanted: Completion, ref: Any, number: int) -> GenerateRequest:
    seed = None if wanted.seed is None else wanted.seed + number
    return GenerateRequest(
        ref, wanted.messages, wanted.max_tokens, wanted.temperature, wanted.top_p, tuple(wanted.stop), seed,
        wanted.extra,
    )  # fmt: skip


def _interaction(
    actor: Actor,
    wanted: Completion,
    route: Route,
    generation: Generation,
    *,
    started: int,
    latency_us: int,
    ttft_us: int | None = None,
    ident: Id | None = None,
    failure: BaseException | None = None,
) -> Interaction:
    deployment = route.deployment
    messages = [dict(m) for m in wanted.messages]
    parameters = {
        "max_tokens": wanted.max_tokens,
        "temperature": wanted.temperature,
        "top_p": wanted.top_p,
        "stop": list(wanted.stop) or None,
        "seed": wanted.seed,
    }
    metadata = dict(wanted.metadata)
    if generation.tool_calls:
        metadata["tool_calls"] = [dict(c) for c in generation.tool_calls]
    return Interaction(
        id=ident or new_id(), space_id=actor.space_id, project_id=route.project_id, created_at=started,
        messages=messages, completion=generation.text, source=wanted.source, type=wanted.type,
        dialect=wanted.dialect, user_id=actor.user_id, end_user=wanted.end_user, model_id=deployment.model_id,
        deployment_id=deployment.id, model_name=deployment.key, experiment_id=route.experiment_id,
        session_id=wanted.session_id, prompt_hash=prompt_hash(messages),
        status="success" if failure is None else "error", error=_reason(failure),
        finish_reason=generation.finish_reason, prompt_tokens=generation.usage.prompt_tokens,
        completion_tokens=generation.usage.completion_tokens, latency_us=latency_us, ttft_us=ttft_us,
        billing_tag=route.billing_tag, correlation_id=wanted.correlation_id, labels=dict(wanted.labels),
        parameters={k: v for k, v in parameters.items() if v is not None}, metadata=metadata,
    )  # fmt: skip


def _reason(failure: BaseException | None) -> str:
    if failure is None:
        return ""
    if isinstance(failure, QuintetError):
        return f"{failure.code}: {failure.message}"
    if isinstance(failure, asyncio.CancelledError | GeneratorExit):
        return "interrupted: the caller went away"
    return "internal"


def prompt_hash(messages: Sequence[Mapping[str, Any]]) -> str:
    """What groups calls with the same messages: roles and contents, nothing else of them."""
    said = [[m.get("role"), m.get("content")] for m in messages]
    return hashlib.blake2b(json.dumps(said, sort_keys=True, default=str).encode(), digest_size=16).hexdigest()


def with_labels(item: Interaction, labels: Mapping[str, str]) -> Interaction:
    """The interaction with exactly these labels."""
    return replace(item, labels=dict(labels))


__all__ = ["CallPath", "Choice", "Completed", "Completion", "NotFound", "StreamPart", "prompt_hash", "with_labels"]
