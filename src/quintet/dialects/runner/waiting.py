"""Workers that wait for a run, without a thread or a transaction held while they do."""

from __future__ import annotations

import asyncio

from quintet.app.context import Effect
from quintet.app.core import Core

POLL_SECONDS = 5.0
"""How often to look all the same: a run that another server process enqueued wakes nobody here."""


class Waiters:
    """Wakes everyone who waits when a queue changes. `close` wakes them for good, so that a stop is not held up."""

    def __init__(self, core: Core) -> None:
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self.closed = False
        core.listen(self._hear)

    def _hear(self, effect: Effect) -> None:
        if effect.kind == "queue":
            self._wake()

    def _wake(self) -> None:
        for loop, event in list(self._waiting):
            loop.call_soon_threadsafe(event.set)

    def close(self) -> None:
        self.closed = True
        self._wake()

    def enter(self) -> asyncio.Event:
        """An event that is set by whatever happens from now on; give it back to `leave`."""
        event = asyncio.Event()
        self._waiting.add((asyncio.get_running_loop(), event))
        return event

    def leave(self, event: asyncio.Event) -> None:
        self._waiting.discard((asyncio.get_running_loop(), event))

    async def pause(self, event: asyncio.Event, seconds: float) -> None:
        """Until the event is set, or `seconds` have passed, or it is time to look again."""
        if self.closed:
            return
        try:
            await asyncio.wait_for(event.wait(), max(0.0, min(seconds, POLL_SECONDS)))
        except TimeoutError:
            return
        event.clear()


def waiters(core: Core) -> Waiters:
    """Those of this server, made on first use."""
    found = core.services.get("waiters")
    if not isinstance(found, Waiters):
        found = core.services["waiters"] = Waiters(core)
    return found
