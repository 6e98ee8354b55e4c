"""Evidence that two variants differ in their means: one e-process per pair of variants.

Both kinds work on differences D = (value of the first) - (value of the second), made by matching values as they
arrive. Who gets which variant is drawn without regard to the values, so given the draws every D has mean 0 when
the means are equal, whatever that common mean is. This removes the unknown mean from the test and costs nothing
when shares are unequal: the plenty of one side is averaged before it is matched.

Both processes are non-negative supermartingales that start at 1 when the means are equal, so by Ville's inequality
1 / (their largest value so far) is a p-value that may be read after every observation.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

# How many unmatched groups of values are kept. At equal shares the surplus of one side wanders like the square root
# of the count; eight groups match nearly one to one there, and the state of a pair stays under 20 numbers.
DEPTH = 8

# Stakes per unit of difference, halving. The top is the best one for a difference near 0.9 between yes/no rates
# (1 could lose everything to one answer), the bottom for one near 0.007, which takes about 250,000 answers to see.
STAKES = tuple(sign * 0.9 / 2**k for sign in (1, -1) for k in range(7))

# Differences without known bounds that only set the scale of the mixture below, and are not evidence.
SCALE_FROM = 4

# Variance of the mixture, in differences: it is at its best when about eight times as many have been seen, here 50 a
# side, and loses little for a factor of ten around that (Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform,
# nonparametric, nonasymptotic confidence sequences", Annals of Statistics 49, 2021, section 3.5).
MIXTURE_AT = 6.0


@dataclass(slots=True)
class Matching:
    """Values of two variants on their way to becoming differences.

    `waiting` holds groups `[sum, count]` of the variant that is ahead, `side` says which (1 first, -1 second). What
    goes into which group depends on the order of the variants alone, never on a value.
    """

    side: int = 1
    waiting: list[list[float]] = field(default_factory=list)

    def match(self, side: int, value: float) -> float | None:
        """First minus second where `value` found a group to stand against, else None."""
        if self.waiting and side != self.side:
            total, count = self.waiting.pop(0)
            return side * (value - total / count)
        self.side = side
        if len(self.waiting) < DEPTH:
            self.waiting.append([value, 1.0])
        else:
            group = min(self.waiting, key=_size)
            group[0] += value
            group[1] += 1.0
        return None

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Matching:
        # Groups are copied: they grow in place, and the state still belongs to the caller.
        return cls(state["side"], [list(group) for group in state["waiting"]])


@dataclass(slots=True)
class BoundedDifference:
    """Values in [0, 1]: betting that D is not 0 on average, with stakes mixed over a grid.

    The capital of a gambler who stakes s on each D is the product of (1 + s D), with expectation 1 when D has mean 0
    and |s| < 1 (Waudby-Smith and Ramdas 2024, section 4; Shafer, "Testing by betting", JRSS A 184, 2021). Starting
    capital is split evenly over stakes of both signs, so that the process finds size and direction by itself.
    """

    matching: Matching = field(default_factory=Matching)
    capitals: list[float] = field(default_factory=lambda: [0.0] * len(STAKES))
    peak: float = 0.0

    def update(self, side: int, value: float) -> None:
        """Take one value in [0, 1] of the first (1) or second (-1) variant."""
        difference = self.matching.match(side, value)
        if difference is None or difference == 0.0:
            return
        capitals = [c + math.log1p(s * difference) for c, s in zip(self.capitals, STAKES, strict=True)]
        self.capitals = capitals
        top = max(capitals)
        # The mixture lies between top - log(grid) and top: most updates need no sum of exponentials.
        if top > self.peak:
            mixed = top + math.log(sum([math.exp(c - top) for c in capitals]) / len(STAKES))
            self.peak = max(self.peak, mixed)

    @property
    def p_value(self) -> float:
        return math.exp(-self.peak)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> BoundedDifference:
        capitals = list(state["capitals"])
        if len(capitals) != len(STAKES):
            raise ValueError(f"a state with {len(STAKES)} capitals was expected, not {len(capitals)}")
        return cls(Matching.from_dict(state["matching"]), capitals, state["peak"])


@dataclass(slots=True)
class RealDifference:
    """Values without bounds: a self-normalised normal mixture, the variance plugged in as the sum of squares.

    exp(l S - l^2 V / 2), with S the sum and V the sum of squares of the D, is a supermartingale for symmetric D
    (de la Peña, "A general class of exponential inequalities for martingales and ratios", Annals of Probability 27,
    1999), here mixed over normal l (Robbins 1970). A D matched one to one is symmetric when both variants have the
    same distribution, whatever its tails. Elsewhere (only the means equal, or groups matched) it is asymptotic: the
    decision record has the simulated errors.
    """

    matching: Matching = field(default_factory=Matching)
    seen: int = 0
    rho: float = 0.0
    total: float = 0.0
    squares: float = 0.0
    peak: float = 0.0

    def update(self, side: int, value: float) -> None:
        """Take one finite value of the first (1) or second (-1) variant."""
        difference = self.matching.match(side, value)
        if difference is None:
            return
        self.seen += 1
        if self.rho == 0.0:
            self.squares += difference * difference
            if self.seen >= SCALE_FROM and self.squares > 0.0:
                self.rho = MIXTURE_AT * self.squares / self.seen
                self.squares = 0.0
            return
        self.total += difference
        self.squares += difference * difference
        spread = self.squares + self.rho
        log_e = (math.log(self.rho) - math.log(spread)) / 2 + self.total / spread * self.total / 2
        self.peak = max(self.peak, log_e)

    @property
    def p_value(self) -> float:
        return math.exp(-self.peak)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> RealDifference:
        return cls(**{**state, "matching": Matching.from_dict(state["matching"])})


def _size(group: list[float]) -> float:
    return group[1]
