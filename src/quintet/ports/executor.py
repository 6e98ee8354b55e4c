"""Where the work of a run is carried out: a subprocess beside the worker, or somewhere a cluster has room."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class Job:
    """What to execute. `files` are written into `work_dir` first, by relative path; `environment` is added."""

    run_id: str
    attempt: int
    command: Sequence[str]
    work_dir: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


class LogLine(NamedTuple):
    """A line that a job printed; `ts` in milliseconds since the epoch."""

    ts: int
    level: str
    msg: str


class Reporter(Protocol):
    """Whom an executor tells what a job prints. Blocks while the server does not take more, never raises."""

    async def log(self, lines: Sequence[LogLine]) -> None: ...


class End(StrEnum):
    """How a job ended."""

    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"


class Ended(NamedTuple):
    """`reason` is the job's own last word where it failed."""

    how: End
    reason: str = ""


class Executor(Protocol):
    async def execute(self, job: Job, reporter: Reporter, stop: asyncio.Event) -> Ended:
        """Carries a job out to its end. Once `stop` is set the job is asked to end, and after a grace period
        made to. Cancelling the call does not leave the job behind."""
        ...
