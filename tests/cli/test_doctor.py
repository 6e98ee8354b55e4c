"""`quintet doctor` and `quintet migrate`: every setting with its origin, every problem with what mends it."""

from __future__ import annotations

import importlib.util
import json
import shutil
import socket
import sqlite3
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from tests.support.commands import free_port, quintet

from quintet.server.composition import open_parts
from quintet.server.settings import describe, load_settings
from quintet.storage.migrate import revisions


def used(folder: Path) -> Path:
    """A data folder after a first start."""
    open_parts(load_settings({"data": str(folder)})[0]).close()
    return folder


def examined(*arguments: str) -> tuple[int, dict[str, dict[str, str]], dict[str, Any]]:
    """Exit status, findings by check, and the whole report."""
    done = quintet("doctor", "--json", "--port", str(free_port()), *arguments)
    report = json.loads(done.out)
    return done.code, {f["check"]: f for f in report["findings"]}, report


def test_every_setting_is_listed_with_its_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUINTET_WORKERS", "3")
    config = tmp_path / "q.toml"
    config.write_text('log_level = "debug"')
    arguments = ["--data", str(tmp_path / "d"), "--config", str(config)]
    code, _, report = examined(*arguments)
    assert code == 0
    assert set(report["settings"]) == set(report["origin"]) == {name for name, _, _ in describe()}
    assert report["origin"]["data"] == "flag"
    assert report["origin"]["workers"] == "QUINTET_WORKERS"
    assert report["origin"]["log_level"] == str(config)
    assert report["origin"]["host"] == "default"
    plain = quintet("doctor", *arguments).out
    for name, _, help_text in describe():
        assert f"  {name} " in plain
        assert help_text in plain


def test_a_sound_data_folder_is_ok(tmp_path: Path) -> None:
    code, found, _ = examined("--data", str(used(tmp_path / "d")))
    assert code == 0
    assert {found[check]["state"] for check in ("python", "data", "port")} == {"ok"}


def test_a_fresh_machine_is_a_warning_and_stays_fresh(tmp_path: Path) -> None:
    code, found, _ = examined("--data", str(tmp_path / "d"))
    assert (code, found["data"]["state"]) == (0, "warning")
    assert "quintet up" in found["data"]["what"]
    assert list(tmp_path.iterdir()) == []


def broken_key(folder: Path) -> None:
    (folder / "secret.key").write_text("no key")


def newer_database(folder: Path) -> None:
    with sqlite3.connect(folder / "quintet.db") as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")


def older_database(folder: Path) -> None:
    with sqlite3.connect(folder / "quintet.db") as raw:
        raw.execute("DELETE FROM alembic_version")


def no_database(folder: Path) -> None:
    (folder / "quintet.db").write_bytes(b"not a database" * 1000)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (broken_key, "secret.key"),
        (newer_database, "newer version"),
        (older_database, "quintet migrate"),
        (no_database, "not a database"),
    ],
)
def test_a_problem_of_the_data_folder_is_an_error(tmp_path: Path, harm: Any, said: str) -> None:
    harm(used(tmp_path / "d"))
    code, found, _ = examined("--data", str(tmp_path / "d"))
    assert (code, found["data"]["state"]) == (1, "error")
    assert said in found["data"]["what"]


def test_a_port_in_use_is_a_warning(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, found, _ = examined("--data", str(tmp_path / "d"), "--port", str(taken.getsockname()[1]))
    assert (code, found["port"]["state"]) == (0, "warning")
    assert "--port" in found["port"]["mend"]


def test_a_disk_that_is_nearly_full_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 10**12 - 10**8, 10**8))
    _, found, _ = examined("--data", str(tmp_path / "d"))
    assert (found["disk"]["state"], found["disk"]["what"]) == ("warning", "0.1 GB free")


def test_a_missing_extra_names_its_install_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "trl" else real(name, *a))
    code, found, _ = examined("--data", str(tmp_path / "d"))
    assert (code, found["local models"]["state"]) == (0, "warning")
    assert "trl" in found["local models"]["what"]
    assert found["local models"]["mend"] == "pip install 'quintet[local]'"


def test_the_report_holds_no_secret(tmp_path: Path) -> None:
    hidden = ["--secret-key", "cd" * 32, "--database", "postgresql://me:hunter2@127.0.0.1:1/q"]
    done = quintet("doctor", "--data", str(tmp_path), *hidden)
    assert done.code == 1
    assert "127.0.0.1:1/q" in done.out
    assert "hunter2" not in done.out
    assert "cdcd" not in done.out


def test_migrate_makes_the_schema_of_this_version_and_is_idempotent(tmp_path: Path) -> None:
    for _ in range(2):
        assert quintet("migrate", "--data", str(tmp_path)).out == "the database has the schema of this version\n"
    with sqlite3.connect(tmp_path / "quintet.db") as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchall() == [(revisions()[-1],)]
    assert json.loads(quintet("migrate", "--json", "--data", str(tmp_path)).out) == {"migrated": True}
