"""Buckets of time as people mean them: days and months of a time zone, not numbers of seconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import assert_never
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from quintet.domain.errors import Invalid

HOUR_US = 3_600_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Bucket(StrEnum):
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    MILLENNIUM = "millennium"
    ALL = "all"


def zone(name: str | None) -> ZoneInfo:
    """A time zone by its name, UTC where none is given; Invalid for an unknown one."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid(f"'{name}' is no time zone", field="timezone") from error


def bucket_start(at: int, bucket: Bucket, where: ZoneInfo) -> int:
    """When the bucket that `at` lies in begins, both in microseconds. Weeks begin on Monday; ALL at the epoch."""
    moment = (_EPOCH + timedelta(microseconds=at)).astimezone(where)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    match bucket:
        case Bucket.HOUR:
            start = moment.replace(minute=0, second=0, microsecond=0)
        case Bucket.DAY:
            start = day
        case Bucket.WEEK:
            start = day - timedelta(days=day.weekday())
        case Bucket.MONTH:
            start = day.replace(day=1)
        case Bucket.QUARTER:
            start = day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
        case Bucket.YEAR:
            start = day.replace(month=1, day=1)
        case Bucket.MILLENNIUM:
            start = day.replace(year=max(day.year // 1_000 * 1_000, 1), month=1, day=1)
        case Bucket.ALL:
            return 0
        case unreachable:
            assert_never(unreachable)
    return (start.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
