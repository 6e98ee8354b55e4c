"""What this dialect gives to the server."""

from __future__ import annotations

from quintet.app.core import Core
from quintet.dialects.kit.mount import Mount
from quintet.dialects.runner import calls, files, reports, workers
from quintet.dialects.runner.binder import binder
from quintet.dialects.runner.contract import PREFIX
from quintet.dialects.runner.errors import show_error
from quintet.dialects.runner.waiting import waiters

__all__ = ["HANDLERS", "mount"]

HANDLERS = (calls, files, reports, workers)
"""The modules whose import binds the operations."""


def mount(core: Core) -> Mount:
    """The runner wire over `core`."""
    waiters(core)
    return Mount("runner", binder.routes(), prefixes=(f"{PREFIX}/",), errors=show_error, coverage=binder.coverage)
