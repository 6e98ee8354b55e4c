"""Completions: the core's interactions, listed and shown with the feedback on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from quintet.app.feedback.lookup import feedback_by_interaction
from quintet.app.feedback.manage import GiveFeedback, get_metrics, give_feedback, update_feedback
from quintet.app.interactions.groups import (
    ORDERS,
    GroupAsk,
    count_interactions,
    list_sorted,
    sizes_of_groups,
    turns_of_sessions,
)
from quintet.app.interactions.manage import get_interactions
from quintet.app.interactions.query import InteractionQuery
from quintet.app.interactions.revise import ReviseInteraction, find_in_project, revise_interaction
from quintet.app.models.registry import get_models
from quintet.app.projects.manage import get_projects
from quintet.app.serving.lookup import get_deployments
from quintet.dialects.adaptive import ids, views
from quintet.dialects.adaptive.binder import graph
from quintet.dialects.adaptive.nullable import or_none
from quintet.dialects.adaptive.paging import Connection, Window, first_order, window
from quintet.dialects.adaptive.query_convert import to_labels, to_query
from quintet.dialects.adaptive.views import View
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.graphql import load
from quintet.domain.errors import Invalid
from quintet.domain.identity import Permission
from quintet.domain.ids import Id, to_uuid
from quintet.domain.interactions import Feedback, FeedbackKind, Interaction
from quintet.domain.page import Page, encode_cursor


class Completions(Connection[Interaction]):
    """A page of completions; the total is counted only where somebody asks for it."""

    def __init__(self, page: Page[Interaction], asked: Window, order: str, query: InteractionQuery) -> None:
        super().__init__(page, asked, views.completion, lambda item: cursor_of(item, order))
        self.query = query
        self.total: int | None = page.total


def cursor_of(item: Interaction, order: str) -> str:
    """The place of an interaction in a list, as the core's cursors have it."""
    return encode_cursor(item.id) if order == "id" else encode_cursor(item.created_at, item.id)


@graph.query("completions")
async def completions(
    call: Call,
    _obj: object,
    *,
    filter: Mapping[str, Any],
    page: Mapping[str, Any],
    order: Sequence[Mapping[str, Any]],
) -> Completions:
    return await completions_page(call, to_query(filter), window(page), order)


async def completions_page(
    call: Call, query: InteractionQuery, asked: Window, order: Sequence[Mapping[str, Any]]
) -> Completions:
    name, descending = first_order(order, ORDERS, ("id", True))
    found = await call.read(list_sorted, query, asked.request(), name, descending=descending is not asked.flipped)
    return Completions(found, asked, name, query)


@graph.field("CompletionConnection", "totalCount")
async def total_count(call: Call, obj: Completions) -> int:
    if obj.total is None:
        obj.total = await call.read(count_interactions, obj.query)
    return obj.total


@graph.query("completion")
async def completion(call: Call, _obj: object, *, useCase: str, id: str) -> View | None:
    wanted = call.read(find_in_project, ids.ref(useCase, ids.USE_CASE), ids.known(id, ids.COMPLETION))
    found = await or_none(wanted)
    return views.completion(found) if found else None


@graph.mutation("updateCompletion")
async def update(call: Call, _obj: object, *, input: Mapping[str, Any]) -> View:
    metadata = input.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise Invalid("'metadata' must be an object", field="metadata")
    changed = await call.write(
        revise_interaction,
        ReviseInteraction(
            interaction_id=ids.known(input["id"], ids.COMPLETION),
            remove=[(x["key"], x["value"]) for x in input.get("removeLabels") or ()],
            add={x["key"]: x["value"] for x in input.get("addLabels") or ()},
            labels=None if (only := input.get("setLabels")) is None else {x["key"]: x["value"] for x in only},
            metadata=metadata,
            kept=(ids.SESSION_GIVEN,),
        ),
    )
    return views.completion(changed)


@graph.mutation("addDirectFeedback")
async def add_feedback(call: Call, _obj: object, *, completionId: str, metricId: str, input: Mapping[str, Any]) -> View:
    given = await call.write(
        give_feedback,
        GiveFeedback(
            metric=metricId, interaction_id=ids.known(completionId, ids.COMPLETION), value=input["value"],
            reason=input.get("reason"), details=input.get("details"), end_user=input.get("userId"),
        ),
    )  # fmt: skip
    return views.direct_feedback(given)


@graph.mutation("updateFeedback")
async def change_feedback(call: Call, _obj: object, *, id: str, input: Mapping[str, Any]) -> View:
    changed = await call.write(
        update_feedback, ids.known(id, ids.FEEDBACK), value=input.get("value"), details=input.get("details")
    )
    return views.direct_feedback(changed)


# -- what a completion shows ----------------------------------------------------------------------------------


@graph.field("Completion", "completion")
def text(_call: Call, obj: View, *, maxLength: int | None = None) -> str:
    said: str = obj["self"].completion
    if maxLength is not None and maxLength < 0:
        raise Invalid("'maxLength' is never negative", field="maxLength")
    return said if maxLength is None else said[:maxLength]


