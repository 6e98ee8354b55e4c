"""What this dialect gives to the server."""

from __future__ import annotations

from quintet.app.core import Core
from quintet.dialects.inference import calls, chats, judging, people, resources, trainings
from quintet.dialects.inference.binder import binder
from quintet.dialects.inference.contract import PREFIX
from quintet.dialects.inference.errors import show_error
from quintet.dialects.kit.mount import Mount

HANDLERS = (calls, chats, judging, people, resources, trainings)
"""The modules whose import binds the operations."""


def mount(core: Core) -> Mount:
    """The Inference API over `core`."""
    return Mount("inference", binder.routes(), prefixes=(f"{PREFIX}/",), errors=show_error, coverage=binder.coverage)
