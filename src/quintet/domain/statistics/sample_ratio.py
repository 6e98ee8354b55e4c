"""The alarm for shares that are not what was set: a broken split makes every other figure of an experiment doubtful.

M. Lindon and A. Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022: the Dirichlet mixture of
multinomial likelihoods over the likelihood under the expected shares is a martingale when those are the true ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from quintet.domain.statistics.verdict import STATE_VERSION, check_variants, check_version

# Concentration of the mixture around the expected shares, in assignments: the shares it looks for lie about five
# points around an even split. Bugs make deviations of that size; more would find smaller ones sooner and these later.
CONCENTRATION = 100.0

# How far the sum of the expected shares may be from 1: what adding decimals such as 0.1 ten times leaves.
SUM_TOLERANCE = 1e-6


class SampleRatioAlarm:
    """Watches assignments one at a time; its p-value for "the shares are as expected" may be read at any time.

    Customary alarm level: below 0.01, since a false alarm costs the whole experiment.
    """

    def __init__(self, expected: Mapping[str, float]) -> None:
        """`expected` is the share of each variant. ValueError unless all are above 0 and sum to 1."""
        check_variants(tuple(expected))
        if not all(share > 0.0 for share in expected.values()):
            raise ValueError("every expected share must be above 0")
        total = math.fsum(expected.values())
        if not abs(total - 1.0) <= SUM_TOLERANCE:
            raise ValueError(f"the expected shares must sum to 1, not {total}")
        self.expected = {name: share / total for name, share in expected.items()}
        self.counts = dict.fromkeys(self.expected, 0)
        self._log_e = 0.0
        self._peak = 0.0

    @property
    def p_value(self) -> float:
        """The smallest seen at any time so far, valid under continuous peeking."""
        return math.exp(-self._peak)

    def update(self, variant: str) -> float:
        """Take one assignment, O(1), and return the p-value. ValueError, and no change, for an unknown variant."""
        if variant not in self.counts:
            raise ValueError(f"'{variant}' is not a variant of this experiment")
        share = self.expected[variant]
        seen = sum(self.counts.values())
        # The mixture's prediction for this assignment over the expected share: the product of these is its e-value.
        predicted = (CONCENTRATION * share + self.counts[variant]) / (CONCENTRATION + seen)
        self._log_e += math.log(predicted / share)
        self._peak = max(self._peak, self._log_e)
        self.counts[variant] += 1
        return self.p_value

    def to_dict(self) -> dict[str, Any]:
        """The whole state, of strings, numbers and dicts only; `from_dict` takes it back without loss."""
        return {
            "version": STATE_VERSION,
            "expected": dict(self.expected),
            "counts": dict(self.counts),
            "log_e": self._log_e,
            "peak": self._peak,
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> SampleRatioAlarm:
        """The alarm whose `to_dict` gave `state`. ValueError where this version did not write it."""
        check_version(state)
        alarm = cls(state["expected"])
        # As stored, not as normalised once more, so that going through the database changes nothing.
        alarm.expected = dict(state["expected"])
        alarm.counts = dict(state["counts"])
        alarm._log_e = state["log_e"]
        alarm._peak = state["peak"]
        return alarm