@graph.field("Completion", "model")
async def model(call: Call, obj: View) -> View | None:
    """The model of the registry, or the upstream behind the endpoint that was called."""
    item: Interaction = obj["self"]
    if item.model_id is not None:
        found = await load(call, get_models, item.model_id)
        return views.model(found) if found else None
    service = await load(call, get_deployments, item.deployment_id) if item.deployment_id else None
    return views.upstream_model(service) if service else None


@graph.field("Completion", "modelService")
async def model_service(call: Call, obj: View) -> View | None:
    ident = obj["self"].deployment_id
    found = await load(call, get_deployments, ident) if ident else None
    return views.service(found) if found and found.project_id else None


@graph.field("Completion", "labels")
def labels(_call: Call, obj: View, *, withProtected: bool = False) -> list[View]:
    """No label is protected here, so the argument changes nothing."""
    return [{"key": k, "value": v} for k, v in sorted(obj["self"].labels.items())]


async def _feedback(call: Call, obj: View, kind: FeedbackKind) -> list[Feedback]:
    found = await load(call, feedback_by_interaction, obj["self"].id) or []
    return [f for f in found if f.kind is kind]


@graph.field("Completion", "directFeedbacks")
async def direct_feedbacks(call: Call, obj: View, *, filter: Mapping[str, Any] | None = None) -> list[View]:
    """Feedback has no labels of its own, so the filter asks for those of what it is about."""
    mine: Mapping[str, str] = obj["self"].labels
    for key, values in to_labels((filter or {}).get("labels")):
        if key not in mine or (values is not None and mine[key] not in values):
            return []
    return [views.direct_feedback(f) for f in await _feedback(call, obj, FeedbackKind.DIRECT)]


@graph.field("Completion", "comparisonFeedbacks")
async def comparison_feedbacks(call: Call, obj: View) -> list[View]:
    return [views.comparison(f) for f in await _feedback(call, obj, FeedbackKind.COMPARISON)]


def session_key(item: Interaction) -> Id:
    """The session of an interaction; one that was made without is a session of its own."""
    return item.session_id or item.id


@graph.field("Completion", "session")
async def session(_call: Call, obj: View) -> View:
    item: Interaction = obj["self"]
    given = item.metadata.get(ids.SESSION_GIVEN)
    return {"self": item, "id": given or to_uuid(session_key(item), ids.SESSION)}


async def _turns(call: Call, item: Interaction) -> list[Interaction]:
    if item.session_id is None:
        return [item]
    return await load(call, turns_of_sessions, item.session_id) or [item]


@graph.field("Session", "turns")
async def turns(call: Call, obj: View) -> list[View]:
    return [views.completion(i) for i in await _turns(call, obj["self"])]


@graph.field("Completion", "history")
async def history(call: Call, obj: View) -> list[View]:
    """What was said before in the same session, the first turn at level 0."""
    before = [i for i in await _turns(call, obj["self"]) if i.id < obj["self"].id]
    return [
        {
            "level": level,
            "completionId": to_uuid(item.id, ids.COMPLETION),
            "prompt": views.text_of(item.messages[-1].get("content")) if item.messages else "",
            "completion": item.completion,
            "createdAt": item.created_at,
        }
        for level, item in enumerate(before)
    ]


@graph.field("Completion", "siblingsCount")
async def siblings_count(call: Call, obj: View, *, filter: Mapping[str, Any]) -> int:
    """How many others of what the filter means answer the same prompt."""
    ask = GroupAsk(to_query(filter), "prompt_hash", obj["self"].prompt_hash)
    return max((await load(call, sizes_of_groups, ask) or 0) - 1, 0)


@graph.field("Completion", "canEdit")
def can_edit(call: Call, _obj: View) -> bool:
    return call.actor.may(Permission.INTERACTION_WRITE)


# -- what feedback shows --------------------------------------------------------------------------------------


async def feedback_metric(call: Call, obj: View) -> View | None:
    found = await load(call, get_metrics, obj["self"].metric_id)
    return views.metric(found) if found else None


graph.field("DirectFeedback", "metric")(feedback_metric)
graph.field("ComparisonFeedback", "metric")(feedback_metric)


@graph.field("ComparisonFeedback", "usecase")
async def compared_in(call: Call, obj: View) -> View | None:
    ident = obj["self"].project_id
    found = await load(call, get_projects, ident) if ident else None
    return views.use_case(found) if found else None


@graph.field("ComparisonFeedback", "preferedCompletion")
async def preferred(call: Call, obj: View) -> View | None:
    return await _side(call, obj["self"].interaction_id)


@graph.field("ComparisonFeedback", "otherCompletion")
async def other(call: Call, obj: View) -> View | None:
    return await _side(call, obj["self"].other_id)


async def _side(call: Call, ident: Id | None) -> View | None:
    found = await load(call, get_interactions, ident) if ident else None
    return views.completion(found) if found else None
