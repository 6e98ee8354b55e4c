"""Scoring functions: how good an answer is, as pure functions over rows.

Both the server (scoring rows at once) and the evaluation recipe use these, so that a score means the same in
either. A row has `input_query`, `expected_answer` and `generated_answer`; a score row is `{"score": ...}`, with
`judge_feedback` beside where a model judged. A score is a number, a text, or None where none could be found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from quintet.domain.aggregation import ScoreRow, aggregate
from quintet.domain.errors import Invalid, Unsupported

Row = Mapping[str, Any]
Judge = Callable[[str, str], str]
"""Asks the model (first argument) the prompt (second), and answers its reply."""

JUDGE_BASE = "llm-as-judge::base"

DEFAULT_AGGREGATIONS: dict[str, tuple[str, ...]] = {
    "basic::equality": ("accuracy",),
    "basic::subset_of": ("accuracy",),
    "basic::regex_parser_multiple_choice_answer": ("accuracy",),
    "basic::regex_parser_math_response": ("accuracy",),
    JUDGE_BASE: (),
}
"""Every function that is known here, with the aggregations it gets if its parameters name none."""


def score_rows(
    function: str, rows: Sequence[Row], params: Mapping[str, Any] | None = None, judge: Judge | None = None
) -> dict[str, Any]:
    """`{"score_rows": [...], "aggregated_results": {...}}` of `rows` by `function`.

    `params` may hold `aggregation_functions`; for the parsers `parsing_regexes`; for a judge `judge_model`,
    `prompt_template` and `judge_score_regexes`. Unsupported for a function that is not known.
    """
    params = params or {}
    scorer = row_scorer(function, params, judge)
    scored = [scorer(row) for row in rows]
    return {"score_rows": scored, "aggregated_results": aggregate(aggregations_of(function, params), scored)}


def aggregations_of(function: str, params: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """The aggregations to make of `function`'s scores: those that `params` names, or its own."""
    named = (params or {}).get("aggregation_functions")
    return tuple(named) if named else DEFAULT_AGGREGATIONS.get(function, ())


def row_scorer(
    function: str, params: Mapping[str, Any] | None = None, judge: Judge | None = None
) -> Callable[[Row], ScoreRow]:
    """The function from a row to its score row; Unsupported, or Invalid where a parameter does not fit.

    A name that is not known here needs a `type` in `params`: "llm_as_judge", or "regex_parser", which compares
    what its `parsing_regexes` find in the answer with what was expected.
    """
    params = params or {}
    match function:
        case "basic::equality":
            return lambda row: {"score": float(_text(row, "generated_answer") == _text(row, "expected_answer"))}
        case "basic::subset_of":
            return lambda row: {"score": float(_text(row, "expected_answer") in _text(row, "generated_answer"))}
        case "basic::regex_parser_multiple_choice_answer":
            return _choice_scorer(_compile(params.get("parsing_regexes"), "parsing_regexes") or CHOICE_PATTERNS)
        case "basic::regex_parser_math_response":
            return _math_scorer(_compile(params.get("parsing_regexes"), "parsing_regexes") or MATH_PATTERNS)
        case "llm-as-judge::base":
            return _judge_scorer(params, judge)
    # One that somebody registered under a name of their own says by its parameters what it is.
    match params.get("type"):
        case "llm_as_judge":
            return _judge_scorer(params, judge)
        case "regex_parser":
            return _regex_scorer(_compile(params.get("parsing_regexes"), "parsing_regexes"))
    raise Unsupported(f"the scoring function '{function}' is not known here", field="scoring_functions")


def _regex_scorer(patterns: Sequence[re.Pattern[str]]) -> Callable[[Row], ScoreRow]:
    def score(row: Row) -> ScoreRow:
        found = _last_match(patterns, _text(row, "generated_answer"))
        return {"score": float(found is not None and found.strip() == _text(row, "expected_answer").strip())}

    return score


# Multiple choice

_ANSWER_WORDS = (
    "answer|choice|option|antwort|lösung|réponse|respuesta|resposta|risposta|antwoord|svar|odpowiedź|odpověď|"
    "răspuns|vastaus|válasz|cevap|yanıt|ответ|відповідь|απάντηση|الإجابة|الجواب|תשובה|उत्तर|উত্তর|"
    "jawaban|trả lời|đáp án|jibu|ìdáhùn|答案|回答|答え|解答|정답|답변|คำตอบ|సమాధానం|பதில்"
)
_LETTER = r"[\(\[\*\s]*([A-Ja-j])(?![A-Za-z])"

CHOICE_PATTERNS: tuple[re.Pattern[str], ...] = (
    re.compile(
        rf"(?i:{_ANSWER_WORDS})[^\w\n]*(?:\b(?:is|ist|est|es|è|é|jest|är|er)\b|是|は|为|為)?[\s:\uff1a\*]*{_LETTER}"
    ),
    re.compile(r"\\boxed\{\s*(?:\\text\{)?\s*\(?([A-Ja-j])\)?\s*\}?\s*\}"),
    re.compile(r"^\W*([A-Ja-j])(?:[\)\].:,]|\W*$)"),
    re.compile(r"\(([A-Ja-j])\)\W*$"),
)
"""Tried in this order; `group(1)` is the letter. The last match of a pattern counts: answers come at the end."""


