"""Scores of many rows as a few numbers, in the shapes that clients read, and the numbers that models are ranked by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from quintet.domain.errors import Invalid

ScoreRow = dict[str, Any]
"""`{"score": number, text or None, ...}`."""


def aggregate(names: Iterable[str], rows: Sequence[ScoreRow]) -> dict[str, Any]:
    """`{name: result}`, each result in the shape of its kind; Invalid for a name that is not known.

    accuracy `{"accuracy", "num_correct", "num_total"}`; average, median and weighted_average `{name: number}`
    (weights come from the rows' `weight`, else 1); categorical_count `{name: {score as text: how often}}`.
    Rows without a score count as wrong for accuracy and are left out of the means. Without any row, a mean is None.
    """
    results: dict[str, Any] = {}
    for name in names:
        make = _AGGREGATIONS.get(name)
        if make is None:
            known = ", ".join(_AGGREGATIONS)
            raise Invalid(f"there is no aggregation '{name}'; known are {known}", field="aggregation_functions")
        results[name] = make(rows)
    return results


def metrics_of(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """The single numbers of `{function: {"aggregated_results": ...}}`, as leaderboards rank by.

    Of several functions that have the same one, the first gets the bare name ("accuracy"), the others have
    theirs in front ("basic::subset_of/accuracy").
    """
    metrics: dict[str, float] = {}
    for function, scored in scores.items():
        for name, result in scored["aggregated_results"].items():
            value = result.get(name)
            if isinstance(value, int | float):
                metrics[f"{function}/{name}" if name in metrics else name] = float(value)
    return metrics


def _accuracy(rows: Sequence[ScoreRow]) -> dict[str, Any]:
    correct = sum(value for row in rows if (value := _numeric(row.get("score"))) is not None)
    return {"accuracy": correct / len(rows) if rows else None, "num_correct": float(correct), "num_total": len(rows)}


def _average(rows: Sequence[ScoreRow]) -> dict[str, Any]:
    values = _numbers(rows)
    return {"average": sum(values) / len(values) if values else None}


def _weighted_average(rows: Sequence[ScoreRow]) -> dict[str, Any]:
    pairs = [(value, float(row.get("weight", 1.0))) for row in rows
             if (value := _numeric(row.get("score"))) is not None]  # fmt: skip
    weight = sum(w for _, w in pairs)
    return {"weighted_average": sum(v * w for v, w in pairs) / weight if weight else None}


def _median(rows: Sequence[ScoreRow]) -> dict[str, Any]:
    values = _numbers(rows)
    return {"median": median(values) if values else None}


def _categorical_count(rows: Sequence[ScoreRow]) -> dict[str, Any]:
    return {"categorical_count": dict(Counter(str(row.get("score")) for row in rows))}


_AGGREGATIONS: dict[str, Callable[[Sequence[ScoreRow]], dict[str, Any]]] = {
    "accuracy": _accuracy,
    "average": _average,
    "weighted_average": _weighted_average,
    "median": _median,
    "categorical_count": _categorical_count,
}


def _numbers(rows: Sequence[ScoreRow]) -> list[float]:
    return [value for row in rows if (value := _numeric(row.get("score"))) is not None]


def _numeric(score: object) -> float | None:
    """A score as a number; a judge's comes as text, and may be a letter."""
    try:
        return float(score)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
