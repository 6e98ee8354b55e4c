"""Interactions that happened elsewhere, and feedback on any: direct values, preferences, outcomes of sessions."""

from __future__ import annotations

from quintet.app.feedback.manage import GiveComparison, GiveFeedback, give_comparison, give_feedback, give_outcome
from quintet.app.feedback.texts import CompareTexts, SaidBy, compare_texts
from quintet.app.interactions.log import GivenFeedback, LogInteraction, log_interaction
from quintet.dialects.adaptive import ids, wire
from quintet.dialects.adaptive.binder import rest
from quintet.dialects.adaptive.chat_convert import session_for, to_messages
from quintet.dialects.adaptive.scalars import parse_moment
from quintet.dialects.kit.call import Call
from quintet.domain.errors import Invalid, NotFound
from quintet.domain.ids import Id, from_uuid, to_uuid

REASONS = ("Toxicity", "Factuality", "Style", "WrongAnswer")


@rest.op("addInteractions", body=wire.AddInteractions, status=201)
async def add_interactions(call: Call) -> object:
    body: wire.AddInteractions = call.body
    session = session_for(body.session_id)
    logged = await call.write(
        log_interaction,
        LogInteraction(
            project=ids.ref(body.use_case, ids.USE_CASE),
            messages=to_messages(body.messages),
            completion=body.completion,
            model=body.model_service,
            experiment=body.ab_campaign,
            feedbacks=[_given(f, n) for n, f in enumerate(body.feedbacks or ())],
            session_id=session.id,
            end_user=body.user,
            created_at=None if body.created_at is None else parse_moment(body.created_at, "created_at"),
            labels=body.labels or {},
            metadata={} if session.ours else {ids.SESSION_GIVEN: session.uuid},
            dialect="adaptive",
        ),
    )
    return {
        "completion_id": to_uuid(logged.interaction.id, ids.COMPLETION),
        "session_id": session.uuid,
        "feedback_ids": [to_uuid(f.id, ids.FEEDBACK) for f in logged.feedbacks],
    }


def _given(item: wire.InteractionFeedback, number: int) -> GivenFeedback:
    field = f"feedbacks[{number}].created_at"
    at = None if item.created_at is None else parse_moment(item.created_at, field)
    return GivenFeedback(item.metric, item.value, item.reason, item.details, at)


@rest.op("addFeedback", body=wire.AddFeedback, status=201)
async def add_feedback(call: Call) -> object:
    body: wire.AddFeedback = call.body
    if body.reason is not None and body.reason not in REASONS:
        raise Invalid(f"expected one of {', '.join(REASONS)}", field="reason")
    given = await call.write(
        give_feedback,
        GiveFeedback(
            metric=body.metric,
            interaction_id=_completion(body.completion_id, "completion_id"),
            value=body.value,
            reason=body.reason,
            details=body.details,
            end_user=body.user_id,
        ),
    )
    return {"feedback_id": to_uuid(given.id, ids.FEEDBACK)}


@rest.op("addComparison", body=wire.AddComparison, status=201)
async def add_comparison(call: Call) -> object:
    body: wire.AddComparison = call.body
    preferred, other = body.preferred_completion, body.other_completion
    if isinstance(preferred, str) and isinstance(other, str):
        sides = _completion(preferred, "preferred_completion"), _completion(other, "other_completion")
        given = await call.write(give_comparison, GiveComparison(body.metric, *sides, body.tied, body.user_id))
    elif isinstance(preferred, wire.RawCompletion) and isinstance(other, wire.RawCompletion):
        if body.use_case is None:
            raise Invalid("raw completions need the use case that they belong to", field="use_case")
        given = await call.write(
            compare_texts,
            CompareTexts(
                metric=body.metric,
                project=ids.ref(body.use_case, ids.USE_CASE),
                messages=to_messages(body.messages or ()),
                preferred=SaidBy(preferred.text, preferred.model),
                other=SaidBy(other.text, other.model),
                tied=body.tied,
                end_user=body.user_id,
                dialect="adaptive",
            ),
        )
    else:
        raise Invalid("give two ids or two texts, not one of each", field="other_completion")
    return {"comparison_id": to_uuid(given.id, ids.COMPARISON)}


def _completion(text: str, field: str) -> Id:
    ident = from_uuid(ids.check_uuid(text, field), ids.COMPLETION)
    if ident is None:
        error = NotFound.of("completion", text)
        error.field = field
        raise error
    return ident


@rest.op("addOutcome", body=wire.AddOutcome, status=201)
async def add_outcome(call: Call) -> object:
    body: wire.AddOutcome = call.body
    session = ids.session_of(ids.check_uuid(body.session_id, "session_id"))
    given = await call.write(give_outcome, body.metric, session.id, body.value, body.user_id)
    return {"outcome_id": to_uuid(given.id, ids.OUTCOME)}
