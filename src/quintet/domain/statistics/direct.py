"""The experiment on direct feedback: one value at a time for one variant, a verdict that may be read at any time.

The whole state is a small JSON-able dict, because it is stored with the experiment after every feedback.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quintet.domain.interactions import Direction
from quintet.domain.statistics.differences import BoundedDifference, RealDifference
from quintet.domain.statistics.means import BoundedMean, RealMean
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

# Larger values than this are refused: the sum of their squares must stay a finite number.
MAX_MAGNITUDE = 1e100


@dataclass(frozen=True, slots=True)
class VariantReport:
    """One variant in the unit of its values. `mean` is None without values; the ends of its confidence sequence are
    None where values have no bounds and are too few (see `means.BURN_IN`)."""

    n: int
    mean: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class DirectReport:
    """Where an experiment stands.

    `p_value` is for "all means are equal" and valid at every look. `enough`: every variant has its warm-up.
    `decided`: enough, and p_value below alpha; only then is there a `winner`, one that is better than some other
    variant beyond chance (None still where the means met again after the evidence peaked).
    """

    p_value: float
    variants: dict[str, VariantReport]
    winner: str | None
    enough: bool
    decided: bool


class DirectTest:
    """An A/B(/n) test of equal means that survives peeking after every observation.

    Bounded values (`bounds` given; yes/no is (0, 1)): exact confidence sequences and betting e-processes. Without
    bounds: asymptotic confidence sequences and self-normalised mixtures. Sources stand at `means` and `differences`.
    Values must be independent, and variants drawn without regard to earlier values; shares may be unequal. The
    intervals hold for each variant by itself, not for all at once.
    """

    def __init__(
        self,
        variants: Sequence[str],
        *,
        bounds: tuple[float, float] | None = None,
        direction: Direction = Direction.HIGHER_IS_BETTER,
        warm_up: int = WARM_UP,
    ) -> None:
        """ValueError where the variants, the bounds or the warm-up (feedbacks per variant) make no sense."""
        self.variants = check_variants(variants)
        if bounds is not None and not (_usable(bounds[0]) and _usable(bounds[1]) and bounds[0] < bounds[1]):
            raise ValueError(f"the lower bound must be below the upper one, not {bounds}")
        if warm_up < 1:
            raise ValueError(f"the warm-up must be at least 1 feedback, not {warm_up}")
        self.bounds = bounds
        self.direction = Direction(direction)
        self.warm_up = warm_up
        bounded = bounds is not None
        self._means: dict[str, BoundedMean | RealMean] = {
            name: BoundedMean() if bounded else RealMean() for name in self.variants
        }
        self._pairs: dict[Pair, BoundedDifference | RealDifference] = {
            pair: BoundedDifference() if bounded else RealDifference() for pair in all_pairs(self.variants)
        }

    def update(self, variant: str, value: float) -> None:
        """Take one feedback; O(variants). ValueError, and no change, for an unknown variant or a value outside."""
        mean = self._means.get(variant)
        if mean is None:
            raise ValueError(f"'{variant}' is not a variant of this experiment")
        number = self._scaled(value)
        mean.update(number)
        index = self.variants.index(variant)
        for other in self.variants[:index]:
            self._pairs[other, variant].update(-1, number)
        for other in self.variants[index + 1 :]:
            self._pairs[variant, other].update(1, number)

    @property
    def p_value(self) -> float:
        """For "all means are equal": the smallest seen at any time so far, valid under continuous peeking."""
        return min(self._adjusted().values())

    def report(self, alpha: float = 0.05) -> DirectReport:
        """Where the test stands at level `alpha`; cheap enough to be drawn after every observation."""
        check_alpha(alpha)
        p_values = self._adjusted()
        p_value = min(p_values.values())
        enough = all(mean.n >= self.warm_up for mean in self._means.values())
        decided = enough and p_value < alpha
        sign = 1.0 if self.direction is Direction.HIGHER_IS_BETTER else -1.0
        scores = {name: sign * (mean.mean or 0.0) for name, mean in self._means.items()}
        leads = {(first, second): scores[first] - scores[second] for first, second in p_values}
        return DirectReport(
            p_value=p_value,
            variants={name: self._variant(mean, alpha) for name, mean in self._means.items()},
            winner=best_proven(scores, leads, p_values, alpha) if decided else None,
            enough=enough,
            decided=decided,
        )

    def to_dict(self) -> dict[str, Any]:
        """The whole state, of strings, numbers, lists and dicts only; `from_dict` takes it back without loss."""
        return {
            "version": STATE_VERSION,
            "variants": list(self.variants),
            "bounds": list(self.bounds) if self.bounds else None,
            "direction": self.direction.value,
            "warm_up": self.warm_up,
            "means": [self._means[name].to_dict() for name in self.variants],
            "pairs": [self._pairs[pair].to_dict() for pair in all_pairs(self.variants)],
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> DirectTest:
        """The test whose `to_dict` gave `state`. ValueError where this version did not write it."""
        check_version(state)
        bounds = state["bounds"]
        test = cls(
            state["variants"],
            bounds=(bounds[0], bounds[1]) if bounds else None,
            direction=Direction(state["direction"]),
            warm_up=state["warm_up"],
        )
        mean_type, pair_type = (BoundedMean, BoundedDifference) if bounds else (RealMean, RealDifference)
        for name, mean in zip(test.variants, state["means"], strict=True):
            test._means[name] = mean_type(**mean)
        for pair, process in zip(all_pairs(test.variants), state["pairs"], strict=True):
            test._pairs[pair] = pair_type.from_dict(process)
        return test

    def _adjusted(self) -> dict[Pair, float]:
        return adjusted({pair: process.p_value for pair, process in self._pairs.items()})

    def _scaled(self, value: float) -> float:
        """The value as the accumulators take it: in [0, 1] where there are bounds."""
        if not _usable(value):
            raise ValueError(f"a value must be a number of at most {MAX_MAGNITUDE:g}, not {value}")
        if self.bounds is None:
            return float(value)
        lower, upper = self.bounds
        if not lower <= value <= upper:
            raise ValueError(f"a value must be between {lower} and {upper}, not {value}")
        return min(1.0, max(0.0, (value - lower) / (upper - lower)))

    def _variant(self, mean: BoundedMean | RealMean, alpha: float) -> VariantReport:
        centre, ends = mean.mean, mean.interval(alpha)
        low, high = ends if ends is not None else (None, None)
        return VariantReport(mean.n, self._unscaled(centre), self._unscaled(low), self._unscaled(high))

    def _unscaled(self, value: float | None) -> float | None:
        if value is None or self.bounds is None:
            return value
        lower, upper = self.bounds
        # Not lower + value * (upper - lower): this form gives the bounds themselves back at 0 and 1.
        return lower * (1.0 - value) + upper * value


def _usable(value: float) -> bool:
    return math.isfinite(value) and abs(value) <= MAX_MAGNITUDE
