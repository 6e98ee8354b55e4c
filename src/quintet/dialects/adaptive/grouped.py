"""Completions in groups: by model or by prompt, each with its statistics and its first completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from quintet.app.feedback.manage import get_metrics
from quintet.app.interactions.groups import ORDERS, GroupAsk, feedback_of_groups, first_of_groups, list_groups
from quintet.app.interactions.manage import InteractionGroup
from quintet.app.interactions.query import InteractionQuery
from quintet.app.models.registry import get_models
from quintet.dialects.adaptive import views
from quintet.dialects.adaptive.binder import graph
from quintet.dialects.adaptive.completions import Completions, completions_page
from quintet.dialects.adaptive.paging import Connection, first_order, window
from quintet.dialects.adaptive.query_convert import to_labels, to_query
from quintet.dialects.adaptive.views import View
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.graphql import load
from quintet.domain.errors import Invalid
from quintet.domain.ids import Id
from quintet.domain.page import Page, PageRequest, decode_cursor, encode_cursor

COLUMNS = {"MODEL": "model_id", "PROMPT": "prompt_hash"}
MARK = "group"
"""The first value in a cursor of groups. The official client gives the page of the groups to the completions of
each group too, so the inner list must know the outer one's cursors, to pass over them."""


@graph.query("completionsGrouped")
async def completions_grouped(
    call: Call,
    _obj: object,
    *,
    filter: Mapping[str, Any],
    groupBy: str,
    page: Mapping[str, Any],
    order: Sequence[Mapping[str, Any]],
    feedbackFilter: Mapping[str, Any],
) -> View:
    asked = window(page)
    _, descending = first_order(order, ("group",), ("group", False))
    query, by = to_query(filter), COLUMNS[groupBy]
    backwards = asked.before is not None or asked.flipped
    down = descending is not backwards
    after = _value(asked.after or asked.before)
    request = PageRequest(limit=min(max(asked.size, 1) + 1, 1_000), after=after)
    groups, total = await call.read(list_groups, query, by, request, descending=down)
    more = len(groups) > asked.size
    kept = groups[: asked.size]
    if backwards:
        kept = kept[::-1]
    counted = replace(query, labels=(*query.labels, *to_labels(feedbackFilter.get("labels"))))
    has_next = after is not None if backwards else more
    found = Page(kept, "more" if has_next else None, more if backwards else after is not None)
    # Everything is in its place already, so the connection must not turn it round once more.
    shown = Connection(
        found,
        replace(asked, flipped=False),
        lambda g: {"self": g, "query": query, "counted": counted, "by": by, "count": g.count},
        lambda g: encode_cursor(MARK, g.value),
    )
    return {
        "edges": shown.edges, "nodes": shown.nodes, "pageInfo": shown.pageInfo, "groupBy": groupBy, "totalCount": total,
    }  # fmt: skip


def _value(cursor: str | None) -> str | None:
    if cursor is None:
        return None
    mark, value = decode_cursor(cursor, 2)
    if mark != MARK or not isinstance(value, str):
        raise Invalid("the cursor is of another list", field="cursor")
    return value


def _is_outer(cursor: str | None) -> bool:
    try:
        return cursor is not None and decode_cursor(cursor, 2)[0] == MARK
    except Invalid:
        return False


@graph.field("CompletionGroupData", "key")
async def key(call: Call, obj: View) -> str | None:
    """The key of the model, or the hash of the prompt."""
    group: InteractionGroup = obj["self"]
    if obj["by"] == "prompt_hash":
        return group.value
    model = await load(call, get_models, Id(group.value))
    return model.key if model else None


@graph.field("CompletionGroupData", "completions")
async def completions(
    call: Call, obj: View, *, page: Mapping[str, Any], order: Sequence[Mapping[str, Any]]
) -> Completions:
    inner = {k: v for k, v in page.items() if k not in ("after", "before") or not _is_outer(v)}
    asked, group = window(inner), obj["self"]
    query: InteractionQuery = obj["query"]
    if asked.after or asked.before:
        return await completions_page(call, await _narrowed(call, obj), asked, order)
    name, descending = first_order(order, ORDERS, ("id", True))
    ask = GroupAsk(query, obj["by"], group.value, asked.size + 1, name, descending is not asked.flipped)
    items = await load(call, first_of_groups, ask) or []
    more = "more" if len(items) > asked.size else None
    return Completions(Page(items[: asked.size], more, total=group.count), asked, name, query)


async def _narrowed(call: Call, obj: View) -> InteractionQuery:
    query: InteractionQuery = obj["query"]
    if obj["by"] == "prompt_hash":
        return replace(query, prompt_hash=obj["self"].value)
    return replace(query, models=(await key(call, obj) or "",))


@graph.field("CompletionGroupData", "directFeedbacksStats")
async def stats(call: Call, obj: View) -> list[View]:
    found = await load(call, feedback_of_groups, GroupAsk(obj["counted"], obj["by"], obj["self"].value)) or []
    shown: list[View] = []
    for item in found:
        metric = await load(call, get_metrics, item.metric_id)
        if metric is not None:
            shown.append(
                {
                    "metric": views.metric(metric),
                    "feedbacks": item.count,
                    "average": item.average,
                    "max": item.most,
                    "min": item.least,
                    "stddev": item.stddev,
                    "sum": item.total,
                }
            )
    return shown
