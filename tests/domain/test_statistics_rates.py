"""Rates and shares: Wilson's interval, the confidence sequence for a rate, and the sample-ratio alarm."""

from __future__ import annotations

import json
import math
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quintet.domain.statistics import SampleRatioAlarm, rate_interval, wilson_interval
from quintet.domain.statistics.bernoulli import log_mixture

FIXED = settings(derandomize=True, deadline=None, max_examples=100)
COUNTS = st.integers(0, 5_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_wilsons_interval_of_81_in_263() -> None:
    """A worked example of Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I."""
    lower, upper = wilson_interval(81, 263)
    assert (round(lower, 4), round(upper, 4)) == (0.2553, 0.3662)


@FIXED
@given(counts=COUNTS, confidence=st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_wilsons_ends_solve_its_equation_and_mirror(counts: tuple[int, int], confidence: float) -> None:
    successes, n = counts
    lower, upper = wilson_interval(successes, n, confidence)
    assert 0.0 <= lower <= upper <= 1.0
    mirrored = wilson_interval(n - successes, n, confidence)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((lower, upper))
    if n:
        assert lower <= successes / n <= upper
        z = {0.5: 0.674490, 0.9: 1.644854, 0.95: 1.959964, 0.999: 3.290527}[confidence]
        for end in (lower, upper):
            if 0.0 < end < 1.0:
                assert abs(successes / n - end) == pytest.approx(z * math.sqrt(end * (1 - end) / n), rel=1e-4)


def test_wilsons_interval_refuses_impossible_counts() -> None:
    for successes, n in [(-1, 5), (6, 5)]:
        with pytest.raises(ValueError, match="successes"):
            wilson_interval(successes, n)
    with pytest.raises(ValueError, match="confidence"):
        wilson_interval(1, 5, 1.0)


@FIXED
@given(counts=COUNTS, alpha=st.sampled_from([0.2, 0.05, 0.001]))
def test_the_ends_of_a_rates_sequence_are_where_its_martingale_reaches_one_over_alpha(
    counts: tuple[int, int], alpha: float
) -> None:
    successes, n = counts
    lower, upper = rate_interval(successes, n, alpha)
    assert 0.0 <= lower <= upper <= 1.0
    for end in (lower, upper):
        if 0.0 < end < 1.0:
            log_e = log_mixture(successes, n - successes, 0.5)
            log_e -= successes * math.log(end) + (n - successes) * math.log1p(-end)
            assert log_e == pytest.approx(-math.log(alpha), rel=1e-3, abs=1e-3)
    if n:
        assert lower <= successes / n <= upper
    inner = rate_interval(successes, n, 2 * alpha)
    assert lower <= inner[0] <= inner[1] <= upper


def test_the_price_of_peeking_is_an_interval_less_than_twice_as_wide() -> None:
    lower, upper = rate_interval(500, 1_000, 0.05)
    fixed = wilson_interval(500, 1_000)
    assert 1.0 < (upper - lower) / (fixed[1] - fixed[0]) < 2.0


@pytest.mark.parametrize("shares", [{"a": 0.5, "b": 0.5}, {"a": 0.1, "b": 0.3, "c": 0.6}])
def test_the_alarms_e_value_expects_exactly_one_under_the_expected_shares(shares: dict[str, float]) -> None:
    expected = 0.0
    for names in product(shares, repeat=6):
        alarm = SampleRatioAlarm(shares)
        for name in names:
            alarm.update(name)
        expected += math.prod(shares[name] for name in names) * math.exp(alarm.to_dict()["log_e"])
    assert expected == pytest.approx(1.0)


@FIXED
@given(names=st.lists(st.sampled_from("abc"), max_size=80), cut=st.integers(0, 80))
def test_an_alarm_through_json_continues_as_if_never_stored(names: list[str], cut: int) -> None:
    shares = {"a": 0.1, "b": 0.2, "c": 0.7}
    kept, stored = SampleRatioAlarm(shares), SampleRatioAlarm(shares)
    last = 1.0
    for index, name in enumerate(names):
        if index == cut:
            stored = SampleRatioAlarm.from_dict(json.loads(json.dumps(stored.to_dict(), allow_nan=False)))
        p_value = kept.update(name)
        assert stored.update(name) == p_value <= last
        last = p_value
    assert stored.to_dict() == kept.to_dict()
    assert kept.counts == {name: names.count(name) for name in "abc"}


def test_an_alarm_refuses_shares_and_names_that_make_no_sense() -> None:
    for shares in ({"a": 0.5, "b": 0.4}, {"a": 0.0, "b": 1.0}, {"a": 1.0}, {"a": math.nan, "b": 0.5}):
        with pytest.raises(ValueError, match=r"share|variants"):
            SampleRatioAlarm(shares)
    alarm = SampleRatioAlarm({"a": 0.5, "b": 0.5})
    before = alarm.to_dict()
    with pytest.raises(ValueError, match="variant"):
        alarm.update("c")
    assert alarm.to_dict() == before
    with pytest.raises(ValueError, match="version"):
        SampleRatioAlarm.from_dict({**before, "version": None})
