"""The worker process: takes one run at a time from the server's queues and has it carried out beside itself.

It never opens the database: it speaks the runner wire. What it holds survives a restart of the server; what it
held when it died itself comes back to the queue when its lease expires. One that a server started, and that is
left behind when this server is killed, finishes the run in hand and goes: the next server brings its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from quintet.executors.local.executor import LocalExecutor
from quintet.executors.local.scratch import sweep
from quintet.ports.executor import End, Ended, Executor, Job
from quintet.server.runner_client import Gone, HttpRunnerClient, Refused, Reporting, RunnerClient, Unreachable
from quintet.server.settings import StartupError

log = logging.getLogger("quintet.worker")

LEASE_SECONDS = 60
"""How long the server waits for a sign of life: a restart of it takes less, and nobody waits much longer."""

BEAT_SECONDS = 3.0
"""How often to give one: twenty chances a lease, and how long a wish to stop takes to be heard."""

WAIT_SECONDS = 20.0
"""How long one call for a run stays open: below the half minute after which many proxies close silent calls."""

ORPHAN_SECONDS = 600.0
"""How long a worker whose server was killed keeps its run for a server that takes the place of that one."""

PARENT_SECONDS = 1.0
"""How often to see whether the server that started this worker is still there: one system call."""

BACK_OFF = (0.5, 1.0, 2.0, 5.0)
"""Seconds between calls to a server that does not answer, with a spread so that workers do not come at once."""


class Worker:
    """One worker. `run` works until `leave` is called (or, with `once`, until one run is done)."""

    def __init__(
        self,
        client: RunnerClient,
        executor: Executor,
        *,
        url: str,
        name: str,
        queues: Sequence[str],
        work_dir: Path,
        wait_seconds: float = WAIT_SECONDS,
        beat_seconds: float = BEAT_SECONDS,
        lease_seconds: int = LEASE_SECONDS,
    ) -> None:
        self._client = client
        self._executor = executor
        self._url = url
        self._name = name
        self._queues = list(queues)
        self._work_dir = work_dir
        self._wait = wait_seconds
        self._beat = min(beat_seconds, lease_seconds / 5)
        self._lease = lease_seconds
        self._leaving = asyncio.Event()
        self._retiring = asyncio.Event()

    def leave(self) -> None:
        """Ends the worker: the run in hand is asked to save itself and given back to the queue."""
        self._retiring.set()
        self._leaving.set()

    def retire(self) -> None:
        """Ends the worker after the run in hand."""
        self._retiring.set()

    async def run(self, *, once: bool = False) -> None:
        """Takes runs until it is time to leave. Refused where the server does not accept this worker's key."""
        failures = 0
        while not self._retiring.is_set():
            try:
                lease = await self._or_leaving(self._client.lease(self._name, self._queues, self._lease, self._wait))
                failures = 0
            except Unreachable as error:
                if failures == 0:
                    log.warning("the server does not answer (%s); trying again", error)
                await self._or_leaving(asyncio.sleep(pause(failures)))
                failures += 1
                continue
            if lease is None:
                continue
            await self._carry_out(lease)
            if once:
                return

    async def _or_leaving(self, work: Any) -> Any:
        """What `work` gives, or None as soon as it is time to leave."""
        task = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(self._retiring.wait())
        try:
            await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            leaving.cancel()
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Unreachable):
                    await task

    async def _carry_out(self, lease: Mapping[str, Any]) -> None:
        run_id, token = str(lease["run_id"]), str(lease["token"])
        log.info("run %s (%s), attempt %s", run_id, lease["name"], lease["attempt"])
        command = command_of(lease)
        if command is None:
            await self._finish(run_id, token, End.FAILED, "the run says neither a recipe nor a command")
            return
        job = Job(
            run_id,
            int(lease["attempt"]),
            command,
            self._work_dir / f"{run_id}-{lease['attempt']}",
            self._environment(lease),
            {_file_name(lease["code"]): str(lease["code"]["text"])} if lease.get("code") else {},
        )
        stop = asyncio.Event()
        held = _Held(self._client, run_id, token, stop, self._beat, self._lease)
        beating = asyncio.ensure_future(held.keep())
        leaving = asyncio.ensure_future(self._pass_on(stop))
        try:
            ended = await self._executor.execute(job, Reporting(self._client, run_id, token), stop)
        except Exception as error:
            log.exception("run %s could not be carried out", run_id)
            ended = Ended(End.FAILED, f"the worker failed: {error}")
        finally:
            for task in (beating, leaving):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        if held.lost:
            log.warning("run %s is not this worker's any more; what it did last is dropped", run_id)
            return
        outcome: str = ended.how
        if ended.how is not End.COMPLETED and self._leaving.is_set() and not held.asked:
            outcome = "requeue"
        await self._finish(run_id, token, outcome, "" if outcome == "requeue" else ended.reason)
        log.info("run %s: %s", run_id, outcome)

    async def _pass_on(self, stop: asyncio.Event) -> None:
        await self._leaving.wait()
        stop.set()

    def _environment(self, lease: Mapping[str, Any]) -> dict[str, str]:
        work_dir = self._work_dir / f"{lease['run_id']}-{lease['attempt']}"
        return {
            "QUINTET_URL": self._url,
            "QUINTET_RUN_TOKEN": str(lease["run_token"]),
            "QUINTET_RUN_ID": str(lease["run_id"]),
            "QUINTET_WORK_DIR": str(work_dir),
        }

    async def _finish(self, run_id: str, token: str, outcome: str, reason: str) -> None:
        """Tells how the run ended, as often as it takes: until then the run counts as running."""
        failures = 0
        while True:
            try:
                await self._client.finish(run_id, token, outcome, reason)
                return
            except Gone:
                log.warning("run %s was taken from this worker before it could say how it ended", run_id)
                return
            except Unreachable:
                if self._leaving.is_set() and failures >= len(BACK_OFF):
                    return  # the lease expires, and the run comes back to the queue
                await asyncio.sleep(pause(failures))
                failures += 1


