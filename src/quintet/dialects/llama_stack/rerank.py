"""Reranking: which of some texts fit a query best."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from quintet.app.serving.rerank import rank
from quintet.dialects.kit.call import Call
from quintet.dialects.llama_stack.binder import binder
from quintet.domain.errors import Invalid


class RerankRequest(Struct):
    """`query` and `items` are texts, or parts `{"type": "text", "text": ...}`."""

    model: str
    query: Any
    items: list[Any]
    max_num_results: int | None = None


@binder.op("POST /v1alpha/inference/rerank", body=RerankRequest)
async def rerank(call: Call) -> dict[str, Any]:
    body: RerankRequest = call.body
    texts = [_text(item, f"items[{i}]") for i, item in enumerate(body.items)]
    ranked = rank(call.actor, _text(body.query, "query"), texts, body.max_num_results)
    return {"data": [{"index": r.place, "relevance_score": r.score} for r in ranked]}


def _text(part: Any, field: str) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and isinstance(part.get("text"), str):
        return str(part["text"])
    raise Invalid("expected text; images cannot be ranked", field=field)
