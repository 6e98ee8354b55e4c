"""A disk that fills while the server runs: writes are refused by name, reads go on, and room mends it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.disks import fill, small_disk
from tests.support.factories import make_world, read_as, write_as
from tests.support.servers import ServerHandle, running_server

from quintet.app.identity import accounts
from quintet.app.projects.manage import CreateProject, create_project, list_projects
from quintet.app.serving.deployments import CreateEndpoint, create_endpoint
from quintet.domain.errors import Unavailable
from quintet.server import serve
from quintet.storage.database import Database

CHAT = "/v1/chat/completions"
HELLO = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "8m") as folder:
        yield folder


@pytest.fixture
def server(disk: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerHandle]:
    monkeypatch.setattr(serve, "DIALECTS", ("llama_stack",))
    with running_server(disk) as handle:
        handle.core.write_now(handle.admin, create_endpoint, CreateEndpoint("echo", "test", "echo", engine="fake"))
        yield handle


def test_writes_are_refused_by_name_until_there_is_room_again(server: ServerHandle, disk: Path) -> None:
    fresh = server.core.write_now(server.admin, accounts.create_key, "used for the first time on a full disk")
    assert server.call("POST", CHAT, HELLO).status == 200
    junk = fill(disk)

    def write_on() -> None:
        for number in range(5000):  # until the write-ahead log has no room left in its file either
            server.core.write_now(server.admin, accounts.create_key, f"key {number} " + "x" * 900)

    with pytest.raises(Unavailable, match="disk"):
        write_on()
    refused = server.call("POST", CHAT, {**HELLO, "messages": [{"role": "user", "content": "hello " * 2000}]})
    assert refused.status == 503
    assert "disk" in refused.json["error"]["message"]
    assert server.call("GET", "/v1/models", key=fresh.key).status == 200
    assert server.call("GET", "/health").status == 200
    junk.unlink()
    assert server.call("POST", CHAT, HELLO).status == 200


def test_a_database_that_may_not_grow_keeps_what_was_acknowledged(sqlite_db: Database) -> None:
    world = make_world(sqlite_db)
    pages = sqlite_db.read(lambda tx: tx.connection.exec_driver_sql("PRAGMA page_count").scalar())
    # Of the writer's connection, which is kept until something fails on it.
    sqlite_db.write(lambda tx: tx.connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}"))
    kept = {world.project.name}

    def write_on() -> None:
        for number in range(500):
            name = f"{number} " + "x" * 900
            write_as(sqlite_db, world.actor, create_project, CreateProject(name))
            kept.add(name)

    with pytest.raises(Unavailable, match="full"):
        write_on()
    assert {p.name for p in read_as(sqlite_db, world.actor, list_projects)[0]} == kept
    write_as(sqlite_db, world.actor, create_project, CreateProject("after there was room again"))


def test_a_folder_that_went_away_is_an_error_and_not_a_wait(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'gone' / 'quintet.db'}")
    for _ in range(2):
        with pytest.raises(Unavailable, match="cannot be opened"):
            database.write(lambda tx: None)
    database.close()
