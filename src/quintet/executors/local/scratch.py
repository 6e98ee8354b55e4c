"""The folders that jobs work in: one each, held while it is used, and swept up where its worker was killed.

A worker removes the folder of a job itself. One that was killed cannot, and folders with checkpoints are large.
Who holds a folder is known by a lock on a file beside it, which the kernel releases with the process, however it
ended; a note of a process id could mean another process by then.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger("quintet.worker")

LOCK = ".lock"
"""What is added to the name of a folder for that of its lock. Only folders with one are ever swept up."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Makes the empty `folder`, holds it, and removes it at the end."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_name(folder.name + LOCK)
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def sweep(parent: Path) -> int:
    """Removes the folders in `parent` whose holder is gone; how many."""
    swept = 0
    for lock in parent.glob(f"*{LOCK}"):
        with contextlib.suppress(OSError):  # somebody else sweeps, or holds it
            descriptor = os.open(lock, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.with_name(lock.name.removesuffix(LOCK)), ignore_errors=True)
                lock.unlink()
                swept += 1
            finally:
                os.close(descriptor)
    if swept:
        log.info("%d folders of jobs whose worker was lost are removed", swept)
    return swept
