"""Buckets are the same whichever way they are computed, and mean what the rule says."""

from __future__ import annotations

import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quintet.domain.sampling import bucket_means, bucket_width, buckets, sorted_by_time


def by_the_rule(x: list[int], y: list[float], width: int) -> dict[int, list[float]]:
    groups: dict[int, list[float]] = {}
    for at, value in zip(x, y, strict=True):
        groups.setdefault(at // width * width, []).append(value)
    return groups


def test_the_width_covers_the_range_with_the_samples_asked_for() -> None:
    assert bucket_width(0, 4_999, 2_000) == 3
    assert bucket_width(-10, 10, 7) == 3
    assert bucket_width(0, 9, 10) == 1


@given(
    first=st.integers(-1_000, 1_000), step=st.integers(1, 12), width=st.integers(1, 50),
    y=st.lists(st.floats(-100, 100), min_size=1, max_size=60),
)  # fmt: skip
def test_evenly_spaced_points_fall_into_the_same_buckets_as_any_others(
    first: int, step: int, width: int, y: list[float]
) -> None:
    even = range(first, first + step * len(y), step)
    expected = by_the_rule(list(even), y, width)
    for x in (even, array("q", even)):
        for finite in (True, False):
            starts, means = bucket_means(x, array("d", y), width, finite=finite)
            assert starts == list(expected)
            assert means == pytest.approx([math.fsum(v) / len(v) for v in expected.values()], abs=1e-9)
        drawn = buckets(x, array("d", y), width)
        assert drawn.x == list(expected)
        assert drawn.low == [min(v) for v in expected.values()]
        assert drawn.high == [max(v) for v in expected.values()]


def test_values_that_are_not_finite_do_not_hide_those_that_are() -> None:
    y = array("d", [1.0, math.nan, 3.0, math.nan, math.nan, math.inf])
    starts, means = bucket_means(range(6), y, 3, finite=False)
    assert starts == [0, 3]
    assert means == [2.0, math.inf]
    drawn = buckets(range(6), y, 3)
    assert (drawn.mean, drawn.low, drawn.high) == ([2.0, math.inf], [1.0, math.inf], [3.0, math.inf])


def test_times_that_jump_back_are_sorted_with_their_values() -> None:
    assert sorted_by_time([3, 1, 2], [0.3, 0.1, 0.2]) == ([1, 2, 3], [0.1, 0.2, 0.3])
