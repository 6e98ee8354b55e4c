"""Direct tests: the exactness of their e-processes, their reports, and states that go through JSON unchanged."""

from __future__ import annotations

import json
import math
import time
from itertools import product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from quintet.domain.interactions import Direction
from quintet.domain.statistics import DirectTest, rate_interval
from quintet.domain.statistics.differences import DEPTH, SCALE_FROM, STAKES, BoundedDifference, Matching, RealDifference
from quintet.domain.statistics.means import BURN_IN, BoundedMean
from quintet.domain.statistics.verdict import best_proven

FIXED = settings(derandomize=True, deadline=None, max_examples=60)

FEEDBACKS = st.lists(st.tuples(st.sampled_from("abc"), st.floats(1.0, 5.0)), max_size=60)
REAL_FEEDBACKS = st.lists(st.tuples(st.sampled_from("abc"), st.floats(-1e6, 1e6)), max_size=60)


def mixed_capital(process: BoundedDifference) -> float:
    return sum(math.exp(c) for c in process.capitals) / len(STAKES)


@FIXED
@given(sides=st.lists(st.sampled_from([1, -1]), max_size=9), rate=st.floats(0.05, 0.95))
def test_the_expected_capital_is_exactly_one_when_rates_are_equal(sides: list[int], rate: float) -> None:
    """Over all outcomes of a fixed order of variants: the property that every guarantee here follows from."""
    expected = 0.0
    for values in product([0.0, 1.0], repeat=len(sides)):
        process = BoundedDifference()
        for side, value in zip(sides, values, strict=True):
            process.update(side, value)
        wins = int(sum(values))
        expected += rate**wins * (1 - rate) ** (len(sides) - wins) * mixed_capital(process)
    assert expected == pytest.approx(1.0)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_empirical_bernstein_process_expects_at_most_one_at_the_true_mean(rate: float, sign: int) -> None:
    expected = 0.0
    for values in product([0.0, 1.0], repeat=9):
        sequence = BoundedMean()
        for value in values:
            sequence.update(value)
        wins = int(sum(values))
        gain = sign * (sequence.weighted - rate * sequence.bets) - sequence.penalty
        expected += rate**wins * (1 - rate) ** (9 - wins) * math.exp(gain)
    assert 0.2 < expected <= 1.0


def test_ratings_that_vary_little_get_a_tighter_interval_than_yes_and_no_would() -> None:
    sequence = BoundedMean()
    for i in range(600):
        sequence.update(0.55 + 0.1 * (i % 2))
    lower, upper = sequence.interval(0.05)
    coarse = rate_interval(sequence.total, sequence.n, 0.05)
    assert upper - lower < 0.5 * (coarse[1] - coarse[0])


def test_the_self_normalised_mixture_expects_at_most_one_for_symmetric_differences() -> None:
    sizes = [1.0, 3.0, 0.5, 2.0, 5.0, 0.1, 4.0, 1.0, 2.5, 1.0]
    values = []
    for signs in product([1, -1], repeat=len(sizes)):
        process = RealDifference()
        for sign, size in zip(signs, sizes, strict=True):
            process.update(1, sign * size)
            process.update(-1, 0.0)
        spread = process.rho + process.squares
        values.append(math.sqrt(process.rho / spread) * math.exp(process.total**2 / (2 * spread)))
    assert sum(values) / len(values) <= 1.0
    assert max(values) > 1.5


@FIXED
@given(order=st.lists(st.tuples(st.sampled_from([1, -1]), st.floats(0.0, 1.0)), max_size=200))
def test_matching_uses_every_value_at_most_once_and_stays_small(order: list[tuple[int, float]]) -> None:
    matching = Matching()
    differences = 0
    for side, value in order:
        found = matching.match(side, value)
        differences += found is not None
        assert found is None or -1.0 <= found <= 1.0
        assert len(matching.waiting) <= DEPTH
    waiting = sum(count for _, count in matching.waiting)
    assert 2 * differences + waiting <= len(order)
    if order and abs(sum(side for side, _ in order)) == len(order):
        assert waiting == len(order)


def test_matching_subtracts_the_mean_of_the_group_that_waits() -> None:
    matching = Matching()
    for value in [0.2] * DEPTH + [0.6]:
        assert matching.match(1, value) is None
    assert matching.match(-1, 0.1) == pytest.approx(0.4 - 0.1)
    assert matching.match(-1, 0.0) == pytest.approx(0.2)


