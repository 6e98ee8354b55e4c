"""Both databases for tests: each test gets an empty one of its own, cloned from a template made once.

PostgreSQL is a private cluster in a temporary folder, reached by a Unix socket, without fsync. It refuses to
run as root, so root starts it as another user.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from quintet.storage.database import Database
from quintet.storage.schema import create_all

BINARIES = Path("/usr/lib/postgresql/15/bin")
TEMPLATE = "quintet_template"
SKIP = "QUINTET_TEST_NO_POSTGRES"


def postgres_binaries() -> Path | None:
    """Where PostgreSQL's programs are, or None where it is not installed."""
    if (BINARIES / "initdb").exists():
        return BINARIES
    found = shutil.which("initdb")
    return Path(found).parent if found else None


def _other_user() -> str | None:
    """Whom to run PostgreSQL as: ourselves, unless we are root."""
    if os.geteuid() != 0:
        return None
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


class Cluster:
    """A running PostgreSQL with one template database that holds all tables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made = 0

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://quintet@/{name}?host={self.folder}"

    def _admin(self, statement: str) -> None:
        with psycopg.connect(f"host={self.folder} user=quintet dbname=postgres", autocommit=True) as connection:
            connection.execute(statement.encode())

    def make_template(self) -> None:
        self._admin(f"CREATE DATABASE {TEMPLATE}")
        database = Database(self.url(TEMPLATE))
        create_all(database)
        database.close()

    def clone(self, *, empty: bool = False) -> str:
        """A fresh database with all tables (with `empty`, none) and its URL."""
        self._made += 1
        name = f"test_{self._made}"
        self._admin(f"CREATE DATABASE {name} TEMPLATE {'template0' if empty else TEMPLATE}")
        return self.url(name)

    def drop(self, url: str) -> None:
        name = make_url(url).database
        self._admin(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextmanager
def postgres_cluster(binaries: Path) -> Iterator[Cluster]:
    """Starts a cluster and stops it again, whatever happens in between."""
    folder = Path(tempfile.mkdtemp(prefix="quintet-pg-"))
    user = _other_user()
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"

    def call(*command: str) -> None:
        done = subprocess.run(command, cwd="/", user=user, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]} failed: {done.stdout}\n{done.stderr}")

    settings = (
        f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c synchronous_commit=off "
        "-c full_page_writes=off -c max_connections=60 -c shared_buffers=32MB -c autovacuum=off"
    )
    try:
        call(
            str(binaries / "initdb"), "-D", str(data), "-U", "quintet", "-A", "trust", "-E", "UTF8",
            "--locale=C", "--no-sync",
        )  # fmt: skip
        call(str(binaries / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log"), "-o", settings, "start")
        try:
            cluster = Cluster(folder)
            cluster.make_template()
            yield cluster
        finally:
            call(str(binaries / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sqlite_template(folder: Path) -> Path:
    """A file with all tables, to copy; closed, so that nothing is left in its write-ahead log."""
    path = folder / "template.db"
    database = Database(f"sqlite:///{path}")
    create_all(database)
    database.close()
    return path
