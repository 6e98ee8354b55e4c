"""The model process: `python -m quintet.engines.transformers.process OPTIONS`, started by the engine.

Frames come in on standard input and leave on standard output. Its end of input is the end of the process,
so it never outlives a server that died.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from queue import SimpleQueue
from typing import BinaryIO

import msgspec

from quintet.engines.transformers.protocol import Answer, Request, frame, read_request

# The event loop of the server shares the machine's cores and answers everybody else.
NICENESS = 5


def main() -> None:
    frames_in, frames_out = _claim_pipes()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    inbox: SimpleQueue[Request | None] = SimpleQueue()
    # Before the slow imports, so that a parent that dies meanwhile is noticed, too.
    threading.Thread(target=_pump, args=(frames_in, inbox), daemon=True).start()

    import torch

    from quintet.engines.transformers.scheduler import ProcessOptions, Scheduler

    options = msgspec.json.decode(sys.argv[1], type=ProcessOptions)
    torch.set_num_threads(options.threads)

    def send(answers: list[Answer]) -> None:
        frames_out.write(b"".join(frame(answer) for answer in answers))
        frames_out.flush()

    Scheduler(options, inbox, send).run()


def _claim_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keeps the real pipes for frames; what libraries print goes to the log instead of between the frames."""
    frames_in = os.fdopen(os.dup(0), "rb")
    frames_out = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return frames_in, frames_out


def _pump(frames_in: BinaryIO, inbox: SimpleQueue[Request | None]) -> None:
    while (request := read_request(frames_in)) is not None:
        inbox.put(request)
    # Nobody is left to answer to, and the main thread may be deep inside a long computation.
    os._exit(0)


if __name__ == "__main__":
    main()
