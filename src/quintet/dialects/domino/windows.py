"""The time windows of cost questions, in the grammar of Kubecost, and their daily steps."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from quintet.dialects.kit.times import parse_rfc3339
from quintet.domain.errors import Invalid

_LENGTH = re.compile(r"(?P<count>[0-9]{1,4})(?P<unit>[mhdw])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_SECOND = 1_000_000
NAMED = ("today", "yesterday", "week", "month", "lastweek", "lastmonth")


def parse_window(text: str, now: int) -> tuple[int, int]:
    """(since, until) in µs; days begin at midnight UTC and weeks on Sunday. Invalid names `window`."""
    text = text.strip()
    if (found := _LENGTH.fullmatch(text)) is not None:
        length = int(found["count"]) * _UNITS[found["unit"]]
        if not length:
            raise Invalid("the window has no length", field="window")
        return now - int(length.total_seconds()) * _SECOND, now
    if "," in text:
        return _between(text)
    if text not in NAMED:
        raise Invalid(
            f"'{text[:60]}' is no window; give one of {', '.join(NAMED)}, a length such as 30m, 12h or 7d, "
            "or two times joined by a comma",
            field="window",
        )
    return _named(text, now)


def _between(text: str) -> tuple[int, int]:
    first, _, second = text.partition(",")
    since, until = (_moment(part.strip()) for part in (first, second))
    if since >= until:
        raise Invalid("the window ends before it begins", field="window")
    return since, until


def _moment(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 11:
        return int(text) * _SECOND
    return parse_rfc3339(text, "window")


def _named(name: str, now: int) -> tuple[int, int]:
    day = datetime.fromtimestamp(now // _SECOND, UTC).replace(hour=0, minute=0, second=0)
    sunday = day - timedelta(days=(day.weekday() + 1) % 7)
    first = day.replace(day=1)
    next_month = (first + timedelta(days=32)).replace(day=1)
    last_month = (first - timedelta(days=1)).replace(day=1)
    one, week = timedelta(days=1), timedelta(days=7)
    bounds = {
        "today": (day, day + one),
        "yesterday": (day - one, day),
        "week": (sunday, sunday + week),
        "lastweek": (sunday - week, sunday),
        "month": (first, next_month),
        "lastmonth": (last_month, first),
    }[name]
    return _us(bounds[0]), _us(bounds[1])


def _us(moment: datetime) -> int:
    return int(moment.timestamp()) * _SECOND


def daily(since: int, until: int) -> list[tuple[int, int]]:
    """The window cut at every midnight UTC."""
    day = 86_400 * _SECOND
    cuts = [since, *range((since // day + 1) * day, until, day), until]
    return list(pairwise(cuts))
