"""The gateway as MLflow's deployments client calls it: list, look at, and ask an endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from quintet.app.serving.callpath import Completed, Completion
from quintet.app.serving.deployments import list_deployments
from quintet.app.serving.gateway import find_endpoint
from quintet.app.serving.on_demand import complete, embed, stream
from quintet.dialects.domino.binder import DIALECT, binder
from quintet.dialects.domino.errors import show_error
from quintet.dialects.domino.gateway import TYPE_NAMES
from quintet.dialects.kit.body import convert
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.errors import as_family
from quintet.dialects.kit.sse import SSEResponse
from quintet.dialects.kit.times import to_seconds
from quintet.domain.errors import Invalid
from quintet.domain.models import Deployment

JsonObject = dict[str, Any]
PREFIXES = {"chat": "chatcmpl-", "completion": "cmpl-"}


def _shown(item: Deployment) -> JsonObject:
    """`limit` must be there for the client, which reads no limit from it."""
    return {
        "name": item.key,
        "endpoint_type": TYPE_NAMES[item.task],
        "model": {"name": item.upstream_model or item.name, "provider": item.provider},
        "endpoint_url": f"/endpoints/{item.key}/invocations",
        "limit": None,
    }


@binder.op("GET /api/2.0/endpoints")
async def list_all(call: Call) -> object:
    found = await call.read(list_deployments, endpoints_only=True, mine_only=True)
    return {"endpoints": [_shown(d) for d in found if d.attached]}


@binder.op("GET /api/2.0/endpoints/{name}")
async def get(call: Call) -> object:
    return _shown(await call.read(find_endpoint, call.path["name"]))


class Asked(msgspec.Struct, kw_only=True):
    """What all generating endpoints take."""

    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stream: bool = False
    user: str | None = None


class Chat(Asked, kw_only=True):
    messages: list[JsonObject]
    tools: list[JsonObject] | None = None
    tool_choice: Any = None
    response_format: Any = None


class Prompt(Asked, kw_only=True):
    prompt: str


class Texts(msgspec.Struct):
    input: str | list[str]


@binder.op("POST /endpoints/{name}/invocations", body=JsonObject)
async def invoke(call: Call) -> object:
    item = await call.read(find_endpoint, call.path["name"])
    if item.task == "embedding":
        return await _embed(call, item, convert(call.body, Texts))
    if item.task == "completion":
        prompt = convert(call.body, Prompt)
        return await _answer(call, item, prompt, [{"role": "user", "content": prompt.prompt}], {})
    chat = convert(call.body, Chat)
    passed = {n: v for n in ("tools", "tool_choice", "response_format") if (v := getattr(chat, n)) is not None}
    return await _answer(call, item, chat, chat.messages, passed)


async def _answer(
    call: Call, item: Deployment, body: Asked, messages: list[JsonObject], extra: JsonObject
) -> object:
    stops = [body.stop] if isinstance(body.stop, str) else body.stop or []
    wanted = Completion(
        item.key, messages, DIALECT, max_tokens=body.max_tokens, temperature=body.temperature, top_p=body.top_p,
        stop=stops, seed=body.seed, n=1 if body.n is None else body.n, end_user=body.user, type=item.task,
        extra=extra,
    )  # fmt: skip
    if not body.stream:
        return _completed(item, await complete(call.core, call.actor, wanted))
    if item.task != "chat":
        raise Invalid("only chat endpoints stream", field="stream")
    request_id = call.request_id
    return SSEResponse(
        _chunks(call, item, wanted),
        terminator="[DONE]",
        fail=lambda error: show_error(as_family(error, request_id), request_id),
        on_error=lambda error: {"error": {"message": as_family(error, request_id).message}},
    )


def _completed(item: Deployment, done: Completed) -> JsonObject:
    chat = item.task == "chat"
    choices: list[JsonObject] = []
    for index, choice in enumerate(done.choices):
        made = choice.generation
        message: JsonObject = {"role": "assistant", "content": made.text}
        if made.tool_calls:
            message["tool_calls"] = [{k: v for k, v in c.items() if k != "index"} for c in made.tool_calls]
        said: JsonObject = {"message": message} if chat else {"text": made.text}
        choices.append({"index": index, **said, "finish_reason": made.finish_reason})
    first, used = done.choices[0].interaction, done.usage
    return {
        "id": f"{PREFIXES[item.task]}{first.id}",
        "object": "chat.completion" if chat else "text_completion",
        "created": to_seconds(first.created_at),
        "model": item.upstream_model or item.key,
        "choices": choices,
        "usage": {
            "prompt_tokens": used.prompt_tokens,
            "completion_tokens": used.completion_tokens,
            "total_tokens": used.prompt_tokens + used.completion_tokens,
        },
    }


async def _chunks(call: Call, item: Deployment, wanted: Completion) -> AsyncIterator[object]:
    _, parts = await stream(call.core, call.actor, wanted)
    created = to_seconds(call.core.clock())
    ident = ""
    begun: set[int] = set()
    async for part in parts:
        ident = ident or f"{PREFIXES['chat']}{part.interaction_id}"
        delta: JsonObject = {"content": part.delta.text}
        if part.index not in begun:
            begun.add(part.index)
            delta["role"] = "assistant"
        choice = {"index": part.index, "delta": delta, "finish_reason": part.delta.finish_reason}
        yield {
            "id": ident, "object": "chat.completion.chunk", "created": created,
            "model": item.upstream_model or item.key, "choices": [choice],
        }  # fmt: skip


async def _embed(call: Call, item: Deployment, body: Texts) -> JsonObject:
    texts = [body.input] if isinstance(body.input, str) else body.input
    _, vectors = await embed(call.core, call.actor, item.key, texts, dialect=DIALECT)
    tokens = sum(len(text.split()) for text in texts)
    return {
        "object": "list",
        "data": [{"object": "embedding", "embedding": vector, "index": i} for i, vector in enumerate(vectors)],
        "model": item.upstream_model or item.key,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
