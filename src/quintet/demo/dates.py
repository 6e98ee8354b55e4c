"""Pairs of a date as people write it and the same date in ISO form: the demo's task for a very small model.

The task is chosen because its answer can be checked exactly, needs no licence, and is learnt by a model of
under a million parameters in about a minute on two cores. Standard library only, so that the demo can make
its data before anything heavy is installed.

A date is either for training or held out, decided by the date alone. So whatever numbers and seeds are asked
for, no date of a held-out pair was ever trained on in any format.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta
from typing import NamedTuple

FIRST_DAY = date(1900, 1, 1)
DAYS = (date(2100, 1, 1) - FIRST_DAY).days
"""Two centuries: 73,049 dates, so that a model must learn to read them and cannot learn them by heart."""

HELD_OUT_SHARE = 10
"""One date in this many is held out."""

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Pair(NamedTuple):
    """`prompt` is a date in one of `FORMATS`, `answer` the same date as YYYY-MM-DD."""

    prompt: str
    answer: str


def training_pairs(n: int, seed: int) -> list[Pair]:
    """`n` pairs of dates that are never held out. The same seed gives the same pairs."""
    return _pairs(n, seed, held_out=False)


def held_out_pairs(n: int, seed: int) -> list[Pair]:
    """`n` pairs of dates that are never trained on. The same seed gives the same pairs."""
    return _pairs(n, seed, held_out=True)


def is_held_out(day: date) -> bool:
    """Whether this date belongs to the held-out tenth."""
    # A multiplicative hash spreads the held-out dates; a plain remainder would hold out whole patterns
    # (every tenth day), and a model could fail on them for a reason that is no lack of skill.
    mixed = ((day - FIRST_DAY).days * 2_654_435_761) & 0xFFFF_FFFF
    return (mixed >> 16) % HELD_OUT_SHARE == 0


def _pairs(n: int, seed: int, *, held_out: bool) -> list[Pair]:
    rng = random.Random(f"{seed}:{'held out' if held_out else 'training'}")
    pairs: list[Pair] = []
    while len(pairs) < n:
        day = FIRST_DAY + timedelta(days=rng.randrange(DAYS))
        if is_held_out(day) == held_out:
            pairs.append(Pair(rng.choice(FORMATS)(day), day.isoformat()))
    return pairs


def _ordinal(day: int) -> str:
    if 11 <= day <= 13:
        return f"{day}th"
    return f"{day}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(day % 10, 'th') }"


def _month(day: date) -> str:
    return MONTHS[day.month - 1]


FORMATS: tuple[Callable[[date], str], ...] = (
    lambda d: f"{_ordinal(d.day)} of {_month(d)}, {d.year}",
    lambda d: f"{_month(d)} {d.day}, {d.year}",
    lambda d: f"{d.day} {_month(d)} {d.year}",
    lambda d: f"{_month(d)[:3]} {_ordinal(d.day)}, {d.year}",
    lambda d: f"{d.day:02d}-{_month(d)[:3]}-{d.year}",
    lambda d: f"{d.day}.{d.month}.{d.year}",
    lambda d: f"{d.year}/{d.month}/{d.day}",
    lambda d: f"{WEEKDAYS[d.weekday()]}, {_month(d)} {d.day}, {d.year}",
    lambda d: f"the {_ordinal(d.day)} of {_month(d)} {d.year}",
    lambda d: f"{d.year}{d.month:02d}{d.day:02d}",
    lambda d: f"{_month(d).upper()} {_ordinal(d.day).upper()} {d.year}",
)
"""The ways to write a date. None is ambiguous: where only digits appear, the order is day.month or year first."""
