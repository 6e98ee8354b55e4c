"""The local executor: what a job prints, how it ends, and that nothing of it stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from quintet.executors.local.executor import LocalExecutor, ended, environment
from quintet.executors.local.lines import MAX_LINE, LineSplitter
from quintet.executors.local.scratch import held, sweep
from quintet.ports.executor import End, Ended, Job, LogLine


class Collected:
    """Keeps the lines, and sets an event when one of them says `until`."""

    def __init__(self, until: str = "") -> None:
        self.lines: list[LogLine] = []
        self.heard = asyncio.Event()
        self._until = until

    async def log(self, lines: Sequence[LogLine]) -> None:
        self.lines += lines
        if any(self._until and self._until in line.msg for line in lines):
            self.heard.set()

    @property
    def said(self) -> list[str]:
        return [line.msg for line in self.lines]


def job(tmp_path: Path, code: str, **environment: str) -> Job:
    return Job("r1", 1, [sys.executable, "job.py"], tmp_path / "work", environment, {"job.py": code})


def execute(tmp_path: Path, code: str, **environment: str) -> tuple[Ended, Collected]:
    async def main() -> tuple[Ended, Collected]:
        reporter = Collected()
        return await LocalExecutor().execute(job(tmp_path, code, **environment), reporter, asyncio.Event()), reporter

    return asyncio.run(main())


def test_a_job_prints_into_the_log_and_completes(tmp_path: Path) -> None:
    code = "import os, sys; print('one'); print(os.getcwd()); print(os.environ['X']); print('two', file=sys.stderr)"
    how, reporter = execute(tmp_path, code, X="x y")
    assert how == (End.COMPLETED, "")
    assert [line.msg for line in reporter.lines if line.level == "info"] == ["one", str(tmp_path / "work"), "x y"]
    assert [line.msg for line in reporter.lines if line.level == "warning"] == ["two"]
    assert not (tmp_path / "work").exists()


def test_a_failure_says_the_last_line_of_stderr(tmp_path: Path) -> None:
    how, _ = execute(tmp_path, "print('start')\nraise ValueError('no such luck')")
    assert how == (End.FAILED, "ValueError: no such luck")


@pytest.mark.parametrize(
    ("code", "asked", "last", "expected"),
    [
        (0, True, "", (End.COMPLETED, "")),
        (143, False, "x", (End.STOPPED, "")),
        (-15, False, "x", (End.STOPPED, "")),
        (1, True, "x", (End.STOPPED, "")),
        (1, False, "", (End.FAILED, "exit code 1")),
        (-9, False, "", (End.FAILED, "killed by SIGKILL")),
        (-11, False, "oh", (End.FAILED, "oh")),
    ],
)
def test_exit_codes(code: int, asked: bool, last: str, expected: tuple[End, str]) -> None:
    assert ended(code, asked=asked, last=last) == expected


def test_a_program_that_is_not_there_fails_with_its_name(tmp_path: Path) -> None:
    async def main() -> Ended:
        wanted = Job("r1", 1, ["/no/such/program"], tmp_path / "work")
        return await LocalExecutor().execute(wanted, Collected(), asyncio.Event())

    how = asyncio.run(main())
    assert how.how is End.FAILED
    assert "/no/such/program" in how.reason


POLITE = """
import signal, sys, time
def leave(*_):
    print('saving', flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, leave)
print('ready', flush=True)
time.sleep(60)
"""

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('ready', flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(("code", "last"), [(POLITE, "saving"), (STUBBORN, "ready")])
def test_a_stop_is_asked_for_and_then_enforced(tmp_path: Path, code: str, last: str) -> None:
    async def main() -> tuple[Ended, list[str]]:
        reporter, stop = Collected("ready"), asyncio.Event()
        task = asyncio.ensure_future(LocalExecutor(grace=0.5).execute(job(tmp_path, code), reporter, stop))
        await asyncio.wait_for(reporter.heard.wait(), 20)
        stop.set()
        return await asyncio.wait_for(task, 20), reporter.said

    how, said = asyncio.run(main())
    assert how.how is End.STOPPED
    assert said[-1] == last


PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
print('child', child.pid, flush=True)
"""


def alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_what_a_job_started_goes_with_it(tmp_path: Path) -> None:
    how, reporter = execute(tmp_path, PARENT)
    assert how.how is End.COMPLETED
    [line] = reporter.said
    assert not alive(int(line.split()[1]))


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel of Linux")
def test_a_job_dies_with_its_worker(tmp_path: Path) -> None:
    worker = f"""
import asyncio, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from pathlib import Path
from quintet.executors.local.executor import LocalExecutor
from quintet.ports.executor import Job
class Printing:
    async def log(self, lines):
        for line in lines:
            print(line.msg, flush=True)
code = 'import os, time; print(os.getpid(), flush=True); time.sleep(60)'
# A shell between them, as many jobs have: the kernel tells only a child of the death of its parent.
job = Job('r', 1, ['sh', '-c', f'{{sys.executable}} -c "{{code}}"; true'], Path({str(tmp_path / "work")!r}))
asyncio.run(LocalExecutor().execute(job, Printing(), asyncio.Event()))
"""

    async def main() -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", worker, stdout=asyncio.subprocess.PIPE, env={**os.environ}
        )
        assert process.stdout is not None
        pid = int(await asyncio.wait_for(process.stdout.readline(), 20))
        assert alive(pid)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        for _ in range(200):
            if not alive(pid):
                break
            await asyncio.sleep(0.01)
        return pid

    assert not alive(asyncio.run(main()))


def test_folders_of_killed_workers_are_swept_up_and_no_others(tmp_path: Path) -> None:
    killed = """
import os, sys
from pathlib import Path
from quintet.executors.local.scratch import held
with held(Path(sys.argv[1])):
    (Path(sys.argv[1]) / "big").write_text("x")
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", killed, str(tmp_path / "r1-1")], check=False)
    (tmp_path / "own").mkdir()
    with held(tmp_path / "r2-1"):
        assert (tmp_path / "r1-1" / "big").exists()
        assert (sweep(tmp_path), sweep(tmp_path)) == (1, 0)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["own", "r2-1", "r2-1.lock"]
    assert [p.name for p in tmp_path.iterdir()] == ["own"]


def test_a_job_does_not_see_the_workers_secrets(tmp_path: Path) -> None:
    own = {"QUINTET_KEY": "secret", "PATH": "/bin"}
    seen = environment(own, job(tmp_path, "", QUINTET_RUN_TOKEN="t"))
    assert "QUINTET_KEY" not in seen
    assert (seen["PATH"], seen["QUINTET_RUN_TOKEN"]) == ("/bin", "t")


def test_lines_are_cut_joined_and_cleaned() -> None:
    splitter = LineSplitter("info")
    chunks = (b"a\nb", b"c\n\n", b"1%\r50%\r100%\n", "é".encode()[:1], "é".encode()[1:] + b"\nlast")
    said = [line.msg for chunk in chunks for line in splitter.feed(chunk)]
    assert [*said, *(line.msg for line in splitter.flush())] == ["a", "bc", "100%", "é", "last"]
    [long] = splitter.feed(b"x" * (MAX_LINE + 10) + b"\n")
    assert long.msg.startswith("x" * MAX_LINE + " …")
    assert "(10 more)" in long.msg


def test_an_endless_line_takes_no_endless_memory() -> None:
    splitter = LineSplitter("info")
    for _ in range(100):
        assert splitter.feed(b"y" * 65_536) == []
    assert len(splitter._rest) <= MAX_LINE * 4
    [line] = splitter.feed(b"\n")
    assert len(line.msg) < MAX_LINE + 50