def test_real_values_are_no_evidence_until_they_set_the_scale() -> None:
    process = RealDifference()
    for _ in range(SCALE_FROM):
        process.update(1, 1_000.0)
        process.update(-1, 0.0)
    assert process.p_value == 1.0
    for _ in range(40):
        process.update(1, 1_000.0)
        process.update(-1, 0.0)
    assert process.p_value < 1e-4


@FIXED
@given(feedbacks=FEEDBACKS)
def test_a_report_counts_averages_and_encloses_the_mean(feedbacks: list[tuple[str, float]]) -> None:
    test = DirectTest(["a", "b", "c"], bounds=(1.0, 5.0))
    p_values = [test.p_value]
    for name, value in feedbacks:
        test.update(name, value)
        p_values.append(test.p_value)
    assert p_values == sorted(p_values, reverse=True)
    assert 0.0 < p_values[-1] <= p_values[0] == 1.0
    for name, variant in test.report(0.05).variants.items():
        own = [value for other, value in feedbacks if other == name]
        assert variant.n == len(own)
        assert variant.lower is not None
        assert variant.upper is not None
        if variant.mean is None:
            assert (own, variant.lower, variant.upper) == ([], 1.0, 5.0)
        else:
            assert variant.mean == pytest.approx(sum(own) / len(own))
            assert 1.0 <= variant.lower <= variant.mean <= variant.upper <= 5.0


@FIXED
@given(feedbacks=FEEDBACKS, cut=st.integers(0, 60), bounded=st.booleans())
def test_a_state_through_json_continues_as_if_never_stored(
    feedbacks: list[tuple[str, float]], cut: int, bounded: bool
) -> None:
    kept = DirectTest("abc", bounds=(1.0, 5.0) if bounded else None, direction=Direction.LOWER_IS_BETTER, warm_up=3)
    stored = DirectTest.from_dict(json.loads(json.dumps(kept.to_dict(), allow_nan=False)))
    for index, (name, value) in enumerate(feedbacks):
        if index == cut:
            stored = DirectTest.from_dict(json.loads(json.dumps(stored.to_dict(), allow_nan=False)))
        kept.update(name, value)
        stored.update(name, value)
    assert stored.to_dict() == kept.to_dict()
    assert stored.report(0.05) == kept.report(0.05)


def test_a_state_is_a_copy_that_later_updates_leave_alone() -> None:
    test = DirectTest(["a", "b"], bounds=(0, 1))
    test.update("a", 1)
    state = test.to_dict()
    before = json.dumps(state)
    copy = DirectTest.from_dict(state)
    for _ in range(30):
        test.update("a", 1)
        copy.update("b", 0)
    assert json.dumps(state) == before


@FIXED
@given(feedbacks=REAL_FEEDBACKS, exponent=st.integers(-20, 20))
def test_the_unit_of_real_values_does_not_change_the_p_value(feedbacks: list[tuple[str, float]], exponent: int) -> None:
    assume(all(value == 0.0 or abs(value) > 1e-6 for _, value in feedbacks))
    plain, scaled = DirectTest("abc"), DirectTest("abc")
    for name, value in feedbacks:
        plain.update(name, value)
        scaled.update(name, value * 2.0**exponent)
    assert scaled.p_value == pytest.approx(plain.p_value)


def test_real_intervals_appear_with_the_burn_in_and_narrow() -> None:
    test = DirectTest(["a", "b"])
    widths = []
    for i in range(BURN_IN * 20):
        test.update("a", 10.0 + i % 2)
        variant = test.report(0.05).variants["a"]
        if i + 1 < BURN_IN:
            assert variant.lower is variant.upper is None
        else:
            assert variant.lower is not None
            assert variant.upper is not None
            assert variant.lower <= 10.5 <= variant.upper
            widths.append(variant.upper - variant.lower)
    assert widths[-1] < widths[0] / 3


def test_values_that_never_vary_get_no_interval_instead_of_one_of_width_zero() -> None:
    test = DirectTest(["a", "b"])
    for _ in range(BURN_IN + 5):
        test.update("a", 7.0)
    assert test.report().variants["a"].lower is None


