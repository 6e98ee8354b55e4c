"""The experiment on preferences: which of two answers was better, one comparison at a time.

The whole state is a small JSON-able dict, because it is stored with the experiment after every comparison.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from quintet.domain.statistics import bradley_terry
from quintet.domain.statistics.bernoulli import log_mixture, rate_interval
from quintet.domain.statistics.bradley_terry import Strength
from quintet.domain.statistics.verdict import (
    STATE_VERSION,
    WARM_UP,
    Pair,
    adjusted,
    all_pairs,
    best_proven,
    check_alpha,
    check_variants,
    check_version,
)

Tie = Literal["good", "bad"]

# Beta(1, 1): all win rates alike. Against 1/2 it finds the moderate preferences that models really show sooner than
# Jeffreys' prior, which leans to rates near 0 and 1.
UNIFORM = 1.0


@dataclass(slots=True)
class Tally:
    """Comparisons of one pair, and the largest log e-value so far against "each is preferred half the time"."""

    first_wins: int = 0
    second_wins: int = 0
    ties_good: int = 0
    ties_bad: int = 0
    peak: float = 0.0

    @property
    def p_value(self) -> float:
        return math.exp(-self.peak)

    def weigh(self) -> None:
        """Bring `peak` up to date: the mixture over win rates against 1/2 (Ville 1939; Robbins 1970)."""
        decisive = self.first_wins + self.second_wins
        log_e = log_mixture(self.first_wins, self.second_wins, UNIFORM) + decisive * math.log(2)
        self.peak = max(self.peak, log_e)


@dataclass(frozen=True, slots=True)
class PairReport:
    """One variant against another, from the first one's side; `p_value` is adjusted for the number of pairs."""

    wins: int
    losses: int
    ties_good: int
    ties_bad: int
    p_value: float


@dataclass(frozen=True, slots=True)
class PreferenceReport:
    """One variant. `n` counts all its comparisons, ties included; `win_rate` is wins over wins and losses, None
    without any; `lower` and `upper` are its confidence sequence; `against` has every other variant."""

    n: int
    wins: int
    losses: int
    win_rate: float | None
    lower: float
    upper: float
    strength: Strength
    against: dict[str, PairReport]


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """Where an experiment stands; the fields mean what they mean in `DirectReport`, "equal" being "equally liked"."""

    p_value: float
    variants: dict[str, PreferenceReport]
    winner: str | None
    enough: bool
    decided: bool


class ComparisonTest:
    """A test of "no variant is preferred over another" that survives peeking after every comparison.

    Per pair a sign test in the form of a beta-binomial martingale; ties are counted and are no evidence. The win
    rate's interval holds at all times when opponents are drawn alike throughout. For more than two variants the
    winner is the strongest by Bradley and Terry's model among those shown to beat some other.
    """

    def __init__(self, variants: Sequence[str], *, warm_up: int = WARM_UP) -> None:
        """ValueError where the variants or the warm-up (comparisons per variant) make no sense."""
        self.variants = check_variants(variants)
        if warm_up < 1:
            raise ValueError(f"the warm-up must be at least 1 comparison, not {warm_up}")
        self.warm_up = warm_up
        self._pairs: dict[Pair, Tally] = {pair: Tally() for pair in all_pairs(self.variants)}

    def update(self, winner: str, loser: str, tied: Tie | None = None) -> None:
        """Take one comparison; O(1). With `tied` neither won, and the order of the two means nothing.

        ValueError, and no change, for an unknown variant, one against itself, or another kind of tie.
        """
        for name in (winner, loser):
            if name not in self.variants:
                raise ValueError(f"'{name}' is not a variant of this experiment")
        if winner == loser:
            raise ValueError(f"'{winner}' cannot be compared with itself")
        in_order = (winner, loser) in self._pairs
        tally = self._pairs[(winner, loser) if in_order else (loser, winner)]
        match tied:
            case None:
                tally.first_wins += in_order
                tally.second_wins += not in_order
                tally.weigh()
            case "good":
                tally.ties_good += 1
            case "bad":
                tally.ties_bad += 1
            case _:
                raise ValueError(f"a tie is 'good' or 'bad', not '{tied}'")

    @property
    def p_value(self) -> float:
        """For "no variant is preferred": the smallest seen at any time so far, valid under continuous peeking."""
        return min(self._adjusted().values())

    def report(self, alpha: float = 0.05) -> ComparisonReport:
        """Where the test stands at level `alpha`; cheap enough to be drawn after every comparison."""
        check_alpha(alpha)
        p_values = self._adjusted()
        p_value = min(p_values.values())
        strengths = self._strengths(alpha)
        variants = {name: self._variant(name, strengths[name], p_values, alpha) for name in self.variants}
        enough = all(variant.n >= self.warm_up for variant in variants.values())
        decided = enough and p_value < alpha
        scores = {name: strength.value for name, strength in strengths.items()}
        leads = {pair: float(tally.first_wins - tally.second_wins) for pair, tally in self._pairs.items()}
        return ComparisonReport(
            p_value=p_value,
            variants=variants,
            winner=best_proven(scores, leads, p_values, alpha) if decided else None,
            enough=enough,
            decided=decided,
        )

    def to_dict(self) -> dict[str, Any]:
        """The whole state, of strings, numbers, lists and dicts only; `from_dict` takes it back without loss."""
        return {
            "version": STATE_VERSION,
            "variants": list(self.variants),
            "warm_up": self.warm_up,
            "pairs": [asdict(self._pairs[pair]) for pair in all_pairs(self.variants)],
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> ComparisonTest:
        """The test whose `to_dict` gave `state`. ValueError where this version did not write it."""
        check_version(state)
        test = cls(state["variants"], warm_up=state["warm_up"])
        for pair, tally in zip(all_pairs(test.variants), state["pairs"], strict=True):
            test._pairs[pair] = Tally(**tally)
        return test

    def _adjusted(self) -> dict[Pair, float]:
        return adjusted({pair: tally.p_value for pair, tally in self._pairs.items()})

    def _strengths(self, alpha: float) -> dict[str, Strength]:
        wins = [[float(self._against(a, b).wins) for b in self.variants] for a in self.variants]
        return dict(zip(self.variants, bradley_terry.fit(wins, alpha), strict=True))

    def _against(self, name: str, other: str, p_values: dict[Pair, float] | None = None) -> PairReport:
        if name == other:
            return PairReport(0, 0, 0, 0, 1.0)
        in_order = (name, other) in self._pairs
        pair = (name, other) if in_order else (other, name)
        t = self._pairs[pair]
        wins, losses = (t.first_wins, t.second_wins) if in_order else (t.second_wins, t.first_wins)
        return PairReport(wins, losses, t.ties_good, t.ties_bad, p_values[pair] if p_values else 1.0)

    def _variant(self, name: str, strength: Strength, p_values: dict[Pair, float], alpha: float) -> PreferenceReport:
        against = {other: self._against(name, other, p_values) for other in self.variants if other != name}
        wins = sum(pair.wins for pair in against.values())
        losses = sum(pair.losses for pair in against.values())
        ties = sum(pair.ties_good + pair.ties_bad for pair in against.values())
        lower, upper = rate_interval(wins, wins + losses, alpha)
        return PreferenceReport(
            n=wins + losses + ties,
            wins=wins,
            losses=losses,
            win_rate=wins / (wins + losses) if wins + losses else None,
            lower=lower,
            upper=upper,
            strength=strength,
            against=against,
        )
