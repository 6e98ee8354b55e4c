"""Text completions: a prompt is sent on as one message of the user."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import fields
from starlette.responses import Response

from quintet.app.serving.callpath import Completed, Completion
from quintet.app.serving.on_demand import complete, stream
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.times import to_seconds
from quintet.dialects.llama_stack import chat_wire as wire
from quintet.dialects.llama_stack.binder import DIALECT, binder
from quintet.dialects.llama_stack.chat import event, events, replied, wants_usage
from quintet.dialects.llama_stack.chat_convert import model_said, passed, stops, usage
from quintet.domain.errors import Invalid
from quintet.domain.ids import to_prefixed
from quintet.ports.engine import Usage

MAX_PROMPTS = 128
"""The most prompts of one request: each is a call of its own."""

PREFIX = "cmpl-"


class CompletionRequest(wire.Sampled, kw_only=True):
    prompt: str | list[Any]
    echo: bool | None = None
    best_of: Any = None
    suffix: Any = None


class TextChoice(Struct):
    index: int
    text: str
    finish_reason: str | None = None
    logprobs: None = None


class TextCompletion(Struct):
    id: str
    created: int
    model: str
    choices: list[TextChoice]
    usage: wire.Usage | UnsetType = UNSET
    object: str = "text_completion"


_PASSED = tuple(f.name for f in fields(CompletionRequest) if f.type is Any)


@binder.op("POST /v1/completions", body=CompletionRequest)
async def completions(call: Call) -> Response:
    body: CompletionRequest = call.body
    prompts = _prompts(body.prompt)
    wanted = [_to_completion(body, prompt) for prompt in prompts]
    if body.stream:
        return events(call, _chunks(call, body, prompts, wanted))
    done = await asyncio.gather(*(complete(call.core, call.actor, w) for w in wanted))
    # Prompts go side by side, so the engine was busy for as long as the longest of them took.
    return replied(call, _from_completed(done, body, prompts), max(d.engine_us for d in done))


def _prompts(given: object) -> list[str]:
    prompts = [given] if isinstance(given, str) else list(given) if isinstance(given, list) else []
    if any(not isinstance(prompt, str) for prompt in prompts):
        raise Invalid("expected text; numbers of tokens are not understood", field="prompt")
    if not 1 <= len(prompts) <= MAX_PROMPTS:
        raise Invalid(f"expected 1 to {MAX_PROMPTS} prompts", field="prompt")
    return prompts


def _to_completion(body: CompletionRequest, prompt: str) -> Completion:
    return Completion(
        model=body.model, messages=[{"role": "user", "content": prompt}], dialect=DIALECT,
        max_tokens=body.max_tokens, temperature=body.temperature, top_p=body.top_p, stop=stops(body.stop),
        seed=body.seed, n=1 if body.n is None else body.n, end_user=body.user, type="completion",
        extra=passed(body, _PASSED),
    )  # fmt: skip


def _from_completed(done: list[Completed], body: CompletionRequest, prompts: list[str]) -> TextCompletion:
    """Choices are numbered through: those of the first prompt, those of the second, and so on."""
    choices: list[TextChoice] = []
    asked = answered = 0
    for prompt, one in zip(prompts, done, strict=True):
        for choice in one.choices:
            text = prompt + choice.generation.text if body.echo else choice.generation.text
            choices.append(TextChoice(len(choices), text, choice.generation.finish_reason))
        asked += one.usage.prompt_tokens
        answered += one.usage.completion_tokens
    first = done[0].choices[0].interaction
    model = model_said(body.model, done[0].route)
    used = usage(Usage(asked, answered))
    return TextCompletion(to_prefixed(first.id, PREFIX), to_seconds(first.created_at), model, choices, used)


async def _chunks(
    call: Call, body: CompletionRequest, prompts: list[str], wanted: list[Completion]
) -> AsyncIterator[bytes]:
    """One prompt after the other, so that a stream needs no more of the engine than its choices do."""
    created = to_seconds(call.core.clock())
    ident = ""
    model = body.model
    prompt_tokens = completion_tokens = 0
    for number, (prompt, one) in enumerate(zip(prompts, wanted, strict=True)):
        route, parts = await stream(call.core, call.actor, one)
        model = model_said(body.model, route)
        echoed = dict.fromkeys(range(one.n), prompt) if body.echo else {}
        asked = 0
        async for part in parts:
            ident = ident or to_prefixed(part.interaction_id, PREFIX)
            if part.delta.usage is not None:
                asked = max(asked, part.delta.usage.prompt_tokens)
                completion_tokens += part.delta.usage.completion_tokens
            text = echoed.pop(part.index, "") + part.delta.text
            choice = TextChoice(number * one.n + part.index, text, part.delta.finish_reason)
            yield event(TextCompletion(ident, created, model, [choice]))
        prompt_tokens += asked
    if wants_usage(body):
        yield event(TextCompletion(ident, created, model, [], usage(Usage(prompt_tokens, completion_tokens))))
