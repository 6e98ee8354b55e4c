"""The server's end of the model process: start it, talk to it, notice its death, end it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections import deque
from collections.abc import Callable
from itertools import count
from pathlib import Path

import quintet
from quintet.domain.errors import FAMILY, Internal, QuintetError, Unavailable
from quintet.engines.transformers.protocol import (
    HEADER,
    MAX_FRAME,
    Answer,
    Cancel,
    Done,
    Failed,
    Finished,
    Request,
    Vectors,
    decode_answer,
    frame,
)

# What the process needs of our environment. The rest, such as database passwords and API keys, is not its
# business: it opens files that users have uploaded.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "SYSTEMROOT")
_ENVIRONMENT_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "HIP_", "ROCR_", "OMP_", "MKL_", "PYTORCH_")

# A process that has not ended this long after its input was closed hangs in a computation.
END_SECONDS = 2.0

_ERRORS: dict[str, type[QuintetError]] = {kind.code: kind for kind in FAMILY}


class ModelProcess:
    """A running model process. `ask` and `subscribe` send a request; once `dead`, make another one."""

    def __init__(self, process: asyncio.subprocess.Process, log: logging.Logger) -> None:
        self._process = process
        self._log = log
        self._ids = count(1)
        self._asked: dict[int, asyncio.Queue[Answer | None]] = {}
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._read_log())]
        self.dead = False

    @classmethod
    async def start(cls, options: str, log: logging.Logger) -> ModelProcess:
        """Starts the process; it takes requests at once and answers when its imports are done."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "quintet.engines.transformers.process",
            options,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(),
            # An interrupt typed at the server's terminal must not kill it in the middle of a reply.
            start_new_session=True,
        )
        return cls(process, log)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def in_flight(self) -> int:
        return len(self._asked)

    async def ask(self, make: Callable[[int], Request]) -> Answer:
        """One request, its one answer. Raises what the process answered, Unavailable where it died."""
        with contextlib.closing(self.subscribe()) as call:
            await call.send(make)
            return await call.next()

    def subscribe(self) -> Call:
        """A call with several answers; close it when nobody listens any more."""
        ident = next(self._ids)
        queue: asyncio.Queue[Answer | None] = asyncio.Queue()
        self._asked[ident] = queue
        return Call(self, ident, queue)

    async def send(self, request: Request) -> None:
        if self.dead or self._process.stdin is None:
            raise _gone()
        try:
            self._process.stdin.write(frame(request))
            await self._process.stdin.drain()
        except (ConnectionError, RuntimeError):
            raise _gone() from None

    def forget(self, ident: int, finished: bool) -> None:
        """No more answers to `ident` are wanted; the process is told where it still works on them."""
        if self._asked.pop(ident, None) is None or finished or self.dead or self._process.stdin is None:
            return
        # Not awaited, so that it also works while a task is being cancelled; a frame of a few bytes always fits.
        with contextlib.suppress(ConnectionError, RuntimeError):
            self._process.stdin.write(frame(Cancel(ident)))

    async def close(self) -> None:
        """Ends the process and everything in flight."""
        self._bury()
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), END_SECONDS)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        try:
            while True:
                (size,) = HEADER.unpack(await stdout.readexactly(HEADER.size))
                if size > MAX_FRAME:
                    break
                answer = decode_answer(await stdout.readexactly(size))
                queue = self._asked.get(answer.id)
                if queue is not None:
                    queue.put_nowait(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            expected = self.dead
            self._bury()
            if not expected:
                self._log.error("the model process %d has ended unexpectedly", self.pid)
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()

    async def _read_log(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        last: deque[str] = deque(maxlen=20)
        while True:
            try:
                line = await stderr.readline()
            except ValueError:
                # A line longer than the reader's limit, such as a progress bar without line ends.
                continue
            if not line:
                break
            last.append(line.decode(errors="replace").rstrip())
            self._log.debug("model process: %s", last[-1])
        code = await self._process.wait()
        if code not in (0, None):
            self._log.warning("the model process left with %s; its last lines:\n%s", code, "\n".join(last))

    def _bury(self) -> None:
        self.dead = True
        for queue in self._asked.values():
            queue.put_nowait(None)


class Call:
    """One request in flight and its answers."""

    def __init__(self, process: ModelProcess, ident: int, answers: asyncio.Queue[Answer | None]) -> None:
        self._process = process
        self._id = ident
        self._answers = answers
        self._finished = False
        self._sent = False

    async def send(self, make: Callable[[int], Request]) -> None:
        self._sent = True
        await self._process.send(make(self._id))

    async def next(self) -> Answer:
        """The next answer; after the last one (anything but a Piece) there is none."""
        answer = await self._answers.get()
        if answer is None:
            self._finished = True
            raise _gone()
        self._finished = isinstance(answer, Done | Finished | Vectors | Failed)
        if isinstance(answer, Failed):
            raise _ERRORS.get(answer.code, Internal)(answer.message, field=answer.field)
        return answer

    def close(self) -> None:
        self._process.forget(self._id, self._finished or not self._sent)


def _gone() -> Unavailable:
    return Unavailable("the model process ended unexpectedly; a new one starts with the next request")


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _ENVIRONMENT or name.startswith(_ENVIRONMENT_PREFIXES)
    }
    # The package may be on our path without being installed (a checkout, a test run).
    source = str(Path(quintet.__file__).resolve().parents[1])
    return {
        **kept,
        "PYTHONPATH": source,
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        # torch's threads spin for each other 300,000 times unless told otherwise; beside a busy server on few
        # cores that multiplies the time of a step (measured in `recipes/run.py`, where the number comes from).
        **({} if "OMP_WAIT_POLICY" in os.environ else {"GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "2000")}),
    }
