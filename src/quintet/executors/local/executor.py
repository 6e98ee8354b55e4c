"""One job as a process group: pumps what it prints, ends it when asked, and says how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from quintet.executors.local.lines import LineSplitter
from quintet.executors.local.scratch import held
from quintet.ports.executor import End, Ended, Job, LogLine, Reporter

GRACE_SECONDS = 10.0
"""Between SIGTERM and SIGKILL: enough to save a small checkpoint, short enough for whoever waits."""

BATCH_SECONDS = 0.5
"""How long lines are gathered before they are sent: a reader sees them at once, a server is not flooded."""

BATCH_LINES = 1_000
MAX_BUFFER = 10_000
"""Lines kept while the server does not take any; beyond it the oldest go, because memory must not."""

CLOSE_SECONDS = 5.0
"""How long to wait for the pipes of a job that has ended: a daemon in a session of its own may keep them."""

DRAIN_SECONDS = 30.0
"""How long the last lines of a job may take to arrive before its end is told without them."""

_HIDDEN = "QUINTET_"
"""Variables of the worker's own environment that a job never sees: they hold the worker's key."""

_TERMINATED = 128 + signal.SIGTERM


class LocalExecutor:
    """`Executor` by subprocesses. `grace` is the time between asking a job to end and making it."""

    def __init__(self, grace: float = GRACE_SECONDS) -> None:
        self.grace = grace

    async def execute(self, job: Job, reporter: Reporter, stop: asyncio.Event) -> Ended:
        """Carries out the job in its `work_dir`, which is made before and removed after.

        Exit code 0 is COMPLETED; 143, or any other after `stop`, STOPPED; everything else FAILED, with the last
        line of stderr as the reason.
        """
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(held(job.work_dir))
                _write_files(job)
                process = await _start(job)
            except OSError as error:
                return Ended(End.FAILED, f"the job cannot be started: {error.strerror or error}")
            return await self._carry_out(process, reporter, stop)

    async def _carry_out(self, process: asyncio.subprocess.Process, reporter: Reporter, stop: asyncio.Event) -> Ended:
        pump = _Pump(reporter)
        reading = asyncio.gather(pump.read(process.stdout, "info"), pump.read(process.stderr, "warning"))
        sending = asyncio.ensure_future(pump.send())
        try:
            asked = await self._wait(process, stop)
            # What the job started goes with it, or it would hold the pipes open for ever.
            _signal(process, signal.SIGKILL)
            await asyncio.wait({reading}, timeout=CLOSE_SECONDS)
            pump.end()
            await asyncio.wait({sending}, timeout=DRAIN_SECONDS)
        finally:
            _signal(process, signal.SIGKILL)
            for task in (reading, sending):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        return ended(process.returncode or 0, asked=asked, last=pump.last_error)

    async def _wait(self, process: asyncio.subprocess.Process, stop: asyncio.Event) -> bool:
        """Until the process has ended; whether it was asked to."""
        exited = asyncio.ensure_future(_exit(process))
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({exited, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if exited.done():
                return False
            _signal(process, signal.SIGTERM)
            await asyncio.wait({exited}, timeout=self.grace)
            if not exited.done():
                _signal(process, signal.SIGKILL)
                await exited
            return True
        finally:
            stopping.cancel()
            exited.cancel()


async def _exit(process: asyncio.subprocess.Process) -> None:
    """Until the process itself has ended. `Process.wait` of some versions waits for its pipes too, and those a
    daemon that the job left behind may keep open."""
    while process.returncode is None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(process.wait())), 0.5)


def _write_files(job: Job) -> None:
    for name, text in job.files.items():
        # A name is a name, not a way out of the folder.
        (job.work_dir / Path(name).name).write_text(text, encoding="utf-8")


async def _start(job: Job) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "quintet.executors.local.launch",
        *job.command,
        cwd=job.work_dir,
        env=environment(os.environ, job),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )


def environment(own: Mapping[str, str], job: Job) -> dict[str, str]:
    """What the job sees: the worker's environment without the worker's secrets, and the job's own variables."""
    kept = {name: value for name, value in own.items() if not name.startswith(_HIDDEN)}
    return {**kept, "PYTHONUNBUFFERED": "1", "QUINTET_WORKER_PID": str(os.getpid()), **job.environment}


def ended(code: int, *, asked: bool, last: str) -> Ended:
    """What an exit code means; negative ones are signals."""
    if code == 0:
        return Ended(End.COMPLETED)
    if asked or code in (_TERMINATED, -signal.SIGTERM):
        return Ended(End.STOPPED)
    if last:
        return Ended(End.FAILED, last)
    if code < 0:
        return Ended(End.FAILED, f"killed by {signal.Signals(-code).name}")
    return Ended(End.FAILED, f"exit code {code}")


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """To the whole group, which may be gone already."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


class _Pump:
    """From the pipes of a process to the reporter, in batches."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._lines: deque[LogLine] = deque(maxlen=MAX_BUFFER)
        self._dropped = 0
        self._ended = asyncio.Event()
        self.last_error = ""

    async def read(self, stream: asyncio.StreamReader | None, level: str) -> None:
        if stream is None:
            return
        splitter = LineSplitter(level)
        while chunk := await stream.read(65_536):
            self._keep(splitter.feed(chunk), splitter)
        self._keep(splitter.flush(), splitter)

    def _keep(self, lines: list[LogLine], splitter: LineSplitter) -> None:
        for line in lines:
            self._dropped += len(self._lines) == MAX_BUFFER
            self._lines.append(line)
        if lines and lines[0].level == "warning":
            self.last_error = splitter.last

    async def send(self) -> None:
        """Sends what there is, every half second, until nothing more comes and everything is sent."""
        while True:
            over = self._ended.is_set()
            while self._lines:
                batch = [self._lines.popleft() for _ in range(min(BATCH_LINES, len(self._lines)))]
                if self._dropped:
                    note = f"({self._dropped} lines were dropped: the server did not take them in time)"
                    batch.insert(0, LogLine(batch[0].ts, "warning", note))
                    self._dropped = 0
                await self._reporter.log(batch)
            if over:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), BATCH_SECONDS)

    def end(self) -> None:
        self._ended.set()
