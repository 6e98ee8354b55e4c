"""A server process for each test, gone at its end with everything that it started."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.crash.processes import Server
from tests.support.databases import Cluster

# They look into /proc, and limit what another process may write.
collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes servers that are not started yet: `make_server(workers=1)`."""
    made: list[Server] = []

    def make(**options: Any) -> Server:
        folder = tmp_path / f"server{len(made)}"
        folder.mkdir()
        made.append(Server(folder, **options))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The setting `database`: nothing for SQLite in the data folder, or the URL of an empty PostgreSQL database."""
    if request.param == "sqlite":
        yield ""
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    url = cluster.clone(empty=True)
    yield url.replace("postgresql+psycopg://", "postgresql://")
    cluster.drop(url)
