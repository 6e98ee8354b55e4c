"""How points lie in a blob: three columns, each packed by what suits it, so that a chart unpacks only two.

    header   version, packing of each column, number of points, length of the first two columns
    iters    evenly spaced: first and step; else differences, bytes transposed, zlib
    times    the same
    values   bytes transposed, zlib

Transposing puts the bytes that hardly change (signs, exponents, high bytes) side by side; it makes zlib's
fastest level both smaller and three times faster than its best level without. Small pieces stay unpacked.
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import isfinite, nan
from operator import sub
from typing import Any, NamedTuple

from quintet.domain.series import Ints, Points, unique_by_iter

BLOCK_POINTS = 4_096
"""Points in a full block: smaller ones cost rows and compress worse, larger ones are slow to rewrite for a late
point (4,096 take about 4 ms) and make a short range read too much."""

PACK_FROM = 128
"""Points from which a piece is compressed: below it zlib's own start-up costs more than it saves."""

LEVEL = 1
"""On transposed bytes level 6 saves 1% and takes twice the time."""

_HEAD = struct.Struct("<4B3I")
_ONE = struct.Struct("<4B3Iqqd")
_EVEN = struct.Struct("<qq")
_VERSION = 1
_PLAIN, _PACKED, _SPACED = 0, 1, 2


class Summary(NamedTuple):
    """The summary columns of a block or a series, in the order and by the names of the tables."""

    points: int
    finite: int
    first_iter: int
    first_value: float | None
    last_iter: int
    last_ts: int
    last_value: float | None
    min_value: float | None
    min_iter: int | None
    max_value: float | None
    max_iter: int | None
    sum_value: float


def encode(points: Points) -> bytes:
    """The blob of at least one point, sorted by iteration."""
    count = len(points)
    if count == 1:  # a point at a time is what many clients report
        return _ONE.pack(_VERSION, _PLAIN, _PLAIN, _PLAIN, 1, 8, 8, points.iters[0], points.times[0], points.values[0])
    pack = count >= PACK_FROM
    iter_mode, iters = _encode_ints(points.iters, pack)
    time_mode, times = _encode_ints(points.times, pack)
    raw = _little(array("d", points.values))
    value_mode, values = (_PACKED, zlib.compress(_transpose(raw), LEVEL)) if pack else (_PLAIN, raw)
    head = _HEAD.pack(_VERSION, iter_mode, time_mode, value_mode, count, len(iters), len(times))
    return b"".join((head, iters, times, values))


class Piece:
    """A blob that unpacks a column when it is asked for."""

    __slots__ = ("_data", "_ends", "_modes", "count")

    def __init__(self, data: bytes) -> None:
        version, *modes, count, iters, times = _HEAD.unpack_from(data)
        if version != _VERSION:
            raise ValueError(f"series data of version {version} was written by a later release")
        self._data = memoryview(data)
        self._modes = modes
        self._ends = (_HEAD.size + iters, _HEAD.size + iters + times)
        self.count: int = count

    def iters(self) -> Ints:
        return _decode_ints(self._modes[0], self._data[_HEAD.size : self._ends[0]], self.count)

    def times(self) -> Ints:
        return _decode_ints(self._modes[1], self._data[self._ends[0] : self._ends[1]], self.count)

    def values(self) -> array[float]:
        part = self._data[self._ends[1] :]
        values = array("d")
        values.frombytes(part if self._modes[2] == _PLAIN else _restore(zlib.decompress(part)))
        return _native(values)

    def points(self) -> Points:
        return Points(self.iters(), self.times(), self.values())


def join_ints(parts: Sequence[Ints]) -> Ints:
    """One column out of several; still a `range` where they continue each other."""
    if len(parts) == 1:
        return parts[0]
    if parts and all(isinstance(p, range) for p in parts):
        first, last = parts[0], parts[-1]
        assert isinstance(first, range)
        whole = range(first[0], last[-1] + (1 if first.step > 0 else -1), first.step)
        position = 0
        for part in parts:
            if whole[position : position + len(part)] != part:
                break
            position += len(part)
        else:
            return whole
    joined = array("q")
    for part in parts:
        joined.extend(part)
    return joined


def join_values(parts: Sequence[array[float]]) -> array[float]:
    if len(parts) == 1:
        return parts[0]
    joined = array("d")
    for part in parts:
        joined.extend(part)
    return joined


def join(pieces: Sequence[Piece]) -> Points:
    """All points of pieces that follow each other."""
    return Points(
        join_ints([p.iters() for p in pieces]),
        join_ints([p.times() for p in pieces]),
        join_values([p.values() for p in pieces]),
    )


def concat(first: Points, second: Points) -> Points:
    """Both, where the second begins after the first."""
    if not len(first) or not len(second):
        return first if len(first) else second
    return Points(
        join_ints([first.iters, second.iters]),
        join_ints([first.times, second.times]),
        join_values([_doubles(first.values), _doubles(second.values)]),
    )


def cut(points: Points, start: int, end: int) -> Points:
    return Points(points.iters[start:end], points.times[start:end], points.values[start:end])