class _Held:
    """A run that this worker holds: keeps the lease, and hears the wish to stop or that it was lost."""

    def __init__(
        self,
        client: RunnerClient,
        run_id: str,
        token: str,
        stop: asyncio.Event,
        beat_seconds: float,
        lease_seconds: int = LEASE_SECONDS,
    ) -> None:
        self._client, self._run_id, self._token = client, run_id, token
        self._stop, self._beat, self._lease = stop, beat_seconds, lease_seconds
        self.lost = False
        self.asked = False

    async def keep(self) -> None:
        failures = 0
        while True:
            try:
                if await self._client.heartbeat(self._run_id, self._token, self._lease):
                    self.asked = True
                    self._stop.set()
                failures = 0
            except Gone:
                self.lost = True
                self._stop.set()
                return
            except (Unreachable, Refused):
                # The job goes on: a server that restarts finds it again, and one that gave the run away says so.
                failures += 1
            # Never rarer than a beat: a server that is back waits only so long for those that it knew.
            await asyncio.sleep(min(pause(failures - 1), self._beat) if failures else self._beat)


def pause(failures: int) -> float:
    """Seconds before the next try after so many that failed."""
    return BACK_OFF[min(failures, len(BACK_OFF) - 1)] * random.uniform(0.7, 1.3)  # noqa: S311 - a spread, no secret


def command_of(lease: Mapping[str, Any]) -> list[str] | None:
    """What to execute: the run's own command, its own code as a recipe, or a recipe by name."""
    command, code = lease.get("command"), lease.get("code")
    if isinstance(command, list) and command and all(isinstance(part, str) for part in command):
        return list(command)
    recipe = [sys.executable, "-m", "quintet.recipes.run"]
    if code:
        return [*recipe, "--file", _file_name(code)]
    return [*recipe, "--name", str(lease["recipe"])] if lease.get("recipe") else None


def _file_name(code: Mapping[str, Any]) -> str:
    return Path(str(code["file"])).name or "recipe.py"


def default_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def run_worker(
    url: str,
    key: str,
    queues: Sequence[str] = ("default",),
    name: str | None = None,
    work_dir: str | Path | None = None,
    *,
    once: bool = False,
    lease_seconds: int = LEASE_SECONDS,
    parent: int | None = None,
) -> int:
    """Works until SIGTERM or SIGINT, or until the process `parent` is gone and the run in hand done.

    The process's exit code: 1 where the server refuses the key.
    """
    with tempfile.TemporaryDirectory(prefix="quintet-worker-") as scratch:
        folder = Path(work_dir or scratch).resolve()
        return asyncio.run(_main(url, key, queues, name or default_name(), folder, once, lease_seconds, parent))


async def _main(
    url: str,
    key: str,
    queues: Sequence[str],
    name: str,
    work_dir: Path,
    once: bool,
    lease_seconds: int,
    parent: int | None,
) -> int:
    loop = asyncio.get_running_loop()
    sweep(work_dir)
    async with HttpRunnerClient(url, key) as client:
        worker = Worker(
            client, LocalExecutor(), url=url, name=name, queues=queues, work_dir=work_dir, lease_seconds=lease_seconds
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.leave)
        watching = None if parent is None else asyncio.ensure_future(_follow(worker, parent))
        log.info("worker %s takes runs of %s from %s", name, ", ".join(queues), url)
        try:
            await worker.run(once=once)
        except Refused as error:
            log.error("the server refuses this worker: %s", error)
            return 1
        finally:
            if watching is not None:
                watching.cancel()
    return 0


async def _follow(worker: Worker, parent: int) -> None:
    """Retires the worker when the process that started it is gone, and makes it leave some time after."""
    while os.getppid() == parent:  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(PARENT_SECONDS)
    log.warning("the server that started this worker is gone; it goes too, after the run in hand")
    worker.retire()
    await asyncio.sleep(ORPHAN_SECONDS)
    worker.leave()


def worker_command(
    server: str, key: str | None, queues: Sequence[str], name: str | None, work_dir: str | None, once: bool = False
) -> int:
    """`quintet worker`: the key is the one given, or QUINTET_KEY. StartupError says in one line what it lacks."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    key = key or os.environ.get("QUINTET_KEY")
    if not key:
        raise StartupError("a worker needs a key: give --key or set QUINTET_KEY (`quintet key create`)", 2)
    if not server.startswith(("http://", "https://")):
        raise StartupError(f"'{server}' is not the URL of a server", 2)
    if work_dir is not None:
        _make_work_dir(Path(work_dir))
    try:
        lease_seconds = int(os.environ.get("QUINTET_LEASE_SECONDS", LEASE_SECONDS))
        parent = int(os.environ["QUINTET_SERVER_PID"]) if "QUINTET_SERVER_PID" in os.environ else None
    except ValueError as error:
        raise StartupError(f"QUINTET_LEASE_SECONDS and QUINTET_SERVER_PID are whole numbers: {error}", 2) from error
    return run_worker(
        server.rstrip("/"), key, queues, name, work_dir, once=once, lease_seconds=lease_seconds, parent=parent
    )


def _make_work_dir(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartupError(f"the work folder {folder} cannot be made: {error.strerror}") from error
