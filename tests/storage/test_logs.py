"""Log lines page by time in both directions, with all lines that share the last time of a page."""

from __future__ import annotations

import random

import pytest

from quintet.domain.errors import Invalid
from quintet.domain.events import LogLine, LogPage
from quintet.domain.ids import Id
from quintet.storage import logs
from quintet.storage.database import Database
from tests.support.factories import make_run, make_world


@pytest.fixture
def run(db: Database) -> Id:
    return make_run(db, make_world(db)).id


def line(ts: int, msg: str = "") -> LogLine:
    return LogLine(ts, "info", "host", msg or f"at {ts}")


def append(db: Database, run: Id, *lines: LogLine) -> None:
    db.write(lambda tx: logs.append_log(tx, run, lines))


def page(db: Database, run: Id, limit: int, beyond: int | None = None, earlier: bool = True) -> LogPage:
    return db.read(lambda tx: logs.log_page(tx, run, limit=limit, beyond=beyond, earlier=earlier))


def walk(db: Database, run: Id, limit: int, earlier: bool) -> list[LogLine]:
    """All pages put together, oldest line first."""
    found: list[LogLine] = []
    beyond = None
    for _ in range(1_000):
        got = page(db, run, limit, beyond, earlier)
        lines = list(got.lines)
        found = lines + found if earlier else found + lines
        if not got.more:
            assert page(db, run, limit, lines[0 if earlier else -1].ts, earlier).lines == []
            return found
        assert len(lines) >= limit
        beyond = lines[0].ts if earlier else lines[-1].ts
    raise AssertionError("the pages never end")


@pytest.mark.parametrize("earlier", [True, False])
@pytest.mark.parametrize("limit", [1, 7, 1_000])
def test_pages_give_every_line_once_in_order(db: Database, run: Id, limit: int, earlier: bool) -> None:
    rng = random.Random(limit)
    lines = [line(rng.randrange(60), f"line {n}") for n in range(150)]
    position = 0
    while position < len(lines):  # chunks of several sizes that overlap in time
        size = rng.randrange(1, 20)
        append(db, run, *lines[position : position + size])
        position += size
    assert walk(db, run, limit, earlier) == sorted(lines, key=lambda one: one.ts)


def test_ties_stay_on_one_page_beyond_its_size(db: Database, run: Id) -> None:
    append(db, run, *(line(5, f"a{n}") for n in range(3)))
    append(db, run, line(4), line(5, "b"), line(6))
    got = page(db, run, 2)
    assert [one.msg for one in got.lines] == ["a0", "a1", "a2", "b", "at 6"]
    assert (got.total, got.more) == (6, True)
    assert [one.ts for one in page(db, run, 2, beyond=5).lines] == [4]
    assert [one.ts for one in page(db, run, 2, beyond=5, earlier=False).lines] == [6]


def test_large_appends_are_cut_into_chunks(db: Database, run: Id) -> None:
    append(db, run, *(line(n) for n in range(2_500)))
    assert [one.ts for one in db.read(lambda tx: logs.log_tail(tx, run, 3))] == [2_497, 2_498, 2_499]
    assert len(list(db.read(lambda tx: list(logs.all_lines(tx, run))))) == 2_500


def test_the_tail_has_exactly_the_lines_asked_for(db: Database, run: Id) -> None:
    append(db, run, *(line(1, f"m{n}") for n in range(10)))
    assert [one.msg for one in db.read(lambda tx: logs.log_tail(tx, run, 2))] == ["m8", "m9"]


def test_clearing_spares_the_newest_lines_when_told_so(db: Database, run: Id) -> None:
    append(db, run, line(1), line(5), line(9))
    append(db, run, line(2))
    assert db.write(lambda tx: logs.clear_log(tx, run, before=5)) == 2
    assert [one.ts for one in page(db, run, 10).lines] == [5, 9]
    assert db.write(lambda tx: logs.clear_log(tx, run)) == 2
    assert page(db, run, 10) == LogPage([], 0, False)


def test_folding_small_chunks_changes_nothing_that_is_read(db: Database, run: Id) -> None:
    for n in range(logs.FOLD_CHUNKS):
        append(db, run, line(n // 3, f"m{n}"))
    before = page(db, run, 1_000)
    assert db.read(logs.logs_due) == [run]
    assert db.write(lambda tx: logs.fold_log(tx, run)) == logs.FOLD_CHUNKS - 1
    assert page(db, run, 1_000) == before
    assert db.read(logs.logs_due) == []


def test_text_of_any_kind_survives(db: Database, run: Id) -> None:
    text = "two\nlines \x00 \x1b[31mred\x1b[0m 損失 🙂"
    append(db, run, LogLine(1, "", "", text), LogLine(2, "error", "w", "lone \ud800"))
    assert [one.msg for one in page(db, run, 10).lines] == [text, "lone ?"]


@pytest.mark.parametrize("limit", [0, logs.MAX_LINES + 1])
def test_an_absurd_page_is_refused(sqlite_db: Database, limit: int) -> None:
    with pytest.raises(Invalid):
        page(sqlite_db, Id("0" * 24), limit)
