"""Sends points and progress from a thread of its own, in batches, so that a training never waits for the network."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from quintet.recipes.client import Json, RunClient

INTERVAL = 1.0
"""Seconds between two sendings: a curve that looks live, at a call or two a second whatever the recipe does."""

BATCH = 2000
"""Points in one call: some 200 kB of JSON, far below any server's limit of size."""


class Progress(NamedTuple):
    """All stages as the wire has them, and the share of the whole run that is done."""

    stages: list[Json]
    share: float | None


class Sender:
    """Collects points, and asks `progress` for the state when told that it changed.

    A sending that failed for good is raised from the next call of any method here, in the recipe's thread: a run
    whose results get lost must not go on as if nothing had happened.
    """

    def __init__(self, client: RunClient, progress: Callable[[], Progress], interval: float = INTERVAL) -> None:
        self._client, self._progress, self._interval = client, progress, interval
        self._points: list[Json] = []
        self._changed = self._sending = self._closing = False
        self._hurry = False
        self._failure: BaseException | None = None
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def point(self, point: Json) -> None:
        """Takes a point; returns at once."""
        with self._wake:
            self._take()
            self._points.append(point)

    def progress_changed(self) -> None:
        """Notes that the progress is another now; returns at once."""
        with self._wake:
            self._take()
            self._changed = True

    def flush(self) -> None:
        """Returns when everything taken so far was sent; raises what kept it from being sent."""
        with self._wake:
            self._hurry = True
            self._wake.notify_all()
            self._wake.wait_for(lambda: self._failure is not None or not (self._waiting() or self._sending))
            self._hurry = False
            self._raise()

    def close(self) -> None:
        """Sends what is left and ends the thread; raises as `flush` does."""
        try:
            self.flush()
        finally:
            with self._wake:
                self._closing = True
                self._wake.notify_all()
            if self._thread is not None:
                self._thread.join()

    def _take(self) -> None:
        self._raise()
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="quintet-sender", daemon=True)
            self._thread.start()

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _waiting(self) -> bool:
        return bool(self._points) or self._changed

    def _loop(self) -> None:
        while True:
            with self._wake:
                # Woken only by a flush or the end: single points must not cost a switch of threads each.
                self._wake.wait_for(lambda: self._closing or (self._hurry and self._waiting()), self._interval)
                if self._closing:
                    return
                if not self._waiting():
                    continue
                points, self._points = self._points[:BATCH], self._points[BATCH:]
                changed, self._changed = self._changed, False
                self._sending = True
            try:
                if points:
                    self._client.metrics(points)
                if changed:
                    self._client.progress(*self._progress())
            except Exception as error:
                self._failure = error
            with self._wake:
                self._sending = False
                self._wake.notify_all()
                if self._failure is not None:
                    return
