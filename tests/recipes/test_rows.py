"""Rows of every known shape, read into examples and preferences."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quintet.domain.errors import Invalid
from quintet.recipes.evaluate import question
from quintet.trainers.rows import example, preference

USER = [{"role": "user", "content": "2+2?"}]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": USER, "completion": "4"},
        {"messages": [*USER, {"role": "assistant", "content": "4"}]},
        {"prompt": "2+2?", "completion": "4"},
        {"prompt": USER, "completion": [{"role": "assistant", "content": "4"}]},
        {"input_query": "2+2?", "expected_answer": "4"},
        {"question": "2+2?", "answer": "4"},
        {"messages": USER, "answer": "4"},
        {"chat_completion_input": json.dumps(USER), "expected_answer": "4", "input_query": "ignored"},
        {"messages": [["user", "2+2?"]], "completion": "4"},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "2+2?"}]}], "completion": 4},
        {"prompt": "2+2?", "completion": "4", "messages": None, "answer": None},
    ],
)
def test_each_shape_of_row_is_the_same_example(row: dict[str, Any]) -> None:
    assert example(row) == (USER, "4")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({}, "no columns"),
        ({"prompt": "x"}, "nothing to learn"),
        ({"messages": USER}, "nothing to learn"),
        ({"completion": "x"}, "no prompt"),
        ({"messages": [], "completion": "x"}, "at least one message"),
        ({"messages": [{"content": "x"}], "completion": "x"}, "role"),
        ({"chat_completion_input": "{", "expected_answer": "x"}, "no JSON"),
    ],
)
def test_a_row_of_no_known_shape_is_refused_with_its_number(row: dict[str, Any], says: str) -> None:
    with pytest.raises(Invalid, match=says) as caught:
        example(row, 17)
    assert "row 17" in caught.value.message
    assert caught.value.field == "dataset"


@pytest.mark.parametrize(
    "row",
    [
        {"messages": USER, "preferred_completion": "4", "other_completion": "5"},
        {"prompt": "2+2?", "chosen": "4", "rejected": "5"},
        {"prompt": USER, "chosen": {"role": "assistant", "content": "4"}, "rejected": "5"},
        {"chosen": [*USER, {"role": "assistant", "content": "4"}],
         "rejected": [*USER, {"role": "assistant", "content": "5"}]},
    ],
)  # fmt: skip
def test_each_shape_of_preference_is_the_same(row: dict[str, Any]) -> None:
    assert preference(row) == (USER, "4", "5")


def test_half_a_preference_is_refused() -> None:
    with pytest.raises(Invalid, match="row 3 is no preference"):
        preference({"prompt": "x", "chosen": "y"}, 3)
    with pytest.raises(Invalid, match="no prompt"):
        preference({"chosen": "y", "rejected": "z"})


def test_a_question_has_a_prompt_and_what_scoring_reads() -> None:
    row = {"input_query": "q", "expected_answer": "4", "chat_completion_input": json.dumps(USER), "context": "c"}
    assert question(row) == (USER, {"input_query": "q", "expected_answer": "4", "context": "c"})
    asked = question({"messages": [*USER, {"role": "assistant", "content": "4"}]}, system_message="Be brief.")
    assert asked.prompt == [{"role": "system", "content": "Be brief."}, *USER]
    assert asked.row == {"input_query": "2+2?", "expected_answer": "4"}
