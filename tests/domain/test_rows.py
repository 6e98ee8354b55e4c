"""The shapes of rows: aliases mean the same, kinds show by fields, errors name line and field."""

from __future__ import annotations

from typing import Any

import pytest

from quintet.domain import rows
from quintet.domain.data import DatasetKind as K
from quintet.domain.errors import Invalid

MESSAGES = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"messages": MESSAGES, "completion": "c"}, {"messages": MESSAGES, "completion": "c"}),
        ({"input": MESSAGES, "x": 1}, {"messages": MESSAGES, "x": 1}),
        (
            {"prompt": [["system", "s"], ["user", "u"]], "completion": ["assistant", "c"], "metadata": {}},
            {"messages": MESSAGES, "completion": "c", "metadata": {}},
        ),
        (
            {"prompt": "u", "chosen": "a", "rejected": [{"role": "assistant", "content": "b"}]},
            {"messages": MESSAGES[1:], "preferred_completion": "a", "other_completion": "b"},
        ),
        ({"input": "text", "output": 3}, {"input": "text", "output": 3}),
        ({"prompt": 5}, {"prompt": 5}),
    ],
)
def test_aliases_of_chat_rows_become_one_spelling(given: dict[str, Any], wanted: dict[str, Any]) -> None:
    before = dict(given)
    assert rows.canonical(given) == wanted
    assert given == before


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"messages": MESSAGES}, K.PROMPT),
        ({"messages": MESSAGES, "completion": "c"}, K.PROMPT_COMPLETION),
        ({"messages": MESSAGES, "completion": "c", "feedbacks": {"m": True}}, K.PROMPT_COMPLETION_FEEDBACK),
        ({"messages": MESSAGES, "preferred_completion": "a", "other_completion": "b"}, K.PREFERENCE),
        ({"messages": MESSAGES, "answer": "a"}, K.QUESTION_ANSWER),
        ({"question": "q", "answer": "a"}, K.QUESTION_ANSWER),
        ({"input_query": "q", "expected_answer": "a", "chat_completion_input": "[]"}, K.QUESTION_ANSWER),
        ({"x": 1, "y": 2.5}, K.ROWS),
        ({}, K.ROWS),
    ],
)
def test_a_kind_shows_by_the_fields_and_the_row_passes_its_check(row: dict[str, Any], kind: K) -> None:
    assert rows.kind_of(row) is kind
    rows.check(row, kind)


def test_rows_of_several_chat_kinds_share_the_poorest() -> None:
    assert rows.common(K.PROMPT_COMPLETION_FEEDBACK, K.PROMPT_COMPLETION) is K.PROMPT_COMPLETION
    assert rows.common(K.PROMPT, K.PROMPT_COMPLETION) is K.PROMPT
    assert rows.common(K.PREFERENCE, K.PROMPT) is K.ROWS
    assert rows.common(K.QUESTION_ANSWER, K.QUESTION_ANSWER) is K.QUESTION_ANSWER


@pytest.mark.parametrize(
    ("row", "kind", "field"),
    [
        ({}, K.PROMPT, "messages"),
        ({"messages": []}, K.PROMPT, "messages"),
        ({"messages": [{"content": "x"}]}, K.PROMPT, "messages"),
        ({"messages": [{"role": "user", "content": 3}]}, K.PROMPT, "messages"),
        ({"messages": MESSAGES}, K.PROMPT_COMPLETION, "completion"),
        ({"messages": MESSAGES, "completion": 3}, K.PROMPT_COMPLETION, "completion"),
        ({"messages": MESSAGES, "completion": "c"}, K.PROMPT_COMPLETION_FEEDBACK, "feedbacks"),
        ({"messages": MESSAGES, "completion": "c", "feedbacks": {"m": "x"}}, K.PROMPT_COMPLETION_FEEDBACK, "feedbacks"),
        ({"messages": MESSAGES, "preferred_completion": "a"}, K.PREFERENCE, "other_completion"),
        ({"question": "q"}, K.QUESTION_ANSWER, "answer"),
        ({"messages": MESSAGES, "metadata": []}, K.PROMPT, "metadata"),
        ({"messages": MESSAGES, "labels": "x"}, K.PROMPT, "labels"),
    ],
)
def test_a_wrong_row_names_its_line_and_field(row: dict[str, Any], kind: K, field: str) -> None:
    with pytest.raises(Invalid, match="line 7") as caught:
        rows.check(row, kind, 7)
    assert caught.value.field == field
    assert caught.value.data["line"] == 7
