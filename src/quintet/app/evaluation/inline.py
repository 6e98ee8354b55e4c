"""Evaluation within a request: a model that is served answers rows, and scoring functions say how well.

Unlike the recipe of that name, which loads a registered model on a worker, this asks whatever can be called, so
it also serves upstream models. Nothing here is durable until the caller records the outcome.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from quintet.app.core import Core
from quintet.app.serving.callpath import Completion
from quintet.app.serving.on_demand import complete
from quintet.domain import scoring
from quintet.domain.aggregation import aggregate
from quintet.domain.errors import Invalid
from quintet.domain.identity import Actor
from quintet.domain.interactions import InteractionSource

AT_ONCE = 16
"""Rows in flight: enough to fill an engine's batch, few enough to leave room for other callers."""

PROMPTS = ("messages", "chat_completion_input", "input", "prompt", "completion_input", "input_query", "question")
"""Where a row may say what it asks; the first that is there counts."""

JUDGES = "llm-as-judge::"

ANSWERS = ("completion", "expected_answer", "answer")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is evaluated, and how it is to answer. `model` as completions name it."""

    model: str
    max_tokens: int | None = None
    temperature: float | None = 0.0
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    system_message: str | None = None
    dialect: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """A row's conversation, and the row as scoring functions read it, still without the answer."""

    messages: list[dict[str, Any]]
    row: dict[str, Any]


async def evaluate(
    core: Core,
    actor: Actor,
    candidate: Candidate,
    rows: Sequence[Row],
    functions: Sequence[str],
    params: Mapping[str, Mapping[str, Any] | None],
) -> dict[str, Any]:
    """`{"generations": [{"generated_answer"}], "scores": {function: {"score_rows", "aggregated_results"}}}`.

    Every row is checked before the first is answered: Invalid names the one that asks nothing.
    """
    for function in functions:  # a wrong parameter should not cost the answers first
        scoring.row_scorer(function, params.get(function), lambda model, prompt: "")
        aggregate(scoring.aggregations_of(function, params.get(function)), [])
    questions = [question(row, number, candidate.system_message) for number, row in enumerate(rows)]
    gate = asyncio.Semaphore(AT_ONCE)

    async def answer(asked: Question) -> str:
        async with gate:
            done = await complete(core, actor, _completion(candidate, asked.messages))
        return done.choices[0].generation.text

    answers = await asyncio.gather(*(answer(q) for q in questions))
    answered = [{**q.row, "generated_answer": text} for q, text in zip(questions, answers, strict=True)]
    return {
        "generations": [{"generated_answer": text} for text in answers],
        "scores": await score(core, actor, answered, functions, params, candidate.dialect),
    }


async def score(
    core: Core,
    actor: Actor,
    rows: Sequence[Row],
    functions: Sequence[str],
    params: Mapping[str, Mapping[str, Any] | None],
    dialect: str = "",
) -> dict[str, Any]:
    """The scores of rows that have their answers, by function; judges are asked through the call path."""
    loop = asyncio.get_running_loop()

    def judge(model: str, prompt: str) -> str:
        candidate = Candidate(model, dialect=dialect)
        asking = complete(core, actor, _completion(candidate, [{"role": "user", "content": prompt}]))
        return asyncio.run_coroutine_threadsafe(asking, loop).result().choices[0].generation.text

    found: dict[str, Any] = {}
    for function in functions:
        given = params.get(function)
        scorer = scoring.row_scorer(function, given, judge)
        at_once = AT_ONCE if function.startswith(JUDGES) else 1
        # Threads of their own: a judge waits in them for its model, whose loading needs a thread of the loop's.
        pool = ThreadPoolExecutor(at_once, thread_name_prefix="quintet-score")
        try:
            scored = list(await asyncio.gather(*(loop.run_in_executor(pool, scorer, row) for row in rows)))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        results = aggregate(scoring.aggregations_of(function, given), scored)
        found[function] = {"score_rows": scored, "aggregated_results": results}
    return found


def _completion(candidate: Candidate, messages: list[dict[str, Any]]) -> Completion:
    return Completion(
        model=candidate.model, messages=messages, dialect=candidate.dialect, max_tokens=candidate.max_tokens,
        temperature=candidate.temperature, top_p=candidate.top_p, stop=candidate.stop, seed=candidate.seed,
        type="evaluation", source=InteractionSource.EVALUATION, extra=candidate.extra,
    )  # fmt: skip


def question(row: Row, number: int, system_message: str | None = None) -> Question:
    """What a row asks, and what it expects; Invalid, with the row's number, where it asks nothing."""
    messages = _messages(row, number)
    expected = next((row[name] for name in ANSWERS if row.get(name) is not None), None)
    if expected is None and len(messages) > 1 and messages[-1]["role"] == "assistant":
        expected = messages[-1].get("content")
        messages = messages[:-1]
    asked = row.get("input_query")
    if asked is None:
        asked = next((m.get("content") for m in reversed(messages) if m["role"] == "user"), "")
    if system_message and messages[0]["role"] != "system":
        messages = [{"role": "system", "content": system_message}, *messages]
    context = {"context": row["context"]} if row.get("context") is not None else {}
    return Question(messages, {"input_query": asked, "expected_answer": _text(expected), **context})


def _messages(row: Row, number: int) -> list[dict[str, Any]]:
    for name in PROMPTS:
        value = row.get(name)
        if value is None:
            continue
        if isinstance(value, str) and name == "chat_completion_input":
            try:
                value = json.loads(value)
            except ValueError as error:
                raise _wrong(number, f"'{name}' is no JSON") from error
        if isinstance(value, str):
            return [{"role": "user", "content": value}]
        if isinstance(value, list) and value and all(isinstance(m, dict) and m.get("role") for m in value):
            return value
        raise _wrong(number, f"'{name}' is neither text nor a list of messages")
    raise _wrong(number, f"it has none of {', '.join(PROMPTS)}")


def _wrong(number: int, what: str) -> Invalid:
    return Invalid(f"row {number} asks nothing: {what}", field=f"input_rows[{number}]")


def _text(value: Any) -> str:
    """A text, a message, or a list of one, as text."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        value = value.get("content")
    return "" if value is None else str(value)
