"""Statistics of experiments that survive peeking: every p-value and interval here may be read after every
observation, because experiments here are watched live and end by themselves when they are decided.

Nothing in this package knows of stores, clocks or models: values in, verdicts out, states as JSON-able dicts.
Why these methods: docs/decisions/0007-statistics.md.
"""

from quintet.domain.statistics.bernoulli import rate_interval, wilson_interval
from quintet.domain.statistics.bradley_terry import Strength
from quintet.domain.statistics.comparison import (
    ComparisonReport,
    ComparisonTest,
    PairReport,
    PreferenceReport,
    Tie,
)
from quintet.domain.statistics.direct import DirectReport, DirectTest, VariantReport
from quintet.domain.statistics.sample_ratio import SampleRatioAlarm
from quintet.domain.statistics.verdict import WARM_UP

__all__ = [
    "WARM_UP",
    "ComparisonReport",
    "ComparisonTest",
    "DirectReport",
    "DirectTest",
    "PairReport",
    "PreferenceReport",
    "SampleRatioAlarm",
    "Strength",
    "Tie",
    "VariantReport",
    "rate_interval",
    "wilson_interval",
]
