"""What this dialect gives to the server: its endpoints, its files, and how it says that a path is not one."""

from __future__ import annotations

from quintet.app.core import Core
from quintet.dialects.clearml import (
    artifacts,
    events_read,
    events_write,
    files,
    models,
    projects,
    queues,
    session,
    tasks_read,
    tasks_state,
    tasks_write,
    workers,
)
from quintet.dialects.clearml.binder import rpc
from quintet.dialects.kit.mount import Mount

HANDLERS = (
    artifacts, events_read, events_write, models, projects, queues, session, tasks_read, tasks_state, tasks_write,
    workers,
)  # fmt: skip
"""The modules whose import binds their endpoints."""


def mount(core: Core) -> Mount:
    return Mount(
        dialect="clearml",
        routes=files.routes(),
        rpc=rpc,
        prefixes=("/files",),
        errors=files.show_error,
        coverage=rpc.coverage,
    )
