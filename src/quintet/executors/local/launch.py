"""Starts a job so that it does not outlive its worker: `python -m quintet.executors.local.launch COMMAND...`.

A worker that is killed cannot end its job itself. On Linux the kernel does it: the signal asked for here
survives the `exec` that follows.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(command: list[str]) -> int:
    """Becomes `command`; 127 with a line on stderr where there is no such program."""
    if sys.platform == "linux":
        parent = int(os.environ.pop("QUINTET_WORKER_PID", "0"))
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if parent and os.getppid() != parent:
            return 1  # the worker died before the kernel knew whom to watch
    try:
        os.execvp(command[0], command)  # noqa: S606 - a list, on purpose without a shell
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started: {error.strerror}\n")
        return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
