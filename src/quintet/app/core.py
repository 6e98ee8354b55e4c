"""The one function that runs a use case, for HTTP, CLI and worker alike: thread, transaction, commit, effects."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from quintet.app.context import Ctx, Effect, Listener, Ports
from quintet.domain.identity import Actor
from quintet.storage.database import Database
from quintet.storage.tx import ReadTx, WriteTx

P = ParamSpec("P")
R = TypeVar("R")
log = logging.getLogger("quintet.core")


def now_us() -> int:
    """Microseconds since the epoch, UTC."""
    return time.time_ns() // 1_000


class Core:
    """The database, the ports, and those who listen for what was committed.

    `services` holds the long-lived parts that only a server has (call path, deployer, ...), by name, put
    there by the composition root; use cases do not see them.
    """

    def __init__(self, db: Database, ports: Ports, clock: Callable[[], int] = now_us) -> None:
        self.db = db
        self.ports = ports
        self.clock = clock
        self.services: dict[str, Any] = {}
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Calls `listener` after each commit, from the committing thread; it must be quick and not raise."""
        self._listeners.append(listener)

    async def read(
        self, actor: Actor, use_case: Callable[Concatenate[Ctx[ReadTx], P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        return await self.db.aread(lambda tx: use_case(Ctx(actor, tx, self.clock(), self.ports), *args, **kwargs))

    async def write(
        self, actor: Actor, use_case: Callable[Concatenate[Ctx[WriteTx], P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        effects: list[Effect] = []

        def work(tx: WriteTx) -> R:
            effects.clear()
            return use_case(Ctx(actor, tx, self.clock(), self.ports, effects), *args, **kwargs)

        result = await self.db.awrite(work)
        self._tell(effects)
        return result

    def read_now(
        self, actor: Actor, use_case: Callable[Concatenate[Ctx[ReadTx], P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """`read` for threads and command lines."""
        return self.db.read(lambda tx: use_case(Ctx(actor, tx, self.clock(), self.ports), *args, **kwargs))

    def write_now(
        self, actor: Actor, use_case: Callable[Concatenate[Ctx[WriteTx], P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """`write` for threads and command lines."""
        effects: list[Effect] = []

        def work(tx: WriteTx) -> R:
            effects.clear()
            return use_case(Ctx(actor, tx, self.clock(), self.ports, effects), *args, **kwargs)

        result = self.db.write(work)
        self._tell(effects)
        return result

    def _tell(self, effects: list[Effect]) -> None:
        for effect in effects:
            for listener in self._listeners:
                try:
                    listener(effect)
                except Exception:
                    log.exception("a listener failed on %s", effect.kind)
