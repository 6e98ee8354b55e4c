"""Blobs that nothing names any more: deleted after the commit that forgot them, never inside a transaction.

A use case that deletes tells so by an effect; the listener here removes the blobs in a thread of its own,
because a listener must be quick and an object store is not.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from quintet.app.context import Ctx, Effect, Listener, Ports
from quintet.domain.errors import QuintetError
from quintet.ports.blobs import Blobs
from quintet.storage.tx import WriteTx

KIND = "blobs.leftover"

GRACE_SECONDS = 60.0
"""How long blobs stay that were replaced rather than deleted: whoever learnt of them just before still reads."""
log = logging.getLogger("quintet.leftovers")


def leave(
    ctx: Ctx[WriteTx], *, keys: Iterable[str] = (), prefixes: Iterable[str] = (), grace: bool = False
) -> None:
    """Has the blobs at `keys` and below `prefixes` deleted once this transaction has committed.

    With `grace` they stay a little longer, for those who are about to read them.
    """
    wanted = {"keys": tuple(keys), "prefixes": tuple(prefixes), "grace": grace}
    if wanted["keys"] or wanted["prefixes"]:
        ctx.after_commit(Effect(KIND, data=wanted))


def remove(blobs: Blobs, *, keys: Iterable[str] = (), prefixes: Iterable[str] = ()) -> int:
    """Deletes at once and says how many blobs went; what the store refuses is logged and stays."""
    gone = 0
    try:
        doomed = [*keys, *(info.key for prefix in prefixes for info in blobs.list(prefix))]
    except QuintetError:
        log.exception("blobs that are no longer needed could not be listed")
        return 0
    for key in doomed:
        try:
            gone += blobs.delete(key)
        except QuintetError:
            log.exception("the blob %s is no longer needed and could not be deleted", key)
    return gone


def listener(ports: Ports, threads: ThreadPoolExecutor, grace_seconds: float = GRACE_SECONDS) -> Listener:
    """What the composition root gives to `Core.listen`; `threads` does the deleting."""

    def start(effect: Effect) -> None:
        # After the shutdown nothing may be started; what stays goes with the dataset or model it belongs to.
        with contextlib.suppress(RuntimeError):
            threads.submit(remove, ports.blobs, keys=effect.data["keys"], prefixes=effect.data["prefixes"])

    def hear(effect: Effect) -> None:
        if effect.kind != KIND:
            return
        if effect.data["grace"]:
            later = threading.Timer(grace_seconds, start, (effect,))
            later.daemon = True
            later.start()
        else:
            start(effect)

    return hear
