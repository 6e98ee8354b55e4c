"""Dataset rows as training examples: the several shapes that clients send, read into one each. Standard library only.

A message is `{"role": str, "content": str}`; other fields of it are kept, since a chat template may use them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from quintet.domain.errors import Invalid

Row = Mapping[str, Any]
Messages = list[dict[str, Any]]

PROMPT_COLUMNS = ("prompt", "input_query", "question")
ANSWER_COLUMNS = ("completion", "expected_answer", "answer")


class Example(NamedTuple):
    """A conversation and the reply that is to be learnt."""

    prompt: Messages
    completion: str


class Preference(NamedTuple):
    """A conversation, the reply that was preferred and the one that was not."""

    prompt: Messages
    chosen: str
    rejected: str


def example(row: Row, number: int = 0) -> Example:
    """The example in `row`; Invalid, with the row's number, if it has none of the known shapes.

    Read are `messages` with a `completion` (or `expected_answer`, `answer`), `messages` that end with the
    assistant's turn, `chat_completion_input` (messages as a JSON string) with an answer, and `prompt`,
    `input_query` or `question` with an answer.
    """
    messages = prompt_of(row, number)
    answer = next((row[name] for name in ANSWER_COLUMNS if row.get(name) is not None), None)
    if answer is not None:
        return Example(messages, _reply(answer, number))
    if len(messages) > 1 and messages[-1]["role"] == "assistant":
        return Example(messages[:-1], _reply(messages[-1]["content"], number))
    raise Invalid(
        f"row {number} has nothing to learn: it needs {' or '.join(ANSWER_COLUMNS)}, or messages that end with the "
        f"assistant; it has {', '.join(sorted(row)) or 'no columns'}",
        field="dataset",
    )


def preference(row: Row, number: int = 0) -> Preference:
    """The pair in `row`: a prompt with `preferred_completion` and `other_completion`, or `chosen` and `rejected`.

    `chosen` and `rejected` may be strings, one message, or whole conversations, whose last turn then counts.
    Without a prompt column, conversations give it: all their turns but the last.
    """
    for first, second in (("preferred_completion", "other_completion"), ("chosen", "rejected")):
        if row.get(first) is not None and row.get(second) is not None:
            has_prompt = any(row.get(name) is not None for name in ("messages", "chat_completion_input", "prompt",
                                                                    *PROMPT_COLUMNS))  # fmt: skip
            if has_prompt:
                prompt = prompt_of(row, number)
            elif isinstance(row[first], list) and len(row[first]) > 1:
                prompt = _messages(row[first][:-1], number)
            else:
                raise Invalid(f"row {number} has no prompt", field="dataset")
            return Preference(prompt, _reply(row[first], number), _reply(row[second], number))
    raise Invalid(
        f"row {number} is no preference: it needs preferred_completion and other_completion, or chosen and "
        f"rejected; it has {', '.join(sorted(row)) or 'no columns'}",
        field="dataset",
    )


def prompt_of(row: Row, number: int = 0) -> Messages:
    """The conversation that a row asks a model to continue; Invalid if there is none."""
    if row.get("messages") is not None:
        return _messages(row["messages"], number)
    if row.get("chat_completion_input") is not None:
        value = row["chat_completion_input"]
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except json.JSONDecodeError as error:
                raise Invalid(f"row {number}: chat_completion_input is no JSON: {error}", field="dataset") from None
        return _messages(value, number)
    for name in PROMPT_COLUMNS:
        if row.get(name) is not None:
            value = row[name]
            return [{"role": "user", "content": value}] if isinstance(value, str) else _messages(value, number)
    raise Invalid(
        f"row {number} has no prompt: it needs messages, chat_completion_input or {', '.join(PROMPT_COLUMNS)}; "
        f"it has {', '.join(sorted(row)) or 'no columns'}",
        field="dataset",
    )


def text_of(content: object) -> str:
    """The text of a message's content: a string, None, or OpenAI's list of parts."""
    if content is None:
        return ""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))
    return str(content)


def _messages(value: object, number: int) -> Messages:
    turns = [value] if isinstance(value, Mapping) else value
    if not isinstance(turns, list) or not turns:
        raise Invalid(f"row {number}: messages must be a list of at least one message", field="dataset")
    messages: Messages = []
    for turn in turns:
        # Some clients send a turn as a pair [role, content].
        if isinstance(turn, list) and len(turn) == 2 and all(isinstance(part, str) for part in turn):
            turn = {"role": turn[0], "content": turn[1]}
        if not isinstance(turn, Mapping) or not isinstance(turn.get("role"), str):
            raise Invalid(f"row {number}: a message needs a role and a content", field="dataset")
        messages.append({**turn, "content": text_of(turn.get("content"))})
    return messages


def _reply(value: object, number: int) -> str:
    if isinstance(value, list):
        return str(_messages(value, number)[-1]["content"])
    if isinstance(value, Mapping):
        return text_of(value.get("content"))
    return str(value)
