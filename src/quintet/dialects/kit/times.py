"""Between the core's microseconds and the ways in which dialects and users write a moment."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from quintet.domain.errors import Invalid

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_MAX_US = 253_402_300_799_999_999
_MIN_US = -62_135_596_800_000_000
"""Years 1 to 9999, which is what RFC 3339 can write."""

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_RFC3339 = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})[Tt ](?P<clock>\d{2}:\d{2}(?::\d{2})?)(?:[.,](?P<fraction>\d{1,9}))?"
    r"(?P<zone>[Zz]|[+-]\d{2}:?\d{2})?"
)


def to_rfc3339(us: int, *, digits: int = 3, zone: str = "Z") -> str:
    """`2025-01-01T00:00:00.123Z`; `digits` of the fraction are 0, 3 or 6, cut off and not rounded."""
    text = (_EPOCH + us * _MICRO).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    fraction = f".{us % 1_000_000:06d}"[: digits + 1] if digits else ""
    return f"{text}{fraction}{zone}"


def to_ms(us: int) -> int:
    """Milliseconds since the epoch."""
    return us // 1_000


def from_ms(ms: int) -> int:
    return ms * 1_000


def to_seconds(us: int) -> int:
    """Whole seconds since the epoch."""
    return us // 1_000_000


def from_seconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


def parse_rfc3339(text: str, field: str) -> int:
    """Microseconds; a time without a zone is UTC. Invalid names `field`."""
    found = _RFC3339.fullmatch(text.strip())
    if found is None:
        raise Invalid(f"'{text[:60]}' is not a time such as 2025-01-31T12:00:00Z", field=field)
    zone = (found["zone"] or "Z").upper()
    offset = "+00:00" if zone == "Z" else zone
    try:
        whole = datetime.fromisoformat(f"{found['day']}T{found['clock']}{offset}")
        us = (whole - _EPOCH) // _MICRO
    except (ValueError, OverflowError) as error:
        raise Invalid(f"'{text[:60]}' is not a moment of the calendar", field=field) from error
    return _in_range(us + int((found["fraction"] or "0").ljust(6, "0")[:6]), field)


def parse_time(value: object, field: str) -> int:
    """Microseconds of a time as users write it: RFC 3339, `YYYY-MM-DD` (start of the day, UTC), or integer
    milliseconds as number or digits. Invalid names `field`.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Invalid("a time is a string or a number of milliseconds", field=field)
    if isinstance(value, float):
        if not value.is_integer():
            raise Invalid("milliseconds must be a whole number", field=field)
        value = int(value)
    if isinstance(value, int):
        return _in_range(value * 1_000, field)
    text = value.strip()
    if re.fullmatch(r"-?[0-9]{1,17}", text):
        return _in_range(int(text) * 1_000, field)
    if _DATE.fullmatch(text):
        return parse_rfc3339(f"{text}T00:00:00Z", field)
    return parse_rfc3339(text, field)


def _in_range(us: int, field: str) -> int:
    if not _MIN_US <= us <= _MAX_US:
        raise Invalid("the time is outside the years 1 to 9999", field=field)
    return us
