"""Scoring functions and aggregations."""

from __future__ import annotations

from typing import Any

import pytest

from quintet.domain.aggregation import aggregate, metrics_of
from quintet.domain.errors import Invalid, Unsupported
from quintet.domain.scoring import judge_prompt, row_scorer, score_rows

CHOICE = "basic::regex_parser_multiple_choice_answer"
MATH = "basic::regex_parser_math_response"
JUDGE = "llm-as-judge::base"


def score(function: str, generated: str, expected: str, **params: Any) -> Any:
    return row_scorer(function, params)({"generated_answer": generated, "expected_answer": expected})["score"]


def test_equality_and_subset() -> None:
    assert score("basic::equality", "2021-03-03", "2021-03-03") == 1.0
    assert score("basic::equality", "2021-03-03 ", "2021-03-03") == 0.0
    assert score("basic::subset_of", "It is Paris, of course", "Paris") == 1.0
    assert score("basic::subset_of", "It is Rome", "Paris") == 0.0


@pytest.mark.parametrize(
    "reply",
    [
        "Answer: B",
        "The answer is (B).",
        "**Answer:** B",
        "Let us see. Option A is wrong.\nAnswer: B",
        "Antwort: B",
        "La respuesta es B",
        "Réponse : B",
        "答案：B",
        "答案是B",
        "정답: (B)",
        "Ответ: B",
        "B",
        "B) Paris",
        "so it must be \\boxed{B}",
        "therefore (B)",
    ],
)
def test_the_letter_of_a_multiple_choice_answer_is_found(reply: str) -> None:
    assert score(CHOICE, reply, "B") == 1.0
    assert score(CHOICE, reply, "C") == 0.0
    assert score(CHOICE, reply, "B) Paris") == 1.0


def test_no_letter_is_a_wrong_answer() -> None:
    assert score(CHOICE, "Because of this I do not know", "B") == 0.0
    assert score(CHOICE, "", "B") == 0.0
    assert score(CHOICE, "Answer: Because", "B") == 0.0


def test_own_patterns_replace_the_known_ones() -> None:
    assert score(CHOICE, "<x>", "x", parsing_regexes=["<(.)>"]) == 1.0
    assert score(CHOICE, "Answer: x", "x", parsing_regexes=["<(.)>"]) == 0.0
    with pytest.raises(Invalid) as caught:
        score(CHOICE, "x", "x", parsing_regexes=["("])
    assert caught.value.field == "parsing_regexes"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("so \\boxed{\\frac{1}{2}}", "0.5"),
        ("\\boxed{1} no, \\boxed{x^{2}}", "x^2".replace("^2", "^{2}")),
        ("The final answer is $1,234.50$.", "1234.5"),
        ("Answer: 42", "42"),
        ("**Answer:** 42", "42"),
        ("first 7, then 8", "8"),
        ("it costs \\$18 ... #### 18", "18"),
        ("x = \\boxed{-3}", "-3"),
        ("\\boxed{\\dfrac34}", "3/4"),
        ("\\boxed{12\\text{ cm}}", "12"),
        ("\\boxed{x=5}", "5"),
        ("\\boxed{\\left(1,2\\right)}", "(1, 2)"),
        ("\\boxed{50\\%}", "50"),
    ],
)
def test_equal_values_count_however_they_are_written(reply: str, expected: str) -> None:
    assert score(MATH, reply, expected) == 1.0


@pytest.mark.parametrize(
    ("reply", "expected"),
    [("\\boxed{3}", "4"), ("no number", "4"), ("\\boxed{1/0}", "0"), ("Answer: 41", "42"), ("\\boxed{12", "3")],
)
def test_other_values_do_not(reply: str, expected: str) -> None:
    assert score(MATH, reply, expected) == 0.0


