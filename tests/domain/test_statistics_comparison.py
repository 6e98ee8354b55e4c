"""Comparison tests: the sign martingale, tallies from both sides, Bradley and Terry's strengths, stored states."""

from __future__ import annotations

import json
import math
import time
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quintet.domain.statistics import ComparisonTest
from quintet.domain.statistics.bradley_terry import LENT, fit

FIXED = settings(derandomize=True, deadline=None, max_examples=60)

PAIRS = [(a, b) for a, b in product("abc", repeat=2) if a != b]
COMPARISONS = st.lists(st.tuples(st.sampled_from(PAIRS), st.sampled_from([None, None, "good", "bad"])), max_size=50)


def test_the_e_value_is_the_likelihood_averaged_over_all_win_rates() -> None:
    test = ComparisonTest(["a", "b"])
    for _ in range(9):
        test.update("a", "b")
    test.update("b", "a")
    # The largest so far: nine to nothing, 2^9 * 9! 0! / 10!.
    assert test.p_value == pytest.approx(float(1 / Fraction(2**9, 10)))


@given(length=st.integers(1, 9))
@FIXED
def test_the_e_value_expects_exactly_one_for_fair_answers(length: int) -> None:
    total = sum(
        math.comb(length, k) * Fraction(math.factorial(k) * math.factorial(length - k), math.factorial(length + 1))
        for k in range(length + 1)
    )
    assert total == 1
    values = []
    for answers in product([True, False], repeat=length):
        test = ComparisonTest(["a", "b"])
        best = Fraction(1)
        for n, answer in enumerate(answers, 1):
            test.update(*("ab" if answer else "ba"))
            k = sum(answers[:n])
            e = Fraction(2**n * math.factorial(k) * math.factorial(n - k), math.factorial(n + 1))
            best = max(best, e)
        assert test.p_value == pytest.approx(float(1 / best))
        values.append(test.p_value)
    # Ville's inequality itself, counted: p-values of at most x come up in at most x of all sequences.
    for x in values:
        assert sum(v <= x for v in values) <= x * len(values) * (1 + 1e-9)


@FIXED
@given(comparisons=COMPARISONS)
def test_a_report_counts_each_pair_alike_from_both_sides(
    comparisons: list[tuple[tuple[str, str], str | None]],
) -> None:
    test = ComparisonTest("abc")
    for (first, second), tied in comparisons:
        test.update(first, second, tied)  # type: ignore[arg-type]
    report = test.report(0.05)
    for name, variant in report.variants.items():
        assert variant.n == sum(name in pair for pair, _ in comparisons)
        assert variant.wins == sum(pair[0] == name and tied is None for pair, tied in comparisons)
        assert variant.losses == sum(pair[1] == name and tied is None for pair, tied in comparisons)
        assert set(variant.against) == set("abc") - {name}
        if variant.win_rate is not None:
            assert 0.0 <= variant.lower <= variant.win_rate <= variant.upper <= 1.0
        for other, pair in variant.against.items():
            mirror = report.variants[other].against[name]
            assert (pair.wins, pair.losses) == (mirror.losses, mirror.wins)
            assert (pair.ties_good, pair.ties_bad) == (mirror.ties_good, mirror.ties_bad)
            assert pair.p_value == mirror.p_value
            assert pair.wins == sum(p == (name, other) and tied is None for p, tied in comparisons)
            assert pair.ties_bad == sum(set(p) == {name, other} and tied == "bad" for p, tied in comparisons)
    assert sum(variant.strength.value for variant in report.variants.values()) == pytest.approx(0.0, abs=1e-9)


@FIXED
@given(comparisons=COMPARISONS, cut=st.integers(0, 50))
def test_a_state_through_json_continues_as_if_never_stored(
    comparisons: list[tuple[tuple[str, str], str | None]], cut: int
) -> None:
    kept = ComparisonTest("abc", warm_up=2)
    stored = ComparisonTest.from_dict(json.loads(json.dumps(kept.to_dict(), allow_nan=False)))
    for index, ((first, second), tied) in enumerate(comparisons):
        if index == cut:
            stored = ComparisonTest.from_dict(json.loads(json.dumps(stored.to_dict(), allow_nan=False)))
        kept.update(first, second, tied)  # type: ignore[arg-type]
        stored.update(first, second, tied)  # type: ignore[arg-type]
    assert stored.to_dict() == kept.to_dict()
    assert stored.report(0.05) == kept.report(0.05)


