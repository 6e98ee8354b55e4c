"""The engine policy: how the two databases are opened, who writes when, and what a commit promises.

SQLite: WAL, `synchronous=FULL`, one writer thread with group commit, a pool of read-only connections.
PostgreSQL: a pool of connections, one transaction for each use case, its own durability.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool, QueuePool

from quintet.domain.errors import QuintetError, Unavailable
from quintet.storage.tx import EngineKind, ReadTx, WriteTx

R = TypeVar("R")
log = logging.getLogger("quintet.storage")

READERS = 8
"""Read connections on SQLite. Each is a thread; WAL itself sets no limit; 2 cores gain nothing past this."""

BATCH = 256
"""The most use cases in one commit on SQLite: bounds how long the first of a batch waits for the last."""

BUSY_MS = 10_000
"""How long SQLite waits for another process's lock (`quintet key create` beside a running server)."""

POSTGRES_POOL = 10
"""Connections to PostgreSQL for each server process; its default limit is 100 for everyone together."""

DEADLOCK = "40P01"
DEADLOCK_TRIES = 3
"""How often PostgreSQL may pick a transaction as the one to give up before its caller hears of it. Use cases hold
rows in one order, so that this is rare; two tries at it are enough even with dozens of writers."""

to_json = functools.partial(json.dumps, ensure_ascii=False, separators=(",", ":"))
"""How JSON columns are written: unescaped, so that full-text search sees words and not `\\u00e9`."""

MMAP_BYTES = 256 * 1024 * 1024
"""How much of the file SQLite may map: reads of blocks then copy once. Address space only, not memory."""


class Database:
    """An open database. `read` and `write` block and are for threads; the `a…` twins are for the event loop."""

    def __init__(self, url: str) -> None:
        self.url = url
        parsed = make_url(url)
        self.kind = EngineKind.SQLITE if parsed.get_backend_name() == "sqlite" else EngineKind.POSTGRES
        if self.kind is EngineKind.SQLITE:
            self._open_sqlite(Path(parsed.database or ""))
        else:
            engine = create_engine(
                parsed.set(drivername="postgresql+psycopg"),
                pool_size=POSTGRES_POOL,
                max_overflow=0,
                pool_timeout=30,
                pool_pre_ping=True,
                json_serializer=to_json,
                connect_args={"connect_timeout": 10},
            )
            self.writer_engine = self.reader_engine = engine
            self._threads = ThreadPoolExecutor(POSTGRES_POOL, thread_name_prefix="quintet-pg")
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._writer: threading.Thread | None = None
        self._start_lock = threading.Lock()
        self._closed = False

    def _open_sqlite(self, path: Path) -> None:
        self.writer_engine = create_engine(
            f"sqlite:///{path}",
            poolclass=NullPool,
            connect_args={"check_same_thread": False, "timeout": BUSY_MS / 1000},
            json_serializer=to_json,
        )
        self.reader_engine = create_engine(
            f"sqlite:///file:{path}?mode=ro&uri=true",
            poolclass=QueuePool,
            pool_size=READERS,
            max_overflow=0,
            connect_args={"check_same_thread": False, "timeout": BUSY_MS / 1000},
            json_serializer=to_json,
        )
        event.listen(self.writer_engine, "connect", _writer_pragmas)
        event.listen(self.reader_engine, "connect", _reader_pragmas)
        # The driver would open transactions by its own rules; ours are explicit, so that all statements of a
        # read see one state and a write takes its lock at once.
        event.listen(self.reader_engine, "begin", lambda c: c.exec_driver_sql("BEGIN"))
        event.listen(self.writer_engine, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE"))
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="quintet-read")

    # -- reading ---------------------------------------------------------------------------------------------

    def read(self, work: Callable[[ReadTx], R]) -> R:
        """Runs `work` in one read-only view of the database."""
        try:
            with self.reader_engine.connect() as connection, connection.begin():
                if self.kind is EngineKind.POSTGRES:
                    connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                return work(ReadTx(connection, self.kind))
        except (DBAPIError, PoolTimeout) as error:
            raise _translate(error) from error

    async def aread(self, work: Callable[[ReadTx], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.read, work)

    # -- writing ---------------------------------------------------------------------------------------------

    def write(self, work: Callable[[WriteTx], R]) -> R:
        """Runs `work` in a transaction of its own and returns when it is durable."""
        if self.kind is EngineKind.POSTGRES:
            return self._write_postgres(work)
        return self._submit(work).result()

    async def awrite(self, work: Callable[[WriteTx], R]) -> R:
        if self.kind is EngineKind.POSTGRES:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._write_postgres, work)
        return await asyncio.wrap_future(self._submit(work))

    def _write_postgres(self, work: Callable[[WriteTx], R]) -> R:
        for left in reversed(range(DEADLOCK_TRIES)):
            try:
                with self.writer_engine.connect() as connection, connection.begin():
                    return work(WriteTx(connection, self.kind))
            except (DBAPIError, PoolTimeout) as error:
                # Nothing of the transaction was kept, so the same work can simply be done again.
                if not left or getattr(getattr(error, "orig", None), "sqlstate", None) != DEADLOCK:
                    raise _translate(error) from error
        raise AssertionError("the last try returns or raises")

    def _submit(self, work: Callable[[WriteTx], R]) -> Future[R]:
        if self._writer is None:
            with self._start_lock:
                if self._writer is None and not self._closed:
                    self._writer = threading.Thread(target=self._write_loop, name="quintet-writer", daemon=True)
                    self._writer.start()
        if self._closed:
            raise Unavailable("the server is shutting down")
        job = _Job(work)
        self._queue.put(job)
        return job.future

    def _write_loop(self) -> None:
        connection: Connection | None = None
        try:
            while (first := self._queue.get()) is not None:
                batch = [first]
                ended = False
                while len(batch) < BATCH:
                    try:
                        job = self._queue.get_nowait()
                    except Empty:
                        break
                    if job is None:
                        ended = True
                        break
                    batch.append(job)
                connection = self._commit_batch(connection, batch)
                if ended:
                    return
        finally:
            if connection is not None:
                connection.close()

    def _commit_batch(self, connection: Connection | None, batch: list[_Job]) -> Connection | None:
        """One commit for the batch; each job in its own savepoint, so that a failure undoes only itself.

        Returns the connection for the next batch, or None where that one has to open a new one. Opening is part
        of the batch: where it fails (a full disk, a folder that went away), callers hear of it and the writer lives.
        """
        try:
            if connection is None:
                connection = self.writer_engine.connect()
            with connection.begin():
                tx = WriteTx(connection, self.kind)
                for job in batch:
                    job.run(tx)
        except BaseException as error:
            failure = _translate(error) if isinstance(error, DBAPIError) else error
            for job in batch:
                job.fail(failure)
            if connection is not None:
                with contextlib.suppress(SQLAlchemyError):
                    connection.close()
            return None
        for job in batch:
            job.settle()
        return connection

    def close(self) -> None:
        """Finishes what was accepted, then closes; what comes later is refused."""
        with self._start_lock:
            self._closed = True
        if self._writer is not None:
            self._queue.put(None)
            self._writer.join()
        self._threads.shutdown(wait=True)
        self.reader_engine.dispose()
        self.writer_engine.dispose()


