"""What runs report beside scalars: lines of log, and plots, images and vectors at an iteration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from quintet.domain.ids import Id


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
class RunEvent:
    """Something to show at an iteration. One with the same type, metric, variant, iteration and key replaces it.

    `data` is JSON text (a plot's figure, a vector's numbers); `url` is where an image lies, `key` its name
    there. `seq` grows with each event that is stored; 0 before it is.
    """

    run_id: Id
    type: EventType
    metric: str
    variant: str
    iter: int
    ts: int
    key: str = ""
    url: str = ""
    data: str = ""
    seq: int = 0


class EventKey(NamedTuple):
    """Where there are events: `count` of them at this metric, variant and iteration."""

    metric: str
    variant: str
    iter: int
    count: int