def test_ties_are_counted_and_change_no_evidence() -> None:
    test = ComparisonTest(["a", "b"])
    for _ in range(7):
        test.update("a", "b")
    before = test.report(0.05)
    for _ in range(20):
        test.update("b", "a", "good")
        test.update("a", "b", "bad")
    after = test.report(0.05)
    assert after.p_value == before.p_value
    assert after.variants["a"].win_rate == before.variants["a"].win_rate == 1.0
    pair = after.variants["b"].against["a"]
    assert (pair.wins, pair.losses, pair.ties_good, pair.ties_bad) == (0, 7, 20, 20)


def test_a_comparison_is_decided_only_when_warm_and_names_the_preferred() -> None:
    test = ComparisonTest(["a", "b"], warm_up=12)
    for _ in range(11):
        test.update("b", "a")
    early = test.report(0.05)
    assert early.p_value < 0.05
    assert (early.enough, early.decided, early.winner) == (False, False, None)
    test.update("b", "a")
    assert test.report(0.05).winner == "b"


def test_two_variants_get_the_log_odds_of_their_counts() -> None:
    strengths = fit([[0.0, 30.0], [10.0, 0.0]], alpha=0.05)
    odds = math.log((30 + LENT) / (10 + LENT))
    error = math.sqrt(1 / (30 + LENT) + 1 / (10 + LENT))
    assert strengths[0].value == pytest.approx(odds / 2, abs=1e-5)
    assert strengths[1].value == pytest.approx(-odds / 2, abs=1e-5)
    # Each is half of the log-odds, and so is its error.
    assert strengths[0].upper - strengths[0].value == pytest.approx(1.959964 * error / 2, rel=1e-4)


def test_strengths_come_back_from_the_expected_counts_of_a_known_model() -> None:
    true = [1.0, 0.3, -0.2, -1.1]
    wins = [[0.0 if i == j else 1e6 / (1 + math.exp(b - a)) for j, b in enumerate(true)] for i, a in enumerate(true)]
    strengths = fit(wins, alpha=0.05)
    for strength, value in zip(strengths, true, strict=True):
        assert strength.value == pytest.approx(value, abs=1e-3)
        assert strength.lower < strength.value < strength.upper


@FIXED
@given(counts=st.lists(st.integers(0, 40), min_size=12, max_size=12))
def test_the_fit_satisfies_the_likelihood_equations(counts: list[int]) -> None:
    """At the maximum every variant has won as often as the model expects, the halves that were lent included."""
    rest = iter(counts)
    wins = [[0.0 if i == j else float(next(rest)) for j in range(4)] for i in range(4)]
    values = [strength.value for strength in fit(wins, alpha=0.05)]
    for i in range(4):
        won = sum(wins[i][j] + LENT for j in range(4) if j != i)
        expected = sum(
            (wins[i][j] + wins[j][i] + 2 * LENT) / (1 + math.exp(values[j] - values[i])) for j in range(4) if j != i
        )
        assert won == pytest.approx(expected, rel=1e-3)


def test_a_variant_that_never_lost_and_one_that_never_played_have_finite_strengths() -> None:
    test = ComparisonTest(["champion", "loser", "absent"])
    for _ in range(1_000):
        test.update("champion", "loser")
    variants = test.report(0.05).variants
    assert all(math.isfinite(v.strength.lower) and math.isfinite(v.strength.upper) for v in variants.values())
    assert variants["champion"].strength.value > variants["absent"].strength.value > variants["loser"].strength.value
    assert variants["absent"].win_rate is None
    assert (variants["absent"].lower, variants["absent"].upper) == (0.0, 1.0)


def test_input_that_makes_no_sense_is_refused_and_changes_nothing() -> None:
    test = ComparisonTest(["a", "b"])
    before = test.to_dict()
    with pytest.raises(ValueError, match="itself"):
        test.update("a", "a")
    with pytest.raises(ValueError, match="'c' is not a variant"):
        test.update("a", "c")
    with pytest.raises(ValueError, match="tie"):
        test.update("a", "b", "ugly")  # type: ignore[arg-type]
    assert test.to_dict() == before
    with pytest.raises(ValueError, match="version"):
        ComparisonTest.from_dict({**before, "version": 0})
    with pytest.raises(ValueError, match="warm-up"):
        ComparisonTest(["a", "b"], warm_up=0)


def test_two_thousand_reports_on_four_variants_take_a_few_seconds_at_most() -> None:
    test = ComparisonTest("abcd")
    start = time.process_time()
    for i in range(2_000):
        test.update("abcd"[i % 4], "abcd"[(i + 1 + i // 7 % 3) % 4])
        test.report(0.05)
    assert time.process_time() - start < 8.0