class _Job:
    """A use case that waits for the writer, its outcome, and the future that hears of it after the commit."""

    __slots__ = ("error", "future", "result", "work")

    def __init__(self, work: Callable[[WriteTx], Any]) -> None:
        self.work = work
        self.future: Future[Any] = Future()
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self, tx: WriteTx) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        # Driver-level SQL: SQLAlchemy's nested transaction objects cost as much as a small insert.
        tx.connection.exec_driver_sql("SAVEPOINT job")
        try:
            self.result = self.work(tx)
        except BaseException as error:
            self.error = error
            try:
                tx.connection.exec_driver_sql("ROLLBACK TO job")
            except DBAPIError:
                # A full or failing disk makes SQLite undo the whole transaction, savepoints too: the batch is lost,
                # and what its callers should hear is why.
                raise error from None
        tx.connection.exec_driver_sql("RELEASE job")

    def fail(self, error: BaseException) -> None:
        # A caller may give up at this very moment; then nobody waits for the error.
        with contextlib.suppress(InvalidStateError):
            self.future.set_exception(error)

    def settle(self) -> None:
        if self.future.cancelled():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            error = self.error
            self.future.set_exception(_translate(error) if isinstance(error, DBAPIError) else error)


def _writer_pragmas(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # FULL: the commit is on the disk before it is acknowledged; group commit is what makes it affordable.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    cursor.execute(f"PRAGMA mmap_size={MMAP_BYTES}")
    # Pages, not bytes (negative would be KiB): 16 MiB of cache for the one writer.
    cursor.execute("PRAGMA cache_size=-16384")
    cursor.close()


def _reader_pragmas(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    cursor.execute(f"PRAGMA mmap_size={MMAP_BYTES}")
    cursor.close()


def _translate(error: BaseException) -> BaseException:
    """What a database failure means to a caller; anything we cannot name stays as it is (a bug, masked later)."""
    if isinstance(error, QuintetError):
        return error
    said = str(getattr(error, "orig", error)).lower()
    if "disk is full" in said or "no space left" in said:
        return Unavailable("the disk that holds the database is full; free some space and try again")
    if "disk i/o error" in said:
        return Unavailable("the disk that holds the database cannot be written or read; check it and try again")
    if "unable to open database file" in said:
        return Unavailable("the database file cannot be opened; check that the data folder is there and writable")
    if "readonly" in said or "read-only" in said:
        return Unavailable("the database is read-only; make the data folder writable")
    if "locked" in said:
        return Unavailable("the database is locked by another process; try again")
    if isinstance(error, PoolTimeout):
        return Unavailable("every connection to the database is in use; try again")
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return Unavailable("the database connection was lost; try again")
    return error


def ping(database: Database) -> None:
    """Raises where the database does not answer."""
    database.read(lambda tx: tx.scalar(text("SELECT 1")))


def raw_engine(database: Database) -> Engine:
    """The writing engine, for migrations."""
    return database.writer_engine
