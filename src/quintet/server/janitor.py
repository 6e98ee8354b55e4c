"""What the server does on its own while it runs: takes runs back from dead workers, stops silent ones, folds series.

Every piece of work, each run too, is a short transaction of its own, so nobody waits for the janitor; one that fails is
logged and tried again at the next round. Other parts add theirs to `core.services["periodic"]`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

from quintet.app.core import Core
from quintet.app.events.upkeep import fold_due
from quintet.app.identity.accounts import SYSTEM
from quintet.app.work.leases import dead_runs, expire_lease, silent_runs, stop_silent_run
from quintet.app.work.workers import forget_workers
from quintet.domain.ids import Id

log = logging.getLogger("quintet.janitor")

ROUND_SECONDS = 2.0
"""Between two rounds: what a run of a dead worker waits beyond its lease. An idle round is three point reads."""

START_GRACE_SECONDS = 30.0
"""After a start no lease expires for so long (half a lease): while the server was away nobody could renew one."""

SLOW_SECONDS = 300.0
"""Between two looks for what changes in hours: silent runs, forgotten workers."""

Periodic = Callable[[], Awaitable[None]]
"""Work for every round; it is awaited, so it must be short or hand itself to a thread."""


class Janitor:
    """The background task of one server process. Several may run beside each other: they take turns by locks."""

    def __init__(self, core: Core, round_seconds: float = ROUND_SECONDS, grace: float = START_GRACE_SECONDS) -> None:
        self._core = core
        self._round = round_seconds
        self._grace = grace
        self._task: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()

    def start(self) -> None:
        """Begins, in the running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="quintet-janitor")

    async def stop(self) -> None:
        """Ends after the piece of work that is under way."""
        self._stopped.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        started = time.monotonic()
        slow_at = 0.0
        while not self._stopped.is_set():
            now = time.monotonic()
            if now - started >= self._grace:
                await self._do("expire leases", self.expire)
            if now >= slow_at:
                slow_at = now + SLOW_SECONDS
                await self._do("stop silent runs", self.silent)
                await self._do("forget workers", self.forget)
            await self._do("fold series", self.fold)
            for work in list(self._core.services.get("periodic", ())):
                await self._do(getattr(work, "__qualname__", "periodic work"), work)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), self._round)

    async def _do(self, name: str, work: Periodic) -> None:
        try:
            await work()
        except Exception:
            log.exception("%s failed; it is tried again", name)

    async def expire(self) -> None:
        for run_id in await self._core.read(SYSTEM, dead_runs):
            await self._do(f"taking back run {run_id}", partial(self._expire, run_id))

    async def _expire(self, run_id: Id) -> None:
        run = await self._core.write(SYSTEM, expire_lease, run_id)
        if run is not None:
            log.warning("the worker of run %s was lost; the run is %s", run.id, run.state)

    async def silent(self) -> None:
        for run_id in await self._core.read(SYSTEM, silent_runs):
            await self._do(f"stopping run {run_id}", partial(self._stop, run_id))

    async def _stop(self, run_id: Id) -> None:
        if await self._core.write(SYSTEM, stop_silent_run, run_id) is not None:
            log.warning("run %s was silent for too long and is stopped", run_id)

    async def fold(self) -> None:
        await asyncio.to_thread(fold_due, self._core.db, self._core.clock())

    async def forget(self) -> None:
        await self._core.write(SYSTEM, forget_workers)
