"""Strengths of variants out of pairwise preferences, for the display of a comparison of more than two.

R. A. Bradley and M. E. Terry, "Rank analysis of incomplete block designs", Biometrika 39, 1952: the first of a pair
is preferred with probability p1 / (p1 + p2). Fitted by the MM algorithm of D. R. Hunter, "MM algorithms for
generalized Bradley-Terry models", Annals of Statistics 32, 2004.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

# Victories lent to both sides of every pair (Haldane and Anscombe's half for a single pair): without them a variant
# that never lost has an infinite strength, and two groups that never met have none at all.
LENT = 0.5

# Change of a log strength below which the fit has settled; charts show two digits.
TOLERANCE = 1e-6

# Steps after which a fit that still moves is taken as it is. With every pair lent something, some tens are usual.
MAX_STEPS = 500


@dataclass(frozen=True, slots=True)
class Strength:
    """A log strength, the mean of all being 0; exp(a - b) is the odds that a is preferred over b.

    `lower` and `upper` come from the observed information: right for one look at a size fixed beforehand, in the
    limit of many comparisons, and not under peeking. The verdict never rests on them.
    """

    value: float
    lower: float
    upper: float


def fit(wins: Sequence[Sequence[float]], alpha: float) -> list[Strength]:
    """Strengths for the matrix `wins[i][j]`, how often i was preferred over j, with intervals at level 1 - alpha."""
    size = len(wins)
    lent = [[0.0 if i == j else wins[i][j] + LENT for j in range(size)] for i in range(size)]
    met = [[lent[i][j] + lent[j][i] for j in range(size)] for i in range(size)]
    logs = _maximise(lent, met)
    reach = NormalDist().inv_cdf(1 - alpha / 2)
    errors = _standard_errors(met, logs)
    return [Strength(v, v - reach * e, v + reach * e) for v, e in zip(logs, errors, strict=True)]


def _maximise(wins: list[list[float]], met: list[list[float]]) -> list[float]:
    """Hunter's iteration: each strength becomes its victories over its expected share of all meetings."""
    size = len(wins)
    victories = [sum(row) for row in wins]
    logs = [0.0] * size
    for _ in range(MAX_STEPS):
        before = logs[:]
        strengths = [math.exp(v) for v in logs]
        # One after the other, each with the newest values of the rest: the cyclic version, which converges faster.
        for i in range(size):
            share = sum([met[i][j] / (strengths[i] + strengths[j]) for j in range(size) if j != i])
            strengths[i] = victories[i] / share
        logs = [math.log(s) for s in strengths]
        centre = sum(logs) / size
        logs = [v - centre for v in logs]
        if max(abs(a - b) for a, b in zip(logs, before, strict=True)) < TOLERANCE:
            break
    return logs


def _standard_errors(met: list[list[float]], logs: list[float]) -> list[float]:
    """Roots of the diagonal of the inverse observed information, under the constraint that logs sum to 0."""
    size = len(logs)
    # Adding 1/size everywhere fills the one direction the model says nothing about (all strengths up together), so
    # that there is an inverse; the same 1/size is taken off again afterwards.
    info = [[1.0 / size] * size for _ in range(size)]
    for i in range(size):
        for j in range(size):
            if i != j:
                odds = math.exp(-abs(logs[i] - logs[j]))
                weight = met[i][j] * odds / (1 + odds) ** 2
                info[i][i] += weight
                info[i][j] -= weight
    inverse = _inverse(info)
    return [math.sqrt(max(0.0, inverse[i][i] - 1.0 / size)) for i in range(size)]


def _inverse(matrix: list[list[float]]) -> list[list[float]]:
    """Gauss and Jordan's elimination. No pivoting: the matrix is symmetric and positive definite."""
    size = len(matrix)
    rows = [row[:] + [float(i == j) for j in range(size)] for i, row in enumerate(matrix)]
    for i in range(size):
        pivot = rows[i][i]
        rows[i] = [v / pivot for v in rows[i]]
        for k in range(size):
            if k != i:
                factor = rows[k][i]
                rows[k] = [a - factor * b for a, b in zip(rows[k], rows[i], strict=True)]
    return [row[size:] for row in rows]
