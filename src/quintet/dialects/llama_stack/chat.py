"""Chat completions: the hot path of this dialect, one decode, one call, one encode."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
from starlette.responses import Response

from quintet.app.serving.callpath import Completion, StreamPart
from quintet.app.serving.on_demand import complete, stream
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.errors import as_family
from quintet.dialects.kit.sse import SSEResponse
from quintet.dialects.kit.times import to_seconds
from quintet.dialects.llama_stack import chat_wire as wire
from quintet.dialects.llama_stack.auth import microseconds, speaks_llama_stack
from quintet.dialects.llama_stack.binder import binder
from quintet.dialects.llama_stack.chat_convert import (
    completion_id,
    from_completed,
    from_part,
    model_said,
    to_completion,
    usage,
)
from quintet.dialects.llama_stack.errors import error_body, show_error
from quintet.ports.engine import Usage

OVERHEAD = "x-quintet-overhead-ms"
"""What the server itself took of a completion: everything but the engine, the commit included."""

_encode = msgspec.json.Encoder().encode


@binder.op("POST /v1/chat/completions", body=wire.ChatRequest)
async def chat_completions(call: Call) -> Response:
    body: wire.ChatRequest = call.body
    wanted = to_completion(body)
    if body.stream:
        return await _streamed(call, wanted, wants_usage(body))
    done = await complete(call.core, call.actor, wanted)
    return replied(call, from_completed(done, wanted.model), done.engine_us)


def wants_usage(body: wire.Sampled) -> bool:
    return body.stream_options is not None and bool(body.stream_options.include_usage)


def replied(call: Call, reply: object, engine_us: int) -> Response:
    """A whole reply, with what the server itself took of it."""
    overhead = max(microseconds(call) - engine_us, 0) / 1_000
    return Response(_encode(reply), media_type="application/json", headers={OVERHEAD: f"{overhead:.3f}"})


async def _streamed(call: Call, wanted: Completion, include_usage: bool) -> Response:
    route, parts = await stream(call.core, call.actor, wanted)
    created = to_seconds(call.core.clock())
    return events(call, _chunks(parts, created, model_said(wanted.model, route), include_usage))


def events(call: Call, chunks: AsyncIterator[bytes]) -> SSEResponse:
    """The stream of a completion. An error before its first event is a plain response, later on an event."""
    request_id = call.request_id
    return SSEResponse(
        chunks,
        terminator=None if speaks_llama_stack(call.request) else "[DONE]",
        fail=lambda error: show_error(as_family(error, request_id), request_id),
        on_error=lambda error: error_body(as_family(error, request_id), request_id),
    )


async def _chunks(
    parts: AsyncIterator[StreamPart], created: int, model: str, include_usage: bool
) -> AsyncIterator[bytes]:
    ident = ""
    begun: set[int] = set()
    prompt = completion = 0
    async for part in parts:
        ident = ident or completion_id(part.interaction_id)
        used = part.delta.usage
        if used is not None:
            prompt = max(prompt, used.prompt_tokens)
            completion += used.completion_tokens
        chunk = from_part(part, ident, created, model, first=part.index not in begun)
        begun.add(part.index)
        yield event(chunk)
    if include_usage:
        yield event(wire.Chunk(ident, created, model, [], usage(Usage(prompt, completion))))


def event(chunk: object) -> bytes:
    return b"data: " + _encode(chunk) + b"\n\n"
