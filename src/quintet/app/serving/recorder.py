"""Writes interactions: those that wait while a commit runs go together into the next one.

A reply is sent only after its interaction is on the disk, so the cost of a commit is shared by everybody who
waits for one. Alone, a call waits for exactly one commit.
"""

from __future__ import annotations

import asyncio

from quintet.app.core import Core
from quintet.domain.interactions import Interaction
from quintet.storage import interactions as store

BATCH = 500
"""The most interactions in one commit: bounds the memory and the time of one statement."""


class Recorder:
    """Belongs to one event loop."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._waiting: list[tuple[Interaction, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def record(self, item: Interaction) -> None:
        """Returns when `item` is durable; raises what the database raised where it could not be."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        await future

    async def _drain(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            items = [item for item, _ in batch]
            try:
                await self._core.db.awrite(lambda tx, items=items: store.insert_many(tx, items))  # type: ignore[misc]
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            else:
                for _, future in batch:
                    if not future.done():
                        future.set_result(None)
