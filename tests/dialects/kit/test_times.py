"""Moments: written as dialects want them, read as users write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quintet.dialects.kit import times
from quintet.domain.errors import Invalid

NEW_YEAR = 1_735_689_600_000_000
MICROS = st.integers(min_value=-62_135_596_800_000_000, max_value=253_402_300_799_999_999)


@pytest.mark.parametrize(
    ("digits", "zone", "text"),
    [
        (3, "Z", "2025-01-01T00:00:00.123Z"),
        (6, "+00:00", "2025-01-01T00:00:00.123456+00:00"),
        (0, "Z", "2025-01-01T00:00:00Z"),
    ],
)
def test_times_are_written_in_the_precision_asked_for(digits: int, zone: str, text: str) -> None:
    assert times.to_rfc3339(NEW_YEAR + 123_456, digits=digits, zone=zone) == text


@given(MICROS)
def test_every_moment_survives_being_written_and_read(us: int) -> None:
    assert times.parse_time(times.to_rfc3339(us, digits=6), "at") == us


@given(MICROS)
def test_what_is_written_is_what_datetime_reads(us: int) -> None:
    read = datetime.fromisoformat(times.to_rfc3339(us, digits=6))
    assert read == datetime(1970, 1, 1, tzinfo=UTC) + times._MICRO * us


@pytest.mark.parametrize(
    ("given_", "us"),
    [
        ("2025-01-01", NEW_YEAR),
        ("2025-01-01T00:00:00Z", NEW_YEAR),
        ("2025-01-01T00:00:00", NEW_YEAR),
        ("2025-01-01 00:00", NEW_YEAR),
        ("2025-01-01T01:00:00+01:00", NEW_YEAR),
        ("2025-01-01t00:00:00.5z", NEW_YEAR + 500_000),
        ("2025-01-01T00:00:00.123456789Z", NEW_YEAR + 123_456),
        (1_735_689_600_000, NEW_YEAR),
        (1_735_689_600_000.0, NEW_YEAR),
        ("1735689600000", NEW_YEAR),
        (-1, -1_000),
    ],
)
def test_users_may_write_times_in_several_ways(given_: object, us: int) -> None:
    assert times.parse_time(given_, "at") == us


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "soon", "2025-13-01", "2025-02-30", "2025-01-01T25:00:00Z"),
        *("2025-01-01T00:00:00+99:00", "0001-01-01T00:00:00+12:00"),
        *(True, None, 1.5, float("nan"), 10**18, "9" * 17),
    ],
)
def test_anything_else_names_the_field(wrong: object) -> None:
    with pytest.raises(Invalid) as caught:
        times.parse_time(wrong, "created_at")
    assert caught.value.field == "created_at"


def test_coarser_units_cut_off() -> None:
    assert times.to_ms(1_999) == 1
    assert times.to_seconds(1_999_999) == 1
    assert times.from_ms(2) == 2_000
    assert times.from_seconds(1.5) == 1_500_000