@pytest.mark.parametrize(("direction", "best"), [(Direction.HIGHER_IS_BETTER, "b"), (Direction.LOWER_IS_BETTER, "a")])
def test_the_direction_chooses_the_winner(direction: Direction, best: str) -> None:
    test = DirectTest(["a", "b"], bounds=(0.0, 10.0), direction=direction)
    for _ in range(30):
        test.update("a", 1.0)
        test.update("b", 9.0)
    report = test.report(0.05)
    assert (report.enough, report.decided, report.winner) == (True, True, best)


def test_nothing_is_decided_before_every_variant_is_warm() -> None:
    test = DirectTest(["a", "b"], bounds=(0.0, 1.0), warm_up=25)
    for _ in range(24):
        test.update("a", 0.0)
        test.update("b", 1.0)
    early = test.report(0.05)
    assert early.p_value < 0.05
    assert (early.enough, early.decided, early.winner) == (False, False, None)
    test.update("a", 0.0)
    assert not test.report(0.05).enough
    test.update("b", 1.0)
    assert test.report(0.05).winner == "b"


def test_a_leader_without_evidence_does_not_win() -> None:
    scores = {"a": 0.2, "b": 0.7, "lucky": 0.9}
    p_values = {("a", "b"): 0.001, ("a", "lucky"): 0.4, ("b", "lucky"): 1.0}
    leads = {(x, y): scores[x] - scores[y] for x, y in p_values}
    assert best_proven(scores, leads, p_values, 0.05) == "b"
    assert best_proven(scores, leads, dict.fromkeys(p_values, 0.2), 0.05) is None
    assert best_proven(scores, leads, dict.fromkeys(p_values, 0.01), 0.05) == "lucky"


def test_more_variants_raise_the_bar_for_each_pair() -> None:
    two, three = DirectTest("ab", bounds=(0, 1)), DirectTest("abc", bounds=(0, 1))
    for test in (two, three):
        for _ in range(12):
            test.update("a", 0)
            test.update("b", 1)
    assert three.p_value == pytest.approx(3 * two.p_value)


@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan, math.inf])
def test_a_value_out_of_bounds_is_refused_and_changes_nothing(value: float) -> None:
    test = DirectTest(["a", "b"], bounds=(0.0, 1.0))
    test.update("a", 1.0)
    before = test.to_dict()
    with pytest.raises(ValueError, match="value"):
        test.update("a", value)
    with pytest.raises(ValueError, match="variant"):
        test.update("c", 0.5)
    assert test.to_dict() == before


@pytest.mark.parametrize("value", [math.nan, -math.inf, 1e101])
def test_a_real_value_must_be_finite_and_of_sane_size(value: float) -> None:
    with pytest.raises(ValueError, match="value"):
        DirectTest(["a", "b"]).update("a", value)


def test_huge_and_tiny_real_values_keep_the_state_finite() -> None:
    test = DirectTest(["a", "b"])
    for value in [1e-300, 1e-160, 1e-154, 1e-150, 1e100, -1e100] * 10:
        test.update("a", value)
        test.update("b", -value)
    json.dumps(test.to_dict(), allow_nan=False)
    assert 0.0 <= test.p_value <= 1.0


def test_senseless_settings_are_refused() -> None:
    for variants in ([], ["a"], ["a", "a"], ["a", ""]):
        with pytest.raises(ValueError, match="variants"):
            DirectTest(variants)
    for bounds in ((1.0, 1.0), (2.0, 1.0), (0.0, math.inf)):
        with pytest.raises(ValueError, match="bound"):
            DirectTest(["a", "b"], bounds=bounds)
    with pytest.raises(ValueError, match="warm-up"):
        DirectTest(["a", "b"], warm_up=0)
    with pytest.raises(ValueError, match="alpha"):
        DirectTest(["a", "b"]).report(0.0)
    with pytest.raises(ValueError, match="version"):
        DirectTest.from_dict({**DirectTest(["a", "b"]).to_dict(), "version": 99})


def test_two_thousand_stored_updates_with_reports_take_a_few_seconds_at_most() -> None:
    """The cost of drawing a live experiment; ten times what it takes here, so that only a new order of cost fails."""
    test = DirectTest(["a", "b"], bounds=(0.0, 1.0))
    start = time.process_time()
    for i in range(2_000):
        test.update("ab"[i % 2], float(i % 3 == 0))
        test.report(0.05)
        test = DirectTest.from_dict(test.to_dict())
    assert time.process_time() - start < 5.0
    assert len(json.dumps(test.to_dict())) < 4_000
