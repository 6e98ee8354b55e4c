"""What a trainer says while it works, as a protocol, so that trainers know neither HTTP nor recipes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class Report(Protocol):
    """Where a trainer reports to. Every method returns at once; sending is the other side's matter."""

    def metric(self, metric: str, variant: str, value: float, step: int) -> None:
        """One point of the series `metric/variant` at `step`."""
        ...

    def progress(self, done: int, total: int | None) -> None:
        """`done` of `total` steps; None where only the clock decides."""
        ...

    def checkpoint(self, folder: Path, step: int, epoch: float, metrics: Mapping[str, float]) -> None:
        """`folder` holds a state from which training can go on. It may be removed once this returned."""
        ...

    def say(self, text: str) -> None:
        """A line for the run's log."""
        ...
