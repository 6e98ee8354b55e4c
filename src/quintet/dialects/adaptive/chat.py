"""Chat completions and embeddings: the hot path of this dialect, one decode, one call, one encode."""

from __future__ import annotations

import base64
import struct
import time
from collections.abc import AsyncIterator

import msgspec
from starlette.responses import Response

from quintet.app.services import callpath
from quintet.app.serving.callpath import Completion, StreamPart
from quintet.dialects.adaptive import wire
from quintet.dialects.adaptive.binder import rest
from quintet.dialects.adaptive.chat_convert import (
    from_completed,
    from_part,
    model_path,
    session_for,
    to_completion,
    usage_of,
)
from quintet.dialects.adaptive.errors import respond
from quintet.dialects.adaptive.ids import SessionRef
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.errors import as_family
from quintet.dialects.kit.sse import SSEResponse
from quintet.domain.errors import Invalid
from quintet.domain.ids import new_id, to_prefixed
from quintet.ports.engine import Usage

OVERHEAD = "x-quintet-overhead-ms"
"""What the server itself took of a completion: everything but the engine."""

_encoder = msgspec.json.Encoder()


@rest.op("chatCompletions", body=wire.ChatInput)
async def chat_completions(call: Call) -> Response:
    begun = time.perf_counter_ns()
    body: wire.ChatInput = call.body
    session = session_for(body.session_id)
    wanted = to_completion(body, session)
    if body.stream:
        include = body.stream_options is not None and bool(body.stream_options.include_usage)
        return await _streamed(call, wanted, session, include)
    done = await callpath(call.core).complete(call.actor, wanted)
    reply = from_completed(done, session, to_prefixed(new_id(), "chatcmpl-"))
    overhead = (time.perf_counter_ns() - begun) / 1e6 - done.engine_us / 1e3
    headers = {OVERHEAD: f"{max(overhead, 0.0):.3f}"}
    return Response(_encoder.encode(reply), media_type="application/json", headers=headers)


async def _streamed(call: Call, wanted: Completion, session: SessionRef, include_usage: bool) -> Response:
    route, parts = await callpath(call.core).stream(call.actor, wanted)
    events = _chunks(parts, session, route.deployment.key, include_usage)
    return SSEResponse(
        events, terminator="[DONE]", fail=lambda error: respond(as_family(error, call.request_id), call.request_id)
    )


async def _chunks(
    parts: AsyncIterator[StreamPart], session: SessionRef, model: str, include_usage: bool
) -> AsyncIterator[bytes]:
    chat_id, created = to_prefixed(new_id(), "chatcmpl-"), float(int(time.time()))
    prompt = completion = 0
    async for part in parts:
        if part.delta.usage is not None:
            prompt = max(prompt, part.delta.usage.prompt_tokens)
            completion += part.delta.usage.completion_tokens
        chunk = from_part(part, session, chat_id, created, model)
        yield b"data: " + _encoder.encode(chunk) + b"\n\n"
    if include_usage:
        usage = usage_of(Usage(prompt, completion))
        last = wire.Chunk(chat_id, "chat.completion.chunk", created, model, [], session.uuid, usage)
        yield b"data: " + _encoder.encode(last) + b"\n\n"


@rest.op("embeddings", body=wire.EmbeddingsInput)
async def embeddings(call: Call) -> object:
    body: wire.EmbeddingsInput = call.body
    encoding = (body.encoding_format or "Float").lower()
    if encoding not in ("float", "base64"):
        raise Invalid("expected Float or Base64", field="encoding_format")
    texts = [body.input] if isinstance(body.input, str) else body.input
    route, vectors = await callpath(call.core).embed(call.actor, model_path(body.model), texts, dialect="adaptive")
    if body.dimensions is not None:
        if not 1 <= body.dimensions <= len(vectors[0]):
            raise Invalid(f"this model's vectors have 1 to {len(vectors[0])} dimensions", field="dimensions")
        vectors = [_shortened(v, body.dimensions) for v in vectors]
    data = [
        {"object": "embedding", "index": index, "embedding": vector if encoding == "float" else _packed(vector)}
        for index, vector in enumerate(vectors)
    ]
    tokens = sum(len(text.split()) for text in texts)
    usage = {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens}
    return {"object": "list", "model": route.deployment.key, "data": data, "usage": usage}


def _shortened(vector: list[float], dimensions: int) -> list[float]:
    """The first dimensions, brought back to unit length, as models with nested representations are cut."""
    head = vector[:dimensions]
    length = sum(v * v for v in head) ** 0.5
    return [v / length for v in head] if length else head


def _packed(vector: list[float]) -> str:
    """Little-endian 32-bit floats in base64, as OpenAI's clients unpack them."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
