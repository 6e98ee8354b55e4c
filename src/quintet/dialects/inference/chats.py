"""Chats: stored conversations with completion."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.responses import Response

from quintet.app.documents import (
    Document,
    create_document,
    delete_document,
    edit_document,
    get_document,
    list_documents,
)
from quintet.app.services import callpath
from quintet.app.serving.callpath import Completion
from quintet.dialects.inference.binder import binder
from quintet.dialects.inference.errors import show_error
from quintet.dialects.inference.paging import envelope, wanted_page
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.errors import as_family
from quintet.dialects.kit.sse import SSEResponse
from quintet.dialects.kit.times import to_rfc3339
from quintet.domain.errors import Invalid, Unsupported
from quintet.ports.engine import Usage

DIALECT, KIND = "inference", "chat"
WINDOW = 20
"""How many messages of a history are sent to the model: the newest, after any system message."""


class Message(msgspec.Struct, omit_defaults=True):
    role: str
    content: str
    name: str | None = None
    expert_id: str | None = None
    created_at: str | None = None


class ChatBody(msgspec.Struct):
    """Without `id` a chat begins; with it the messages go on from what is stored."""

    messages: list[Message] | None = None
    model: str | None = None
    id: str | None = None
    name: str | None = None
    type: str | None = None
    user: str | None = None
    tags: list[str] | None = None
    metadata: dict[str, Any] | None = None
    echo: bool = False
    stream: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    expert_ids: list[str] | None = None
    router_enabled: bool = False
    guard_enabled: bool = False


class ChatChanges(msgspec.Struct):
    name: str | None = None
    model: str | None = None
    messages: list[Message] | None = None
    max_tokens: int | None = None
    temperature: float | None = None


def _plain(messages: list[Message]) -> list[dict[str, Any]]:
    return [dict(msgspec.to_builtins(m)) for m in messages]


def _chat(item: Document) -> dict[str, Any]:
    return {
        "id": item.id,
        "name": item.data.get("name", ""),
        "messages": item.data.get("messages", []),
        "created_at": to_rfc3339(item.created_at),
    }


def window(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The part of a history that is sent to the model."""
    system = [m for m in messages if m["role"] == "system"][:1]
    rest = [m for m in messages if m["role"] != "system"]
    return system + rest[-WINDOW:]


@binder.op("POST /chats", body=ChatBody)
async def complete(call: Call) -> object:
    body: ChatBody = call.body
    if body.router_enabled or body.guard_enabled or body.expert_ids:
        # Answering without them would look as if the router had chosen, or the guard had allowed.

        raise Unsupported("router, guard and experts are not served yet", field="router_enabled")
    chat = await call.read(get_document, DIALECT, KIND, body.id) if body.id else None
    history: list[dict[str, Any]] = list(chat.data.get("messages", [])) if chat else []
    history += _plain(body.messages or [])
    model = body.model or (chat.data.get("model") if chat else None)
    if not model:
        raise Invalid("'model' is needed for a new chat", field="model")
    asked = window(history)
    said: list[dict[str, Any]] = [{str(k): m[k] for k in ("role", "content", "name") if k in m} for m in asked]
    wanted = Completion(
        model, said, DIALECT, max_tokens=body.max_tokens, temperature=body.temperature, top_p=body.top_p,
        end_user=body.user, metadata={**(body.metadata or {}), **({"tags": body.tags} if body.tags else {})},
        type=body.type or "chat", correlation_id=call.request.headers.get("x-correlation-id"),
    )  # fmt: skip
    if body.stream:
        return await _stream(call, body, chat, history, wanted)
    done = await callpath(call.core).complete(call.actor, wanted)
    choice = done.choices[0]
    kept = await _keep(call, body, chat, history, model, choice.generation.text)
    echoed = "\n".join(str(m["content"]) for m in said) if body.echo else ""
    message = {"role": "assistant", "content": echoed + choice.generation.text, "id": choice.interaction.id}
    return _reply(kept, model, message, choice.generation.finish_reason, done.usage)


def _reply(
    chat: Document, model: str, message: dict[str, Any], finish_reason: str | None, usage: Usage | None
) -> dict[str, Any]:
    shown = None
    if usage is not None:
        shown = {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        }
    return {
        "id": chat.id,
        "object": "chat.completion",
        "created_at": to_rfc3339(chat.updated_at),
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "router": None,
        "guard": None,
        "usage": shown,
    }


async def _keep(
    call: Call, body: ChatBody, chat: Document | None, history: list[dict[str, Any]], model: str, answer: str
) -> Document:
    """Stores the conversation with its answer."""
    now = to_rfc3339(call.core.clock())
    messages = [*history, {"role": "assistant", "content": answer, "created_at": now}]
    data = {"messages": messages, "model": model}
    if body.name is not None or chat is None:
        data["name"] = body.name or str(history[0]["content"])[:80]
    if chat is None:
        return await call.write(create_document, DIALECT, KIND, data)
    return await call.write(edit_document, DIALECT, KIND, chat.id, data)


async def _stream(
    call: Call, body: ChatBody, chat: Document | None, history: list[dict[str, Any]], wanted: Completion
) -> Response:
    _, parts = await callpath(call.core).stream(call.actor, wanted)
    begun = {"messages": history, "model": wanted.model, "name": body.name or str(history[0]["content"])[:80]}
    kept: Document = chat if chat is not None else await call.write(create_document, DIALECT, KIND, begun)

    async def events() -> AsyncIterator[object]:
        text: list[str] = []
        async for part in parts:
            text.append(part.delta.text)
            if part.interaction is not None:
                await _keep(call, body, kept, history, wanted.model, "".join(text))
            delta = {"role": "assistant", "content": part.delta.text, "id": part.interaction_id}
            yield _reply(kept, wanted.model, delta, part.delta.finish_reason, part.delta.usage)

    def on_error(error: Exception) -> object:
        shown = as_family(error, call.request_id)
        return msgspec.json.decode(bytes(show_error(shown, call.request_id).body))

    return SSEResponse(events(), on_error=on_error)


@binder.op("GET /chats")
async def list_all(call: Call) -> object:
    page = wanted_page(call)
    name = call.query.get("name")
    items, total = await call.read(list_documents, DIALECT, KIND, page.limit + 1, page.after, page.offset)
    chosen = [d for d in items if name is None or name.lower() in str(d.data.get("name", "")).lower()]
    return envelope([_chat(d) for d in chosen[: page.limit]], total, page, has_more=len(items) > page.limit)


@binder.op("GET /chats/{id}")
async def history_of(call: Call) -> object:
    return _chat(await call.read(get_document, DIALECT, KIND, call.path["id"]))


@binder.op("GET /chats/{id}/window")
async def window_of(call: Call) -> object:
    item = await call.read(get_document, DIALECT, KIND, call.path["id"])
    return {**_chat(item), "messages": window(item.data.get("messages", []))}


@binder.op("PUT /chats/{id}", body=ChatChanges)
async def update(call: Call) -> object:
    body: ChatChanges = call.body
    changes: dict[str, Any] = {n: v for n in ("name", "model") if (v := getattr(body, n)) is not None}
    if body.messages is not None:
        changes["messages"] = _plain(body.messages)
    return _chat(await call.write(edit_document, DIALECT, KIND, call.path["id"], changes))


@binder.op("DELETE /chats/{id}")
async def delete(call: Call) -> object:
    return {"id": (await call.write(delete_document, DIALECT, KIND, call.path["id"])).id}


