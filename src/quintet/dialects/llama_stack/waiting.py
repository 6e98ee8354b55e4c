"""Requests that wait for a job to end, without a thread or a transaction held while they do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from quintet.app.context import Effect
from quintet.app.core import Core

POLL_SECONDS = 1.0
"""How often to look all the same: what another server process commits wakes nobody here."""

SERVICE = "llama_stack.waiters"


class Waiters:
    """Wakes whoever waits for a run or an evaluation that has changed."""

    def __init__(self, core: Core) -> None:
        self._waiting: dict[str, set[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = {}
        core.listen(self._hear)

    def _hear(self, effect: Effect) -> None:
        if effect.kind in ("run", "evaluation"):
            for loop, event in list(self._waiting.get(effect.subject, ())):
                loop.call_soon_threadsafe(event.set)

    async def until(self, subjects: tuple[str, ...], ended: Callable[[], Awaitable[bool]], seconds: float) -> None:
        """Until `ended()`, asked after each change of one of the `subjects` (ids), or until `seconds` are over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        event = asyncio.Event()
        mine = (loop, event)
        for subject in subjects:
            self._waiting.setdefault(subject, set()).add(mine)
        try:
            while not await ended() and (left := deadline - loop.time()) > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(event.wait(), min(left, POLL_SECONDS))
                event.clear()
        finally:
            for subject in subjects:
                others = self._waiting[subject]
                others.discard(mine)
                if not others:
                    del self._waiting[subject]


def waiters(core: Core) -> Waiters:
    """Those of this server, made on first use."""
    found = core.services.get(SERVICE)
    if not isinstance(found, Waiters):
        found = core.services[SERVICE] = Waiters(core)
    return found
