"""Fewer points for a chart: means of buckets, by rules that give the same buckets for every series and reload.

Buckets are aligned to multiples of their width, so that they do not move when points are added. All of this
is plain loops over arrays: 100,000 points take about 10 ms, and the server needs no numeric library.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from math import isfinite
from operator import le
from typing import NamedTuple

from quintet.domain.series import Ints


class Buckets(NamedTuple):
    """One item for each bucket that holds points: its start, and mean, minimum and maximum of its values."""

    x: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]


def bucket_width(first: int, last: int, samples: int) -> int:
    """The width for which `first`…`last` needs about `samples` buckets."""
    return -(-(last - first + 1) // samples)


def bucket_means(x: Ints, y: Sequence[float], width: int, *, finite: bool) -> tuple[list[int], list[float]]:
    """(bucket starts, means); `x` sorted. `finite` promises that `y` holds no NaN and no infinity.

    The mean is over finite values; a bucket without any has its last value, so that a NaN stays visible.
    """
    if not finite:
        return _careful_means(x, y, width)
    if isinstance(x, range) and x.step > 0 and width % x.step == 0 and len(x):
        return _even_means(x, y, width)
    starts: list[int] = []
    means: list[float] = []
    current = None
    total, count = 0.0, 1
    for at, value in zip(x, y, strict=True):
        bucket = at // width
        if bucket == current:
            total += value
            count += 1
        else:
            if current is not None:
                starts.append(current * width)
                means.append(total / count)
            current, total, count = bucket, value, 1
    if current is not None:
        starts.append(current * width)
        means.append(total / count)
    return starts, means


def _even_means(x: range, y: Sequence[float], width: int) -> tuple[list[int], list[float]]:
    """`bucket_means` where every full bucket holds the same number of points: summed without a Python loop."""
    each = width // x.step
    start = x[0] // width * width
    head = min(len(y), -(-(start + width - x[0]) // x.step))
    full = (len(y) - head) // each
    tail = head + full * each
    sums = map(sum, zip(*[iter(y[head:tail])] * each, strict=True))
    means = [sum(y[:head]) / head, *[s / each for s in sums]]
    if tail < len(y):
        means.append(sum(y[tail:]) / (len(y) - tail))
    return list(range(start, start + len(means) * width, width)), means


def _careful_means(x: Ints, y: Sequence[float], width: int) -> tuple[list[int], list[float]]:
    starts: list[int] = []
    means: list[float] = []
    for start, first, end in _bounds(x, width):
        values = y[first:end]
        clean = [v for v in values if isfinite(v)]
        starts.append(start)
        means.append(sum(clean) / len(clean) if clean else values[-1])
    return starts, means


def buckets(x: Ints, y: Sequence[float], width: int) -> Buckets:
    """Mean, minimum and maximum of each bucket, over finite values; `x` sorted."""
    result = Buckets([], [], [], [])
    for start, first, end in _bounds(x, width):
        values = y[first:end]
        clean: Sequence[float] = values
        total = sum(values)
        if not isfinite(total):
            clean = [v for v in values if isfinite(v)] or values[-1:]
            total = sum(clean)
        result.x.append(start)
        result.mean.append(total / len(clean))
        result.low.append(min(clean))
        result.high.append(max(clean))
    return result


def _bounds(x: Ints, width: int) -> list[tuple[int, int, int]]:
    """(start of bucket, index of its first point, index past its last)"""
    if isinstance(x, range) and len(x) and 0 < x.step <= width:  # no bucket is empty: edges without a look at x
        starts = range(x[0] // width * width, x[-1] + 1, width)
        edges = [0, *(-((x[0] - start) // x.step) for start in starts[1:]), len(x)]
        return list(zip(starts, edges, edges[1:], strict=False))
    found: list[tuple[int, int, int]] = []
    current = None
    first = 0
    for index, at in enumerate(x):
        bucket = at // width
        if bucket != current:
            if current is not None:
                found.append((current * width, first, index))
            current, first = bucket, index
    if current is not None:
        found.append((current * width, first, len(x)))
    return found


def sorted_by_time(times: Ints, values: Sequence[float]) -> tuple[Ints, Sequence[float]]:
    """Both columns in the order of time, for charts over time."""
    if all(map(le, times, islice(times, 1, None))):
        return times, values
    order = sorted(range(len(times)), key=times.__getitem__)
    return [times[i] for i in order], [values[i] for i in order]
