"""Completions that were made before: interactions of any dialect, read as chat completions."""

from __future__ import annotations

from typing import Any

from quintet.app.interactions.manage import InteractionFilter, get_interaction, list_interactions
from quintet.dialects.kit.call import Call
from quintet.dialects.llama_stack import chat_wire as wire
from quintet.dialects.llama_stack.binder import binder
from quintet.dialects.llama_stack.chat_convert import completion_id, from_interaction, interaction_id
from quintet.domain.errors import Invalid, NotFound
from quintet.domain.page import PageRequest, encode_cursor

DEFAULT_LIMIT = 20


@binder.op("GET /v1/chat/completions")
async def list_stored(call: Call) -> dict[str, Any]:
    given = call.query
    order = given["order"] or "desc"
    if order not in ("asc", "desc"):
        raise Invalid("expected asc or desc", field="order")
    model = given["model"]
    wanted = InteractionFilter(types=("chat",), model_name=model.rpartition("/")[2] if model else None)
    limit = DEFAULT_LIMIT if given["limit"] is None else given["limit"]
    page = PageRequest(limit=limit, after=_cursor(given["after"]))
    found = await call.read(list_interactions, wanted, page, descending=order == "desc")
    data = [from_interaction(item) for item in found.items]
    return {
        "object": "list",
        "data": data,
        "has_more": found.next_cursor is not None,
        "first_id": data[0].id if data else "",
        "last_id": data[-1].id if data else "",
    }


def _cursor(after: str | None) -> str | None:
    """Pages go on after the id of a completion; ours go on after a cursor that holds the same."""
    if not after:
        return None
    ident = interaction_id(after)
    if ident is None:
        raise Invalid("this is not the id of a completion", field="after")
    return encode_cursor(ident)


@binder.op("GET /v1/chat/completions/{completion_id}")
async def get_stored(call: Call) -> wire.StoredCompletion:
    given = call.path["completion_id"]
    ident = interaction_id(given)
    if ident is None:
        raise NotFound.of("chat completion", given)
    try:
        return from_interaction(await call.read(get_interaction, ident))
    except NotFound:
        raise NotFound.of("chat completion", completion_id(ident)) from None
