"""A server that is killed under load loses nothing that it has acknowledged, and answers soon after its next start."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable

import pytest
from tests.crash.load import Chats, Client, Rows, Scalars
from tests.crash.processes import Server

KILLS = 3
FEW_SECONDS = 15.0
"""How long a start may take here: 3 to 4 s alone, more beside other work on two cores."""


@pytest.mark.slow
def test_what_was_acknowledged_is_there_once_after_each_kill(
    make_server: Callable[..., Server], database_url: str
) -> None:
    server = make_server(database=database_url)
    scalars, rows = Scalars(server), Rows(server)
    clients: list[Client] = [scalars, Chats(server), rows]
    server.start()
    rows.register()
    moments = random.Random(20)
    for _ in range(KILLS):
        for client in clients:
            client.begin()
        time.sleep(moments.uniform(0.5, 1.2))
        server.kill()
        for client in clients:
            client.end()
        assert server.start() < FEW_SECONDS
        for client in clients:
            client.check()
        # Sending a batch again whose answer was lost must not make its points count twice.
        scalars.write_again(server.link())
        scalars.check()
    for client in clients:
        assert len(client.acknowledged) > 10 * KILLS, f"{client.name} hardly wrote anything"
        assert not client.refused, next(iter(client.refused.values()))
    server.terminate()
    if not database_url:
        with sqlite3.connect(server.data / "quintet.db") as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