def merge(old: Points, new: Points) -> Points | None:
    """Both together, a new point in place of the old one at its iteration; None where that changes nothing."""
    first = bisect_left(old.iters, new.iters[0])
    end = bisect_right(old.iters, new.iters[-1])
    between = cut(old, first, end)
    if _same(between, new):  # a request that was sent again: the usual reason to come here
        return None
    both = Points([*between.iters, *new.iters], [*between.times, *new.times], [*between.values, *new.values])
    return concat(concat(cut(old, 0, first), unique_by_iter(both)), cut(old, end, len(old)))


def _same(one: Points, other: Points) -> bool:
    if list(one.iters) != list(other.iters) or list(one.times) != list(other.times):
        return False
    return _doubles(one.values).tobytes() == _doubles(other.values).tobytes()


def summarize(points: Points) -> Summary:
    """The summary of at least one point, sorted by iteration."""
    iters, values = points.iters, points.values
    if len(values) == 1 and isfinite(value := values[0]):
        at = iters[0]
        return Summary(1, 1, at, value, at, points.times[0], value, value, at, value, at, value)
    clean: Sequence[float] = values
    where = iters
    total = sum(values)
    # Any NaN or infinity shows in the sum, so that the usual case needs no look at each value.
    if not isfinite(total):
        kept = [(i, v) for i, v in zip(iters, values, strict=True) if isfinite(v)]
        where, clean = [i for i, _ in kept], [v for _, v in kept]
        total = sum(clean)
    low = min(clean, default=None)
    high = max(clean, default=None)
    return Summary(
        points=len(values),
        finite=len(clean),
        first_iter=iters[0],
        first_value=stored(values[0]),
        last_iter=iters[-1],
        last_ts=points.times[-1],
        last_value=stored(values[-1]),
        min_value=low,
        min_iter=None if low is None else where[clean.index(low)],
        max_value=high,
        max_iter=None if high is None else where[clean.index(high)],
        sum_value=total,
    )


def combine(first: Summary, second: Summary) -> Summary:
    """The summary of both, where the second begins after the first."""
    low, high = first.min_value, first.max_value
    low_second = second.min_value is not None and (low is None or second.min_value < low)
    high_second = second.max_value is not None and (high is None or second.max_value > high)
    return Summary(
        points=first.points + second.points,
        finite=first.finite + second.finite,
        first_iter=first.first_iter,
        first_value=first.first_value,
        last_iter=second.last_iter,
        last_ts=second.last_ts,
        last_value=second.last_value,
        min_value=second.min_value if low_second else low,
        min_iter=second.min_iter if low_second else first.min_iter,
        max_value=second.max_value if high_second else high,
        max_iter=second.max_iter if high_second else first.max_iter,
        sum_value=first.sum_value + second.sum_value,
    )


def loaded(value: float | None) -> float:
    """A stored value: SQLite keeps NaN as NULL, so both databases do."""
    return nan if value is None else value


def stored(value: float) -> float | None:
    """A value as both databases keep it."""
    return None if value != value else value


def _doubles(values: Sequence[float]) -> array[float]:
    return values if isinstance(values, array) else array("d", values)


def _encode_ints(numbers: Ints, pack: bool) -> tuple[int, bytes]:
    count = len(numbers)
    if isinstance(numbers, range):
        if count > 1:
            return _SPACED, _EVEN.pack(numbers[0], numbers.step)
        numbers = array("q", numbers)
    column = numbers if isinstance(numbers, array) else array("q", numbers)
    step = column[1] - column[0] if count > 2 else 0
    if step and column[-1] - column[0] == step * (count - 1):
        even = array("q", range(column[0], column[0] + step * count, step))
        if even.tobytes() == column.tobytes():
            return _SPACED, _EVEN.pack(column[0], step)
    if not pack:
        return _PLAIN, _little(column)
    try:
        differences = array("q", [column[0], *map(sub, column[1:], column)])
    except OverflowError:  # neighbours more than 2^63 apart
        return _PLAIN, _little(column)
    return _PACKED, zlib.compress(_transpose(_little(differences)), LEVEL)


def _decode_ints(mode: int, part: memoryview, count: int) -> Ints:
    if mode == _SPACED:
        first, step = _EVEN.unpack(part)
        return range(first, first + step * count, step)
    column = array("q")
    if mode == _PLAIN:
        column.frombytes(part)
        return _native(column)
    column.frombytes(_restore(zlib.decompress(part)))
    return array("q", accumulate(_native(column)))


def _transpose(raw: bytes) -> bytes:
    return b"".join([raw[i::8] for i in range(8)])


def _restore(raw: bytes) -> bytearray:
    count = len(raw) // 8
    result = bytearray(len(raw))
    for i in range(8):
        result[i::8] = raw[i * count : (i + 1) * count]
    return result


def _little(column: array[Any]) -> bytes:
    """Its bytes, lowest first on every machine, so that a database can move."""
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column.tobytes()


def _native(column: array[Any]) -> array[Any]:
    if sys.byteorder == "big":
        column.byteswap()
    return column
