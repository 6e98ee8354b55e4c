"""What a row of a dataset may look like, and the spellings that mean the same.

Chat rows come in three spellings: `messages`, `input` with messages, and `prompt` as a text, as messages or as
`[role, text]` pairs. `canonical` turns each into the first, so that whoever reads rows knows one shape:

    PROMPT                      messages
    PROMPT_COMPLETION           messages, completion
    PROMPT_COMPLETION_FEEDBACK  messages, completion, feedbacks {metric key: number or bool}
    PREFERENCE                  messages, preferred_completion, other_completion, feedback_key?
    QUESTION_ANSWER             question or messages or input_query, with answer or expected_answer
    ROWS                        anything else
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from quintet.domain.data import DatasetKind
from quintet.domain.errors import Invalid

Row = dict[str, Any]

_CHAT = (DatasetKind.PROMPT, DatasetKind.PROMPT_COMPLETION, DatasetKind.PROMPT_COMPLETION_FEEDBACK)
"""From what a row needs least to what it needs most: each is also every kind before it."""


def canonical(row: Mapping[str, Any], line: int = 1) -> Row:
    """The row with its aliases replaced; whatever else it holds stays. Invalid names the line and the field."""
    result = dict(row)
    if "messages" not in result:
        for alias in ("input", "prompt"):
            messages = _messages_of(result.get(alias), alias == "prompt")
            if messages is not None:
                del result[alias]
                result = {"messages": messages, **result}
                break
    if "messages" in result:
        for alias, name in (("chosen", "preferred_completion"), ("rejected", "other_completion")):
            if alias in result and name not in result:
                result[name] = result.pop(alias)
        for name in ("completion", "preferred_completion", "other_completion"):
            if name in result:
                result[name] = _text_of(result[name], name, line)
    return result


def _messages_of(value: Any, text_allowed: bool) -> list[Row] | None:
    if isinstance(value, str):
        return [{"role": "user", "content": value}] if text_allowed else None
    if not isinstance(value, list) or not value:
        return None
    if all(isinstance(m, dict) and "role" in m for m in value):
        return value
    if all(isinstance(m, list) and len(m) == 2 and all(isinstance(p, str) for p in m) for m in value):
        return [{"role": role, "content": text} for role, text in value]
    return None


def _text_of(value: Any, name: str, line: int) -> str:
    """A completion as text: plain, as `[role, text]`, or as one message, alone or in a list."""
    if isinstance(value, list) and len(value) == 2 and all(isinstance(p, str) for p in value):
        return str(value[1])
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        value = value.get("content")
    if not isinstance(value, str):
        raise _wrong(line, name, "must be text")
    return value


def kind_of(row: Mapping[str, Any]) -> DatasetKind:
    """The kind that a canonical row shows by its fields."""
    answered = "answer" in row or "expected_answer" in row
    if isinstance(row.get("messages"), list):
        if "preferred_completion" in row and "other_completion" in row:
            return DatasetKind.PREFERENCE
        if answered:
            return DatasetKind.QUESTION_ANSWER
        if "completion" not in row:
            return DatasetKind.PROMPT
        return _CHAT[2] if isinstance(row.get("feedbacks"), dict) else _CHAT[1]
    if answered and ("question" in row or "input_query" in row):
        return DatasetKind.QUESTION_ANSWER
    return DatasetKind.ROWS


def common(one: DatasetKind, other: DatasetKind) -> DatasetKind:
    """The richest kind that rows of both are."""
    if one == other:
        return one
    if one in _CHAT and other in _CHAT:
        return _CHAT[min(_CHAT.index(one), _CHAT.index(other))]
    return DatasetKind.ROWS


def check(row: Mapping[str, Any], kind: DatasetKind, line: int = 1) -> None:
    """Invalid, naming the line and the field, where a canonical row is not of the kind."""
    if kind is DatasetKind.QUESTION_ANSWER:
        _needs_one(row, line, ("question", "messages", "input_query"))
        _needs_one(row, line, ("answer", "expected_answer"))
    elif kind is DatasetKind.PREFERENCE:
        _check_messages(row, line)
        _check_texts(row, line, "preferred_completion", "other_completion")
        if not isinstance(row.get("feedback_key", ""), str):
            raise _wrong(line, "feedback_key", "must be text")
    elif kind in _CHAT:
        _check_messages(row, line)
        if kind is not DatasetKind.PROMPT:
            _check_texts(row, line, "completion")
        if kind is DatasetKind.PROMPT_COMPLETION_FEEDBACK:
            _check_feedbacks(row, line)
    if kind is not DatasetKind.ROWS:
        if not isinstance(row.get("metadata", {}), dict | None):
            raise _wrong(line, "metadata", "must be an object")
        if not isinstance(row.get("labels", {}), dict | list | None):
            raise _wrong(line, "labels", "must be an object")


def _needs_one(row: Mapping[str, Any], line: int, names: tuple[str, ...]) -> None:
    if not any(name in row for name in names):
        raise _wrong(line, names[0], "is missing")


def _check_messages(row: Mapping[str, Any], line: int) -> None:
    messages = row.get("messages")
    if messages is None:
        raise _wrong(line, "messages", "is missing")
    if not isinstance(messages, list) or not messages:
        raise _wrong(line, "messages", "must be a list of at least one message")
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise _wrong(line, "messages", "holds a message without a role")
        content = message.get("content")
        if not isinstance(content, str | list) and not (content is None and "tool_calls" in message):
            raise _wrong(line, "messages", "holds a message whose content is neither text nor a list of parts")


def _check_texts(row: Mapping[str, Any], line: int, *names: str) -> None:
    for name in names:
        if name not in row:
            raise _wrong(line, name, "is missing")
        if not isinstance(row[name], str):
            raise _wrong(line, name, "must be text")


def _check_feedbacks(row: Mapping[str, Any], line: int) -> None:
    feedbacks = row.get("feedbacks")
    if not isinstance(feedbacks, dict):
        raise _wrong(line, "feedbacks", "is missing" if feedbacks is None else "must be an object")
    for key, value in feedbacks.items():
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise _wrong(line, "feedbacks", f"gives '{key}' neither a number nor a bool")


def metric_values(row: Mapping[str, Any]) -> dict[str, bool]:
    """The metrics that a row gives feedback on, and whether the value is a bool."""
    feedbacks = row.get("feedbacks")
    return {k: isinstance(v, bool) for k, v in feedbacks.items()} if isinstance(feedbacks, dict) else {}


def _wrong(line: int, name: str, what: str) -> Invalid:
    return Invalid(f"line {line}: '{name}' {what}", field=name, line=line)
