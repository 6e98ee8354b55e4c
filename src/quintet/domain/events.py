"""What runs report beside scalars: lines of log, and plots, images and vectors at an iteration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from quintet.domain.ids import Id
from quintet.domain.series import INT64, name_fault, storable

MAX_URL = 4_096
"""The longest URL or key of an event: what S3 and browsers take, with room to spare."""


class LogLine(NamedTuple):
    """`ts` in µs. `msg` may hold several lines of text."""

    ts: int
    level: str
    worker: str
    msg: str


@dataclass(frozen=True, slots=True)
class LogPage:
    """Lines from the oldest to the newest; `total` counts all lines of the run.

    `more` tells that there are lines further on in the direction that was asked for.
    """

    lines: Sequence[LogLine]
    total: int
    more: bool


class EventType(StrEnum):
    PLOT = "plot"
    IMAGE = "image"
    VECTOR = "vector"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Something to show at an iteration. One with the same type, metric, variant, iteration and key replaces it.

    `data` is JSON text (a plot's figure, a vector's numbers); `url` is where an image lies, `key` its name
    there. `ts` in µs.
    """

    type: EventType
    metric: str
    variant: str
    iter: int
    ts: int
    key: str = ""
    url: str = ""
    data: str = ""


@dataclass(frozen=True, slots=True)
class RunEvent(NewEvent):
    """An event of a run; `seq` grows with each event that is stored."""

    run_id: Id = field(kw_only=True)
    seq: int = field(kw_only=True)


class EventKey(NamedTuple):
    """Where there are events: so many of them at this metric, variant and iteration."""

    metric: str
    variant: str
    iter: int
    events: int


class NearEvents(NamedTuple):
    """The events of one metric and variant at the iteration nearest to the one asked for, and the bounds."""

    events: Sequence[RunEvent]
    first_iter: int
    last_iter: int


def event_fault(event: NewEvent) -> str | None:
    """Why an event cannot be stored; None where it can."""
    fault = name_fault(event.metric, event.variant)
    if fault:
        return fault
    for number, what in ((event.iter, "iter"), (event.ts, "timestamp")):
        if not isinstance(number, int) or not -INT64 <= number < INT64:
            return f"'{what}' must be a 64-bit integer"
    for text, what in ((event.key, "key"), (event.url, "url")):
        if not isinstance(text, str) or len(text) > MAX_URL or not storable(text):
            return f"'{what}' must be text of at most {MAX_URL} characters"
    if not isinstance(event.data, str):
        return "'data' must be text"
    return None


def line_fault(line: LogLine) -> str | None:
    """Why a line of log cannot be stored; None where it can."""
    if not isinstance(line.ts, int) or not -INT64 <= line.ts < INT64:
        return "'timestamp' must be a 64-bit integer"
    if not all(isinstance(text, str) for text in line[1:]):
        return "'msg', 'level' and 'worker' must be text"
    return None
