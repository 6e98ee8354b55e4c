"""Series: the scalars that a run reports, one series for each (metric, variant), one point for each iteration.

A point that is reported again at the same iteration replaces the earlier one. A series may also hold one
single value, a number about the whole run, which clients report at the iteration `SINGLE`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import lt
from typing import NamedTuple

from quintet.domain.errors import Invalid
from quintet.domain.ids import Id
from quintet.domain.projects import MAX_NAME

SINGLE = -(2**31)
"""The iteration that says "this is one value for the run, not a point of a curve"."""

LISTED_SERIES = 2_000
"""The most series of a run that have roll-ups: what a table of runs may show, and what bounds its size."""

MONITOR_METRICS = frozenset({":monitor:machine", ":monitor:gpu"})
"""Metrics that count seconds and not iterations, so they say nothing of how far a run is."""

INT64 = 2**63
"""Iterations and times are below this and not below its negative."""

SeriesKey = tuple[str, str]
"""(metric, variant)"""

PointRow = tuple[str, str, int, int, float]
"""(metric, variant, iteration, time in µs, value)"""

Ints = Sequence[int]
"""64-bit integers: an `array('q')`, or a `range` where they are evenly spaced."""


@dataclass(frozen=True, slots=True)
class Points:
    """Points as columns of the same length. What storage gives is sorted by iteration, without repeats."""

    iters: Ints
    times: Ints
    values: Sequence[float]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class PointBatch:
    """Points of one run, by series. `x_labels` names the x axis where a client said so."""

    columns: Mapping[SeriesKey, Points] = field(default_factory=dict)
    x_labels: Mapping[SeriesKey, str] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[PointRow]) -> PointBatch:
        """The rows as a batch; Invalid where any of them is not a point."""
        batch, errors = cls.collect(rows)
        for message in errors:
            raise Invalid(message, field="points")
        return batch

    @classmethod
    def collect(
        cls, rows: Iterable[PointRow], x_labels: Mapping[SeriesKey, str] | None = None
    ) -> tuple[PointBatch, dict[str, int]]:
        """The rows that are points, as a batch, and how often each reason to leave one out was met."""
        groups: dict[SeriesKey, tuple[list[int], list[int], list[float]]] = {}
        for metric, variant, iteration, ts, value in rows:
            key = (metric, variant)
            group = groups.get(key)
            if group is None:
                group = groups[key] = ([], [], [])
            group[0].append(iteration)
            group[1].append(ts)
            group[2].append(value)
        columns: dict[SeriesKey, Points] = {}
        errors: dict[str, int] = {}
        for key, (iters, times, values) in groups.items():
            fault = name_fault(*key)
            if fault:
                errors[fault] = errors.get(fault, 0) + len(iters)
                continue
            points = _typed(iters, times, values)
            if points is None:
                points = _valid_only(iters, times, values, errors)
            if len(points):
                columns[key] = points
        return cls(columns, x_labels or {}), errors

    def __len__(self) -> int:
        return sum(len(p) for p in self.columns.values())


class AppendResult(NamedTuple):
    """`added` points were taken (replaced ones included); `new_series` were not known before."""

    added: int
    new_series: int
    last_iter: int | None
    """The highest iteration in the batch, of all but the monitoring metrics; None where there was none."""


@dataclass(frozen=True, slots=True)
class RollUp:
    """What is known of a series without reading its points.

    Minimum, maximum and mean are over finite values; NaN and infinities are kept as points and can be the
    first or the last value. A series that holds only a single value has `count` 1 and every iteration `SINGLE`.
    """

    run_id: Id
    metric: str
    variant: str
    x_label: str | None
    count: int
    finite: int
    first_iter: int
    first_value: float
    last_iter: int
    last_ts: int
    last_value: float
    min_value: float | None
    min_iter: int | None
    max_value: float | None
    max_iter: int | None
    sum_value: float
    single_ts: int | None = None
    single_value: float | None = None

    @property
    def mean(self) -> float | None:
        return self.sum_value / self.finite if self.finite else None

    @property
    def is_single(self) -> bool:
        return self.last_iter == SINGLE


class SingleValue(NamedTuple):
    run_id: Id
    metric: str
    variant: str
    ts: int
    value: float


@dataclass(frozen=True, slots=True)
class MetricFilter:
    """A metric and those of its variants that are wanted (none named: all of them)."""

    metric: str
    variants: tuple[str, ...] = ()

    def takes(self, metric: str, variant: str) -> bool:
        return metric == self.metric and (not self.variants or variant in self.variants)


@dataclass(frozen=True, slots=True)
class Curve:
    """A series to draw: `x` iterations or times in µs; `low` and `high` only where buckets were asked for.

    `sampled` tells that a point stands for a bucket of points (its mean, at the start of the bucket).
    """

    run_id: Id
    metric: str
    variant: str
    x: Sequence[int]
    y: Sequence[float]
    sampled: bool
    x_label: str | None = None
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class RawPage:
    """Points as they are. `next_cursor` is None at the end; `total` counts all points of the query."""

    series: Sequence[tuple[str, str, Points]]
    returned: int
    total: int
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class PointPage:
    """Points of several series in the order of their iterations; all that share the last one are included."""

    rows: Sequence[PointRow]
    total: int
    next_iter: int | None
    """Ask for points beyond this iteration next; None at the end."""


def increasing(numbers: Ints) -> bool:
    """Whether each number is greater than the one before."""
    if isinstance(numbers, range):
        return numbers.step > 0
    return all(map(lt, numbers, islice(numbers, 1, None)))


def unique_by_iter(points: Points) -> Points:
    """Sorted by iteration; of points at the same iteration the one that came last."""
    if increasing(points.iters):
        return points
    latest = dict(zip(points.iters, zip(points.times, points.values, strict=True), strict=True))
    order = sorted(latest)
    pairs = [latest[i] for i in order]
    return Points(array("q", order), array("q", [p[0] for p in pairs]), array("d", [p[1] for p in pairs]))


def name_fault(metric: object, variant: object) -> str | None:
    """Why these cannot name a series; None where they can."""
    for name, what in ((metric, "metric"), (variant, "variant")):
        if not isinstance(name, str):
            return f"'{what}' must be text"
        if len(name) > MAX_NAME:
            return f"'{what}' is longer than {MAX_NAME} characters"
        if not storable(name):
            return f"'{what}' holds a character that cannot be stored"
    return None


def storable(text: str) -> bool:
    """Whether both databases can store it: PostgreSQL refuses NUL, and lone surrogates are no UTF-8."""
    return "\x00" not in text and (text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text))


def _typed(iters: Sequence[int], times: Sequence[int], values: Sequence[float]) -> Points | None:
    """The columns as arrays, None where one of their items is no 64-bit integer or float."""
    try:
        return Points(array("q", iters), array("q", times), array("d", values))
    except (TypeError, OverflowError):
        return None


def _valid_only(iters: Sequence[int], times: Sequence[int], values: Sequence[float], errors: dict[str, int]) -> Points:
    good: tuple[list[int], list[int], list[float]] = ([], [], [])
    for iteration, ts, value in zip(iters, times, values, strict=True):
        fault = _point_fault(iteration, ts, value)
        if fault:
            errors[fault] = errors.get(fault, 0) + 1
            continue
        good[0].append(iteration)
        good[1].append(ts)
        good[2].append(value)
    return Points(array("q", good[0]), array("q", good[1]), array("d", good[2]))


def _point_fault(iteration: object, ts: object, value: object) -> str | None:
    for number, what in ((iteration, "iter"), (ts, "timestamp")):
        if not isinstance(number, int) or not -INT64 <= number < INT64:
            return f"'{what}' must be a 64-bit integer"
    if not isinstance(value, int | float) or (isinstance(value, int) and abs(value) >= 2**1023):
        return "'value' must be a number"
    return None
