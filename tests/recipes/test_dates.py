"""The demo's pairs of dates."""

from __future__ import annotations

from datetime import date, timedelta

from quintet.demo.dates import DAYS, FIRST_DAY, FORMATS, held_out_pairs, is_held_out, training_pairs


def test_no_held_out_date_is_ever_trained_on() -> None:
    training = {p.answer for seed in range(3) for p in training_pairs(5000, seed)}
    held_out = {p.answer for seed in range(3) for p in held_out_pairs(5000, seed)}
    assert not training & held_out
    assert len(training) > 10_000


def test_the_same_seed_gives_the_same_pairs_and_another_others() -> None:
    assert training_pairs(50, 7) == training_pairs(50, 7)
    assert training_pairs(50, 7) != training_pairs(50, 8)
    assert len(held_out_pairs(50, 7)) == 50


def test_a_tenth_of_the_dates_is_held_out_in_every_part_of_the_calendar() -> None:
    held_out = [day for n in range(DAYS) if is_held_out(day := FIRST_DAY + timedelta(days=n))]
    assert 0.09 < len(held_out) / DAYS < 0.11
    for month in range(1, 13):
        assert 0.07 < sum(day.month == month for day in held_out) / (DAYS / 12) < 0.13
    for number in range(1, 29):
        assert 0.07 < sum(day.day == number for day in held_out) / (DAYS / 30.4) < 0.13


def test_a_date_in_every_format() -> None:
    assert [write(date(2021, 3, 3)) for write in FORMATS] == [
        "3rd of March, 2021",
        "March 3, 2021",
        "3 March 2021",
        "Mar 3rd, 2021",
        "03-Mar-2021",
        "3.3.2021",
        "2021/3/3",
        "Wednesday, March 3, 2021",
        "the 3rd of March 2021",
        "20210303",
        "MARCH 3RD 2021",
    ]
    assert [FORMATS[3](date(2000, 1, day)).split()[1] for day in (1, 2, 11, 12, 13, 21, 22, 23, 31)] == [
        "1st,", "2nd,", "11th,", "12th,", "13th,", "21st,", "22nd,", "23rd,", "31st,"
    ]  # fmt: skip


def test_a_prompt_never_means_two_dates() -> None:
    seen: dict[str, str] = {}
    for n in range(DAYS):
        day = FIRST_DAY + timedelta(days=n)
        for write in FORMATS:
            assert seen.setdefault(write(day), day.isoformat()) == day.isoformat()