def test_a_judge_reads_the_row_and_its_score_is_parsed() -> None:
    asked = []

    def judge(model: str, prompt: str) -> str:
        asked.append((model, prompt))
        return "Grade: B because" if "wrong" in prompt else "no idea"

    rows = [
        {"input_query": "q{x}", "expected_answer": "e", "generated_answer": "wrong {expected_answer}"},
        {"input_query": "q", "expected_answer": "e", "generated_answer": "right"},
    ]
    params = {
        "judge_model": "j",
        "prompt_template": '{"q": {input_query}, "e": {expected_answer}, "g": {generated_answer}}',
        "judge_score_regexes": ["Mark: (.)", "Grade: (.)"],
        "aggregation_functions": ["categorical_count"],
    }
    scored = score_rows(JUDGE, rows, params, judge)
    assert asked[0] == ("j", '{"q": q{x}, "e": e, "g": wrong {expected_answer}}')
    assert scored["score_rows"] == [
        {"score": "B", "judge_feedback": "Grade: B because"}, {"score": None, "judge_feedback": "no idea"}
    ]  # fmt: skip
    assert scored["aggregated_results"] == {"categorical_count": {"categorical_count": {"B": 1, "None": 1}}}


def test_a_judge_without_a_template_gives_a_number() -> None:
    scored = score_rows(JUDGE, [{}], {"judge_model": "j", "aggregation_functions": ["average"]},
                        lambda model, prompt: "Fine.\n**Score: 7**")  # fmt: skip
    assert scored["score_rows"][0]["score"] == "7"
    assert scored["aggregated_results"] == {"average": {"average": 7.0}}
    assert "{" not in judge_prompt("{input_query}{context}", {})


def test_a_judge_needs_a_model() -> None:
    with pytest.raises(Invalid) as caught:
        row_scorer(JUDGE, {}, lambda model, prompt: "")
    assert caught.value.field == "judge_model"
    with pytest.raises(Unsupported):
        row_scorer(JUDGE, {"judge_model": "j"})


def test_a_function_of_ones_own_says_by_its_parameters_what_it_is() -> None:
    assert score("mine", "result=4 result=5", "5", type="regex_parser", parsing_regexes=[r"result=(\d)"]) == 1.0
    assert score("mine", "5", "5", type="regex_parser", parsing_regexes=[r"result=(\d)"]) == 0.0
    mine = row_scorer("my-judge", {"type": "llm_as_judge", "judge_model": "j"}, lambda model, prompt: "Score: 3")
    assert mine({})["score"] == "3"


def test_an_unknown_function_or_aggregation_is_named() -> None:
    with pytest.raises(Unsupported, match="basic::nothing"):
        row_scorer("basic::nothing")
    with pytest.raises(Invalid, match="mode"):
        aggregate(["mode"], [])


def test_aggregations_have_the_shapes_that_clients_read() -> None:
    rows: list[dict[str, Any]] = [{"score": 1.0}, {"score": 0.0}, {"score": 1.0, "weight": 2.0}, {"score": None}]
    names = ["accuracy", "average", "median", "weighted_average", "categorical_count"]
    assert aggregate(names, rows) == {
        "accuracy": {"accuracy": 0.5, "num_correct": 2.0, "num_total": 4},
        "average": {"average": pytest.approx(2 / 3)},
        "median": {"median": 1.0},
        "weighted_average": {"weighted_average": 0.75},
        "categorical_count": {"categorical_count": {"1.0": 2, "0.0": 1, "None": 1}},
    }


def test_no_rows_give_no_mean_and_no_error() -> None:
    names = ["accuracy", "average", "median", "weighted_average", "categorical_count"]
    results = aggregate(names, [])
    assert results["accuracy"] == {"accuracy": None, "num_correct": 0.0, "num_total": 0}
    assert [results[name][name] for name in names[1:4]] == [None] * 3


def test_basic_functions_are_aggregated_to_accuracy_unless_told_otherwise() -> None:
    rows = [{"generated_answer": "a", "expected_answer": "a"}]
    assert list(score_rows("basic::equality", rows)["aggregated_results"]) == ["accuracy"]
    params = {"aggregation_functions": ["median", "average"]}
    assert list(score_rows("basic::equality", rows, params)["aggregated_results"]) == ["median", "average"]


def test_metrics_are_single_numbers_and_the_first_function_has_the_bare_name() -> None:
    rows = [{"generated_answer": "ab", "expected_answer": "a"}]
    scores = {name: score_rows(name, rows) for name in ("basic::equality", "basic::subset_of")}
    assert metrics_of(scores) == {"accuracy": 0.0, "basic::subset_of/accuracy": 1.0}
