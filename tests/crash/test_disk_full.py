"""A file system that takes no more: writes are refused by name, reads go on, room mends it, nothing is lost.

The limit is one on the size of the server's files, which the kernel takes away again without anybody's help; for
SQLite a write beyond it is an I/O error, where a full disk has an error of its own (tests/server/test_full_disk.py).
"""

from __future__ import annotations

from collections.abc import Callable

from tests.crash.load import Chats, Client, Rows, Scalars
from tests.crash.processes import Server, until

ROOM = 128 * 1024
"""What the files may still grow by: a moment of writing."""


def test_nothing_acknowledged_is_lost_where_files_cannot_grow(make_server: Callable[..., Server]) -> None:
    server = make_server()
    rows, chats = Rows(server), Chats(server)
    clients: list[Client] = [Scalars(server), chats, rows]
    server.start()
    rows.register()
    for client in clients:
        client.begin()
    until(lambda: all(len(c.acknowledged) > 5 for c in clients))
    server.limit_files(max(f.stat().st_size for f in server.data.glob("quintet.db*")) + ROOM)
    until(lambda: all(len(c.refused) > 5 for c in clients))

    assert server.ask("GET", "/health").status == 200
    assert server.ask("GET", f"/v1/chat/completions/{next(iter(chats.ids.values()))}").status == 200
    before = {c.name: len(c.acknowledged) for c in clients}
    server.limit_files(-1)
    until(lambda: all(len(c.acknowledged) > before[c.name] + 5 for c in clients))
    for client in clients:
        client.end()
        client.check()
        for answer in client.refused.values():
            assert answer.status >= 500
            assert b"disk" in answer.body, answer.body[:500]
    server.kill()
    server.start()
    for client in clients:
        client.check()
