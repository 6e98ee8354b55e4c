"""`quintet worker` and `quintet demo`: what they lack is one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.commands import SOURCE, quintet


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUINTET_KEY", raising=False)
    monkeypatch.delenv("QUINTET_LEASE_SECONDS", raising=False)


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        ([], "a worker needs a key", 2),
        (["--key", "k", "--server", "models.example.org"], "'models.example.org' is not the URL", 2),
    ],
)
def test_a_worker_says_what_it_lacks(arguments: list[str], said: str, code: int) -> None:
    done = quintet("worker", *arguments)
    assert done.code == code
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_work_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = quintet("worker", "--key", "k", "--work-dir", str(tmp_path / "file" / "work"))
    assert (done.code, done.err) == (
        1,
        f"quintet: the work folder {tmp_path / 'file' / 'work'} cannot be made: Not a directory\n",
    )


def test_a_lease_time_that_is_no_number_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUINTET_LEASE_SECONDS", "soon")
    done = quintet("worker", "--key", "k")
    assert done.code == 2
    assert "QUINTET_LEASE_SECONDS" in done.err


def test_a_folder_for_the_report_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = quintet("demo", "--out", str(tmp_path / "file" / "out"), "--clients", "/nowhere")
    assert done.code == 1
    assert done.err == f"quintet: {tmp_path / 'file' / 'out'}: Not a directory\n"


def test_a_reader_that_has_seen_enough_is_no_fault(tmp_path: Path) -> None:
    command = f"{sys.executable} -m quintet.cli.main doctor --data {tmp_path}/d | true"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1"}
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
