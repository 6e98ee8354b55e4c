"""What pair-wise evidence says about a whole experiment: one p-value, and a winner that the evidence supports.

Shared by the tests on direct feedback and on comparisons, so that "decided" means the same in both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

# Feedbacks that every variant needs before an experiment may end. The p-value is valid without; this keeps a first
# lucky streak, on prompts of one user or one hour, from ending it. Ten is the common default of A/B tools.
WARM_UP = 10

STATE_VERSION = 1
"""Version of the stored states of all tests here; one that cannot be read any more is refused, never guessed."""

Pair = tuple[str, str]


def check_variants(variants: Sequence[str]) -> tuple[str, ...]:
    """The names, in order; ValueError where there are fewer than two, or one is empty or there twice."""
    names = tuple(variants)
    if len(names) < 2:
        raise ValueError("an experiment needs at least two variants")
    if len(set(names)) != len(names) or not all(names):
        raise ValueError("variants need names that are not empty and differ from each other")
    return names


def check_alpha(alpha: float) -> None:
    """ValueError unless `alpha` is a level between 0 and 1."""
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must be between 0 and 1, not {alpha}")


def check_version(state: Mapping[str, object]) -> None:
    """ValueError where a stored state is of a version that this code does not read."""
    if state.get("version") != STATE_VERSION:
        raise ValueError(f"the state has version {state.get('version')!r}, not {STATE_VERSION}")


def all_pairs(variants: Sequence[str]) -> list[Pair]:
    """Every pair once, in the order of the variants."""
    return list(combinations(variants, 2))


def adjusted(p_values: Mapping[Pair, float]) -> dict[Pair, float]:
    """The p-values after Bonferroni's correction, which holds for any dependence between the pairs."""
    return {pair: min(1.0, p * len(p_values)) for pair, p in p_values.items()}


def best_proven(
    scores: Mapping[str, float], leads: Mapping[Pair, float], p_values: Mapping[Pair, float], alpha: float
) -> str | None:
    """The best-scoring variant among those shown to beat some other; None where there is none.

    `scores` (higher is better) cover every variant, `leads` is above 0 where the first of a pair is ahead of the
    second, `p_values` are adjusted. With more than two variants the leader by score alone may be one with hardly any
    feedback; asking for a proven victory keeps it from winning. The first of equals wins.
    """
    proven = set()
    for (first, second), lead in leads.items():
        if p_values[first, second] < alpha and lead != 0.0:
            proven.add(first if lead > 0.0 else second)
    candidates = [name for name in scores if name in proven]
    return max(candidates, key=lambda name: scores[name], default=None)
