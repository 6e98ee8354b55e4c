"""The routing table as many ask for it at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

from quintet.app.serving.callpath import Completion
from quintet.app.serving.deployments import CreateEndpoint, create_endpoint
from quintet.storage.database import Database
from tests.support.factories import make_world
from tests.support.serving import serving_core


def test_nobody_gets_the_old_table_while_the_new_one_loads(sqlite_db: Database, tmp_path: Path) -> None:
    world, core = make_world(sqlite_db), serving_core(sqlite_db, tmp_path)
    path = core.services["callpath"]

    async def story() -> None:
        await path.table()
        await core.write(world.actor, create_endpoint, CreateEndpoint("new", "fake", "m", engine="fake"))
        ask = Completion("new", [{"role": "user", "content": "hello"}], "test")
        replies = await asyncio.gather(*(path.complete(world.actor, ask) for _ in range(4)))
        assert len(replies) == 4

    asyncio.run(story())
