"""Confidence sequences for the mean of one variant's values, in constant memory.

Two kinds of values, two methods: values with known bounds get an exact sequence, values without get an
asymptotic one, because no non-trivial exact interval for an unbounded mean exists (Bahadur and Savage 1956).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from quintet.domain.statistics.bernoulli import rate_interval

# The level the bets below are tuned for. The sequence is valid at every level; at this one it is tightest.
TUNED_ALPHA = 0.05

# The largest bet. Waudby-Smith and Ramdas suggest 1/2 or 3/4; the smaller costs less while little is known.
MAX_BET = 0.5

# Where the asymptotic sequence is tightest, in observations: about what an experiment has when it is first read.
TIGHTEST_AT = 100

# Values before an asymptotic interval is shown. Share of nominal 95 % sequences that ever miss within 500 values,
# by simulation, from 10 / 20 / 30 / 50 values on: normal 5.6 / 3.8 / 2.6 / 2.0 %, exponential 12 / 7.2 / 5.2 / 4.2 %.
# Very skewed values need far more (log-normal of shape 1: 18 % from 30 on); those are better given bounds.
BURN_IN = 30


@dataclass(slots=True)
class BoundedMean:
    """The mean of values in [0, 1]: predictable plug-in empirical Bernstein, met with the mixture of rates.

    Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86, 2024, theorem 2:
    it adapts to a small variance, as ratings have. For yes/no values `rate_interval` is tighter. Each gets half of
    alpha, which widens the better one by a few percent, and no one has to say beforehand which one will be it.
    """

    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    bets: float = 0.0
    weighted: float = 0.0
    penalty: float = 0.0

    @property
    def mean(self) -> float | None:
        return min(1.0, max(0.0, self.total / self.n)) if self.n else None

    def update(self, value: float) -> None:
        """Take one value in [0, 1]."""
        n = self.n + 1
        # The estimates carry half an observation at 1/2 with variance 1/4, as in the paper, and exclude `value`:
        # the bet must be made before it is seen.
        guess = (0.5 + self.total) / n
        variance = (0.25 + self.squares) / n
        bet = min(MAX_BET, math.sqrt(2 * math.log(2 / TUNED_ALPHA) / (variance * n * math.log1p(n))))
        self.penalty += (value - guess) ** 2 * (-math.log1p(-bet) - bet)
        self.bets += bet
        self.weighted += bet * value
        self.n = n
        self.total += value
        self.squares += (value - (0.5 + self.total) / (n + 1)) ** 2

    def interval(self, alpha: float) -> tuple[float, float]:
        """Ends in [0, 1] that hold the true mean at all times together with probability 1 - alpha."""
        if not self.n:
            return 0.0, 1.0
        low, high = rate_interval(self.total, self.n, alpha / 2)
        centre = self.weighted / self.bets
        # alpha/2 for this sequence, of which each side takes one half.
        half = (math.log(4 / alpha) + self.penalty) / self.bets
        mean = self.total / self.n
        # The mean is kept inside: widening is always valid, and a mark outside its own bar reads as a fault.
        return max(0.0, min(max(low, centre - half), mean)), min(1.0, max(min(high, centre + half), mean))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class RealMean:
    """The mean of values without bounds: an asymptotic confidence sequence.

    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence
    sequences", Annals of Statistics 52, 2024, theorem 2.2. It needs a finite variance, and counts from `BURN_IN`.
    """

    n: int = 0
    centre: float = 0.0
    squares: float = 0.0

    @property
    def mean(self) -> float | None:
        return self.centre if self.n else None

    def update(self, value: float) -> None:
        """Take one finite value (Welford's recurrence, which does not cancel where the mean is large)."""
        self.n += 1
        step = value - self.centre
        self.centre += step / self.n
        self.squares += step * (value - self.centre)

    def interval(self, alpha: float) -> tuple[float, float] | None:
        """The two ends; None before the burn-in, or while all values are the same and nothing speaks of a spread."""
        if self.n < BURN_IN or self.squares <= 0.0:
            return None
        bits = -2 * math.log(TUNED_ALPHA)
        rho2 = (bits + math.log(bits) + 1) / TIGHTEST_AT
        n = self.n
        deviation = math.sqrt(self.squares / (n - 1))
        grown = n * rho2 + 1
        half = deviation * math.sqrt(2 * grown / (n * n * rho2) * (0.5 * math.log(grown) - math.log(alpha)))
        return self.centre - half, self.centre + half

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
