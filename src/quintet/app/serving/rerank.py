"""Ranks texts by the words that they share with a query: no model is needed, and nothing is stored."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from quintet.app.authz import require
from quintet.domain.errors import Invalid
from quintet.domain.identity import Actor, Permission

# The usual constants of BM25: how fast repeated words stop counting, and how much long texts are discounted.
SATURATION = 1.2
LENGTH = 0.75

_WORD = re.compile(r"\w+")


class Ranked(NamedTuple):
    """`place` is that of the text in the list that was given; `score` is 0 (nothing shared) to 1."""

    place: int
    score: float


def rank(actor: Actor, query: str, texts: Sequence[str], limit: int | None = None) -> list[Ranked]:
    """The texts, best first, at most `limit`; those that fit equally well stay in their order."""
    require(actor, Permission.INFER)
    if limit is not None and limit < 1:
        raise Invalid("expected at least 1", field="max_num_results")
    scores = _scores(_words(query), [_words(text) for text in texts])
    ranked = sorted((Ranked(i, score) for i, score in enumerate(scores)), key=lambda r: (-r.score, r.place))
    return ranked if limit is None else ranked[:limit]


def _words(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text.casefold()))


def _scores(query: Counter[str], texts: Sequence[Counter[str]]) -> list[float]:
    """BM25 over these texts alone, divided by what a text of nothing but the query's words could reach."""
    number = len(texts)
    lengths = [text.total() for text in texts]
    mean = sum(lengths) / number if number else 0.0
    weights = {
        word: math.log(1 + (number - n + 0.5) / (n + 0.5))
        for word in query
        for n in (sum(word in text for text in texts),)
    }
    best = sum(weights.values()) * (SATURATION + 1)
    scores: list[float] = []
    for text, length in zip(texts, lengths, strict=True):
        damping = SATURATION * (1 - LENGTH + LENGTH * length / mean) if mean else SATURATION
        score = sum(w * text[word] * (SATURATION + 1) / (text[word] + damping) for word, w in weights.items())
        scores.append(score / best if best else 0.0)
    return scores
