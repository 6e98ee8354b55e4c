"""A small upstream that speaks OpenAI's wire format, answers by the fake engine's rules, and fails on request."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from quintet.engines.fake.engine import FakeConfig, FakeEngine
from quintet.ports.engine import GenerateRequest, ModelRef

KEY = "sk-very-secret-key"
SEEN = web.AppKey("seen", list[dict[str, Any]])
GONE = web.AppKey("gone", asyncio.Event)

ENGINE = FakeEngine(FakeConfig(mode="words", dimensions=8))


def build() -> web.Application:
    app = web.Application()
    app[SEEN] = []
    app[GONE] = asyncio.Event()
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_post("/v1/embeddings", embeddings)
    return app


@contextlib.asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """Runs it on a free port; gives its base URL."""
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


async def chat(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    request.app[SEEN].append({"body": body, "headers": dict(request.headers)})
    if request.headers.get("Authorization") != f"Bearer {KEY}":
        return web.json_response({"error": {"message": f"bad key {KEY}"}}, status=401)
    special = await _special(request, body)
    if special is not None:
        return special
    asked = GenerateRequest(
        model=ModelRef(key=body["model"]),
        messages=body["messages"],
        max_tokens=body.get("max_tokens"),
        temperature=body.get("temperature"),
        stop=body.get("stop", ()),
        seed=body.get("seed"),
        extra={"tools": body.get("tools")},
    )
    if body.get("stream"):
        return await _stream(request, asked)
    reply = await ENGINE.generate(asked)
    message = {"role": "assistant", "content": reply.text or None, "tool_calls": list(reply.tool_calls) or None}
    usage = {"prompt_tokens": reply.usage.prompt_tokens, "completion_tokens": reply.usage.completion_tokens}
    choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason}
    return web.json_response({"id": "chatcmpl-1", "choices": [choice], "usage": usage, "system_fingerprint": "fp"})


async def embeddings(request: web.Request) -> web.Response:
    body = await request.json()
    vectors = await ENGINE.embed(ModelRef(key=body["model"]), body["input"])
    rows = [{"index": i, "embedding": v} for i, v in enumerate(vectors)]
    # Backwards: the index decides, not the place.
    return web.json_response({"data": rows[::-1]})


async def _special(request: web.Request, body: dict[str, Any]) -> web.StreamResponse | None:
    """Replies that a message asks for by name."""
    text = str(body["messages"][-1]["content"])
    match text.split():
        case ["status", code]:
            detail = {"error": {"message": f"because of {KEY}"}}
            return web.json_response(detail, status=int(code), headers={"Retry-After": "7"})
        case ["body", *rest]:
            return web.Response(text=" ".join(rest), content_type="application/json")
        case ["sse", *_]:
            reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await reply.prepare(request)
            for piece in json.loads(text.removeprefix("sse ")):
                await reply.write(piece.encode())
                await asyncio.sleep(0)
            return reply
        case ["hang"]:
            await asyncio.sleep(30)
        case ["endless"]:
            reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await reply.prepare(request)
            with contextlib.suppress(ConnectionError):
                while True:
                    await reply.write(_event({"choices": [{"index": 0, "delta": {"content": "x"}}]}))
                    await asyncio.sleep(0.001)
            request.app[GONE].set()
            return reply
    return None


async def _stream(request: web.Request, asked: GenerateRequest) -> web.StreamResponse:
    reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await reply.prepare(request)
    await reply.write(b": keep-alive\r\n\r\n")
    await reply.write(_event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}))
    usage: dict[str, int] = {}
    async for delta in ENGINE.stream(asked):
        change: dict[str, Any] = {"content": delta.text}
        if delta.tool_calls:
            change["tool_calls"] = list(delta.tool_calls)
        event = _event({"choices": [{"index": 0, "delta": change, "finish_reason": delta.finish_reason}]})
        # Cut in the middle of a line, as networks do.
        await reply.write(event[:9])
        await asyncio.sleep(0)
        await reply.write(event[9:])
        if delta.usage is not None:
            usage = {
                "prompt_tokens": delta.usage.prompt_tokens,
                "completion_tokens": delta.usage.completion_tokens,
            }
    await reply.write(_event({"choices": [], "usage": usage}))
    await reply.write(b"data: [DONE]\n\n")
    return reply


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"
