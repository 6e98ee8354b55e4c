"""Rates of success: the one mixture behind our tests and intervals on yes/no outcomes, and Wilson's interval.

The mixture of likelihoods over a Beta prior, divided by the likelihood under one rate, is a non-negative
martingale when that rate is the true one (Ville 1939; Robbins, "Statistical methods related to the law of the
iterated logarithm", Annals of Mathematical Statistics 41, 1970). By Ville's inequality it exceeds 1/alpha, at any
time at all, with probability at most alpha: that is what makes looking after every observation harmless.
"""

from __future__ import annotations

import math
from statistics import NormalDist

# Jeffreys' prior: its cost against the best rate in hindsight is the same at every rate (Krichevsky and Trofimov
# 1981), so that rates near 0 or 1, common in thumbs-up data, get intervals as tight as those in the middle.
JEFFREYS = 0.5

# Halvings of [0, 1] when an end of an interval is sought: 2^-40 is far below anything a chart shows.
HALVINGS = 40


def log_mixture(successes: float, failures: float, prior: float) -> float:
    """Log of the likelihood of the outcomes, averaged over rates drawn from Beta(prior, prior)."""
    return _log_beta(successes + prior, failures + prior) - _log_beta(prior, prior)


def rate_interval(successes: float, n: int, alpha: float) -> tuple[float, float]:
    """The confidence sequence for a rate: all rates whose martingale is still below 1/alpha.

    `successes` is the sum of `n` values in [0, 1]. Values strictly inside are allowed: x^y is at most its chord in
    y, which turns the martingale into a supermartingale, still valid but wider than their variance would permit.
    Covers the true mean at all times together with probability 1 - alpha.
    """
    if n == 0:
        return 0.0, 1.0
    failures = max(0.0, n - successes)
    floor = log_mixture(successes, failures, JEFFREYS) + math.log(alpha)
    best = min(1.0, max(0.0, successes / n))
    lower = 0.0 if successes <= 0.0 else _edge(successes, failures, floor, outside=0.0, inside=best)
    upper = 1.0 if failures <= 0.0 else _edge(successes, failures, floor, outside=1.0, inside=best)
    return lower, upper


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a rate seen once, at a sample size fixed beforehand.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927. For plots
    of finished data; under peeking use `rate_interval`. (0, 1) without data. ValueError where the counts or the
    confidence make no sense.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must be between 0 and n={n}, not {successes}")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must be between 0 and 1, not {confidence}")
    if n == 0:
        return 0.0, 1.0
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    rate = successes / n
    centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (rate * (1 - rate) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    # At the ends the formula gives 0 and 1 exactly; floating point would miss them by a rounding error.
    lower = 0.0 if successes == 0 else max(0.0, centre - half)
    upper = 1.0 if successes == n else min(1.0, centre + half)
    return lower, upper


def _edge(successes: float, failures: float, floor: float, *, outside: float, inside: float) -> float:
    """Where the log-likelihood falls to `floor` between a rate that is out and one that is in, rounded outwards."""
    for _ in range(HALVINGS):
        middle = (outside + inside) / 2
        # A middle that rounds to 0 or 1 has no logarithm; being that near to the end, the end will do.
        if not 0.0 < middle < 1.0:
            break
        if successes * math.log(middle) + failures * math.log1p(-middle) > floor:
            inside = middle
        else:
            outside = middle
    return outside


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
