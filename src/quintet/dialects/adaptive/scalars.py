"""The scalars of the schema: milliseconds and RFC 3339 outside, microseconds inside."""

from __future__ import annotations

import calendar
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from quintet.dialects.adaptive.ids import check_uuid
from quintet.dialects.kit.graphql import GraphqlBinder
from quintet.dialects.kit.times import parse_time, to_ms, to_rfc3339, to_seconds
from quintet.domain.errors import Invalid

_RELATIVE = re.compile(r"now(?:\s*(?P<sign>[+-])\s*(?P<count>\d{1,6})\s*(?P<unit>[a-z]+?)s?)?", re.IGNORECASE)
_UNITS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


def bind_scalars(binder: GraphqlBinder) -> None:
    """Tells the binder how every scalar of the contract is written and read."""
    binder.scalar("Timestamp", serialize=to_ms, parse=_time)
    binder.scalar("TimestampSec", serialize=to_seconds)
    binder.scalar("DateTime", serialize=to_rfc3339, parse=_time)
    binder.scalar("InputDatetime", parse=_time)
    binder.scalar("UUID", parse=_uuid)
    binder.scalar("IdOrKey", parse=_id_or_key)
    binder.scalar("JsObject", parse=_object)


def _uuid(value: Any) -> str:
    return check_uuid(value, "id")


def _id_or_key(value: Any) -> str:
    if not isinstance(value, str) or not value or len(value) > 1_000:
        raise Invalid("an id or a key is a text of 1 to 1000 characters")
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Invalid("expected an object")
    return value


def _time(value: Any) -> int:
    found = _RELATIVE.fullmatch(value.strip()) if isinstance(value, str) else None
    return parse_time(value, "time") if found is None else _moved(found)


def parse_moment(value: Any, field: str) -> int:
    """Microseconds of a time as users write it, `now - 1 month` among others. Invalid names `field`."""
    found = _RELATIVE.fullmatch(value.strip()) if isinstance(value, str) else None
    return parse_time(value, field) if found is None else _moved(found)


def _moved(found: re.Match[str]) -> int:
    """`now`, or so many units before or after it; months by the calendar."""
    now = datetime.fromtimestamp(time.time(), UTC)
    if found["count"] is not None:
        count = int(found["count"]) * (-1 if found["sign"] == "-" else 1)
        unit = found["unit"].lower()
        try:
            if unit in _UNITS:
                now += timedelta(seconds=count * _UNITS[unit])
            elif unit in _MONTHS:
                now = _by_months(now, count * _MONTHS[unit])
            else:
                raise Invalid(f"'{unit}' is no unit of time", field="time")
        except (OverflowError, ValueError) as error:
            raise Invalid("the time is outside the calendar", field="time") from error
    return int(now.timestamp() * 1_000_000)


def _by_months(moment: datetime, months: int) -> datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)
