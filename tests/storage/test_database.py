"""Transactions: what a commit promises, and that a failing neighbour harms nobody."""

import asyncio
import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from quintet.domain.errors import Conflict, Invalid, Unavailable
from quintet.storage import identity as store
from quintet.storage.database import Database
from quintet.storage.tx import ReadTx, WriteTx


def put(tx: WriteTx, name: str) -> None:
    store.put_setting(tx, "", name, name, 1)


def names(tx: ReadTx) -> list[str]:
    return [r["name"] for r in tx.all(text("SELECT name FROM settings ORDER BY name"))]


def test_a_write_is_read_back(db: Database) -> None:
    db.write(lambda tx: put(tx, "a"))
    assert db.read(names) == ["a"]


def test_a_failing_use_case_changes_nothing(db: Database) -> None:
    def fails(tx: WriteTx) -> None:
        put(tx, "lost")
        raise Invalid("no", field="x")

    with pytest.raises(Invalid):
        db.write(fails)
    assert db.read(names) == []


def test_a_failing_member_leaves_its_batch_intact(db: Database) -> None:
    async def many() -> list[BaseException | None]:
        def work(number: int) -> None:
            def one(tx: WriteTx) -> None:
                put(tx, f"{number:03}")
                if number % 3 == 0:
                    raise Invalid("every third one fails", field="n")

            return db.awrite(one)  # type: ignore[return-value]

        return await asyncio.gather(*(work(n) for n in range(60)), return_exceptions=True)  # type: ignore[call-overload,no-any-return]

    outcomes = asyncio.run(many())
    assert [isinstance(o, Invalid) for o in outcomes] == [n % 3 == 0 for n in range(60)]
    assert db.read(names) == [f"{n:03}" for n in range(60) if n % 3]


def test_a_broken_uniqueness_is_a_conflict_and_the_rest_goes_on(db: Database) -> None:
    row = {"space_id": "", "name": "one", "value": "1", "updated_at": 1}
    insert = text("INSERT INTO settings (space_id, name, value, updated_at) VALUES (:space_id, :name, :value, :updated_at)")
    db.write(lambda tx: tx.write(insert, row))
    with pytest.raises(Conflict):
        db.write(lambda tx: tx.write(insert, row))
    db.write(lambda tx: put(tx, "two"))
    assert db.read(names) == ["one", "two"]


def test_a_reader_sees_one_state(db: Database) -> None:
    db.write(lambda tx: put(tx, "before"))

    def look(tx: ReadTx) -> tuple[list[str], list[str]]:
        first = names(tx)
        writer = threading.Thread(target=lambda: db.write(lambda w: put(w, "during")))
        writer.start()
        writer.join(10)
        return first, names(tx)

    assert db.read(look) == (["before"], ["before"])
    assert db.read(names) == ["before", "during"]


def test_a_reader_cannot_write(db: Database) -> None:
    with pytest.raises(Exception, match=r"(?i)read-?\s?only|readonly"):
        db.read(lambda tx: tx.execute(text("DELETE FROM settings")))


def test_writers_of_many_threads_lose_nothing(db: Database) -> None:
    def count(tx: WriteTx) -> None:
        seen = store.get_setting(tx, "", "n") or 0
        store.put_setting(tx, "", "n", seen + 1, 1)

    if db.kind == "postgres":
        db.write(lambda tx: store.put_setting(tx, "", "n", 0, 1))
        locked = text("SELECT value FROM settings WHERE name = 'n' FOR UPDATE")

        def count(tx: WriteTx) -> None:
            tx.execute(locked)
            seen = store.get_setting(tx, "", "n") or 0
            store.put_setting(tx, "", "n", seen + 1, 1)

    threads = [threading.Thread(target=lambda: [db.write(count) for _ in range(25)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert db.read(lambda tx: store.get_setting(tx, "", "n")) == 200


def test_what_was_acknowledged_is_on_the_disk_before_the_answer(tmp_path: Path, sqlite_db: Database) -> None:
    mode = sqlite_db.write(lambda tx: (tx.scalar(text("PRAGMA synchronous")), tx.scalar(text("PRAGMA journal_mode"))))
    assert mode == (2, "wal")


def test_a_closed_database_refuses_and_finishes_what_it_had(sqlite_db: Database) -> None:
    started = threading.Event()
    go = threading.Event()

    def slow(tx: WriteTx) -> None:
        started.set()
        go.wait(10)
        put(tx, "slow")

    writer = threading.Thread(target=lambda: sqlite_db.write(slow))
    writer.start()
    started.wait(10)
    closer = threading.Thread(target=sqlite_db.close)
    closer.start()
    go.set()
    writer.join(10)
    closer.join(10)
    with pytest.raises(Unavailable):
        sqlite_db.write(lambda tx: put(tx, "late"))
    again = Database(sqlite_db.url)
    assert again.read(names) == ["slow"]
    again.close()
