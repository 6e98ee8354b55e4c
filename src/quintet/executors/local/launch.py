"""Starts a job so that it does not outlive its worker: `python -m quintet.executors.local.launch COMMAND...`.

A worker that is killed cannot end its job itself. On Linux the kernel tells: this process stays, as the leader of
the job's process group, and takes the whole group along when the worker dies. The job alone would not do: what it
has started (the ranks of a training, the command behind a shell) would stay on the machine and on its GPUs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from types import FrameType

_PR_SET_PDEATHSIG = 1
_WORKER_DIED = signal.SIGUSR1


def main(command: list[str]) -> int:
    """Carries out `command` and ends as it ends; 127 with a line on stderr where there is no such program."""
    parent = int(os.environ.pop("QUINTET_WORKER_PID", "0"))
    if sys.platform != "linux":
        return _become(command)
    signal.signal(_WORKER_DIED, _end_all)
    # The group is asked to end as a whole; this process waits for how the job takes it.
    signal.signal(signal.SIGTERM, _go_on)
    signal.signal(signal.SIGINT, _go_on)
    _on_death_of_parent(_WORKER_DIED)
    if parent and os.getppid() != parent:
        return 1  # the worker died before the kernel knew whom to watch
    job = os.fork()
    if job == 0:
        for number in (_WORKER_DIED, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        _on_death_of_parent(signal.SIGKILL)
        os._exit(_become(command))
    return _as(os.waitpid(job, 0)[1])


def _become(command: list[str]) -> int:
    try:
        os.execvp(command[0], command)  # noqa: S606 - a list, on purpose without a shell
    except OSError as error:
        os.write(2, f"{command[0]} cannot be started: {error.strerror}\n".encode(errors="replace"))
        return 127


def _on_death_of_parent(number: signal.Signals) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def _end_all(number: int, frame: FrameType | None) -> None:
    os.killpg(0, signal.SIGKILL)


def _go_on(number: int, frame: FrameType | None) -> None:
    pass


def _as(status: int) -> int:
    """The exit code of a job, or the death that it died."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code
    if -code not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
    return 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