def _choice_scorer(patterns: Sequence[re.Pattern[str]]) -> Callable[[Row], ScoreRow]:
    def score(row: Row) -> ScoreRow:
        found = _last_match(patterns, _text(row, "generated_answer"))
        wanted = _text(row, "expected_answer").strip()
        # The expected answer may be written with its text: "B) Paris".
        letter = re.match(r"\(?([A-Ja-j])\)?(?![A-Za-z])", wanted)
        target = letter.group(1) if letter else wanted
        return {"score": float(found is not None and found.strip().upper() == target.upper())}

    return score


# Mathematics

MATH_PATTERNS: tuple[re.Pattern[str], ...] = (
    re.compile(r"(?i)(?:final answer|answer)(?:\s+is)?\s*[:=\uff1a]?\s*\**\s*([^\n]+?)\s*\**\s*(?:\n|$)"),
    re.compile(r"([-+]?\d[\d,]*(?:\.\d+)?(?:\s*/\s*\d+)?)(?!.*\d)", re.DOTALL),
)
"""Tried in this order, after a boxed answer, which always counts if there is one."""


def _math_scorer(patterns: Sequence[re.Pattern[str]]) -> Callable[[Row], ScoreRow]:
    def score(row: Row) -> ScoreRow:
        reply, wanted = _text(row, "generated_answer"), _text(row, "expected_answer")
        found = _boxed(reply)
        if found is None:
            found = _last_match(patterns, reply)
        target = _boxed(wanted)
        return {"score": float(found is not None and _same_value(found, wanted if target is None else target))}

    return score


def _boxed(text: str) -> str | None:
    """What the last \\boxed{...} holds, braces inside included."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth, first = 0, start + len("\\boxed{")
    for position in range(first, len(text)):
        if text[position] == "{":
            depth += 1
        elif text[position] == "}":
            if depth == 0:
                return text[first:position]
            depth -= 1
    return None


def _same_value(a: str, b: str) -> bool:
    first, second = _simplified(a), _simplified(b)
    if first == second:
        return True
    x, y = _number(first), _number(second)
    return x is not None and x == y


def _simplified(text: str) -> str:
    """An expression without what only changes its looks."""
    text = text.strip().strip("$").strip().rstrip(".")
    text = re.sub(r"\\(?:left|right|,|;|!| )|\\(?:text|mathrm|mbox)\{[^}]*\}|\\%|\\\$|\$|%", "", text)
    text = re.sub(r"\\[dt]?frac\{([^{}]+)\}\{([^{}]+)\}", r"\1/\2", text)
    text = re.sub(r"\\[dt]?frac(\d)(\d)", r"\1/\2", text)
    # Thousands only: a comma between other digits separates the parts of a pair.
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    text = re.sub(r"^[A-Za-z]\s*=\s*", "", text)
    return re.sub(r"\s+", "", text).lower()


def _number(text: str) -> Fraction | None:
    if not re.fullmatch(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:/[-+]?\d+)?", text):
        return None
    above, _, below = text.partition("/")
    if below and int(below) == 0:
        return None
    return Fraction(above.rstrip(".")) / int(below or 1)


# A model as the judge

DEFAULT_JUDGE_TEMPLATE = """\
Judge how well an answer fits what was expected.

Question: {input_query}
Expected answer: {expected_answer}
Given answer: {generated_answer}

Say in a sentence why, then end with a line "Score: N", where N is a whole number from 0 (wrong) to 10 (perfect)."""

DEFAULT_JUDGE_REGEXES = (r"(?i)score:\s*\**\s*(\d+(?:\.\d+)?)",)


def judge_prompt(template: str, row: Row) -> str:
    """`template` with {input_query}, {expected_answer}, {generated_answer} and {context} filled from the row.

    Other braces stay as they are, since templates often show JSON.
    """
    names = r"\{(input_query|expected_answer|generated_answer|context)\}"
    return re.sub(names, lambda match: _text(row, match.group(1)), template)


def judge_score(reply: str, patterns: Sequence[re.Pattern[str]]) -> str | None:
    """The judge's score, as the text that the first fitting pattern's `group(1)` holds."""
    for pattern in patterns:
        if match := pattern.search(reply):
            return match.group(1).strip() if pattern.groups else match.group(0).strip()
    return None


def _judge_scorer(params: Mapping[str, Any], judge: Judge | None) -> Callable[[Row], ScoreRow]:
    model = params.get("judge_model")
    if not model:
        raise Invalid(f"{JUDGE_BASE} needs a judge_model", field="judge_model")
    if judge is None:
        raise Unsupported(f"{JUDGE_BASE} needs a model to ask, and there is none here", field="scoring_functions")
    template = str(params.get("prompt_template") or DEFAULT_JUDGE_TEMPLATE)
    patterns = _compile(params.get("judge_score_regexes") or DEFAULT_JUDGE_REGEXES, "judge_score_regexes")

    def score(row: Row) -> ScoreRow:
        reply = judge(str(model), judge_prompt(template, row))
        return {"score": judge_score(reply, patterns), "judge_feedback": reply}

    return score


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    return "" if value is None else str(value)


def _compile(patterns: Iterable[str] | None, field: str) -> tuple[re.Pattern[str], ...]:
    try:
        return tuple(re.compile(pattern) for pattern in patterns or ())
    except (re.error, TypeError) as error:
        raise Invalid(f"{field}: {error}", field=field) from None


def _last_match(patterns: Sequence[re.Pattern[str]], text: str) -> str | None:
    for pattern in patterns:
        matches = list(pattern.finditer(text))
        if matches:
            return matches[-1].group(1) if pattern.groups else matches[-1].group(0)
    return None
