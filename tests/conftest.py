"""Fixtures that all tests share. `db` runs a test on both databases; `sqlite_db` where one is enough."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from quintet.storage.database import Database
from tests.support.databases import SKIP, Cluster, postgres_binaries, postgres_cluster, sqlite_template
from tests.support.servers import ServerHandle, running_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """The private PostgreSQL cluster of this test session."""
    binaries = postgres_binaries()
    if binaries is None:
        if os.environ.get(SKIP) == "1":
            pytest.skip("PostgreSQL is not installed")
        pytest.fail(f"PostgreSQL 15 is not installed; set {SKIP}=1 to run without it")
    with postgres_cluster(binaries) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables, to copy."""
    return sqlite_template(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture
def sqlite_db(sqlite_file: Path, tmp_path: Path) -> Iterator[Database]:
    """An empty SQLite database with all tables."""
    path = tmp_path / "quintet.db"
    shutil.copyfile(sqlite_file, path)
    database = Database(f"sqlite:///{path}")
    yield database
    database.close()


@pytest.fixture
def postgres_db(postgres: Cluster) -> Iterator[Database]:
    """An empty PostgreSQL database with all tables."""
    url = postgres.clone()
    database = Database(url)
    yield database
    database.close()
    postgres.drop(url)


@pytest.fixture(params=["sqlite", "postgres"])
def db(request: pytest.FixtureRequest) -> Database:
    """An empty database with all tables, of each kind."""
    database = request.getfixturevalue(f"{request.param}_db")
    assert isinstance(database, Database)
    return database


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerHandle]:
    """A running server on a fresh data folder, shared by the tests of a module."""
    with running_server(tmp_path_factory.mktemp("server")) as handle:
        yield handle
