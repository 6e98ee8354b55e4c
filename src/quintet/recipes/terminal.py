"""A line that shows the progress when a person watches; a worker's log gets none of it."""

from __future__ import annotations

import sys
import time

WIDTH = 30
EVERY_SECONDS = 0.1
"""Between two redraws: faster than an eye follows would only cost time."""


class ProgressLine:
    """Redraws one line of standard output, if that is a terminal."""

    def __init__(self) -> None:
        self._on = sys.stdout.isatty()
        self._shown_at = 0.0
        self._visible = False

    def show(self, name: str, done: int, total: int | None, *, over: bool) -> None:
        """`done` of `total` in the stage `name`; `over` ends the line so that it stays."""
        now = time.monotonic()
        if not self._on or (not over and now - self._shown_at < EVERY_SECONDS):
            return
        self._shown_at, self._visible = now, not over
        if total:
            filled = min(WIDTH * done // total, WIDTH)
            bar = f"{'━' * filled}{' ' * (WIDTH - filled)} {done}/{total}"
        else:
            bar = str(done) if done else ""
        sys.stdout.write(f"\r\x1b[K{name:<12} {bar}{chr(10) if over else ''}")
        sys.stdout.flush()

    def clear(self) -> None:
        """Removes the line, so that other text can be printed."""
        if self._visible:
            sys.stdout.write("\r\x1b[K")
            self._visible = False
