"""`quintet up`: the first start, the second, the stop, and every way in which a start can fail."""

from __future__ import annotations

import re
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.commands import Done, quintet, up
from tests.support.disks import fill, small_disk

from quintet.cli.client_env import CLIENTS

KEY = re.compile(r"^    (qk_[A-Z0-9]{20}\.[\w-]{43})$", re.MULTILINE)


def start(*arguments: str) -> Done:
    """A start that is expected to fail: it would not return otherwise."""
    return quintet("up", "--port", "0", "--workers", "0", *arguments)


def refused(done: Done, *parts: str, code: int = 1) -> None:
    """One clear line on stderr that names `parts`, and nothing else."""
    assert done.code == code, done
    assert done.err.startswith("quintet: ")
    assert done.err.count("\n") == 1
    assert done.out == ""
    for part in parts:
        assert part in done.err


@pytest.mark.timeout(90)
def test_the_first_start_prints_a_key_and_the_second_does_not(tmp_path: Path) -> None:
    with up(tmp_path, "--data", "data") as first:
        keys = KEY.findall(first.out)
        assert len(keys) == 1
        for client in CLIENTS:
            assert f"# {client}\n" in first.out
        assert f"OPENAI_API_KEY={keys[0]}" in first.out
        assert f"OPENAI_BASE_URL={first.url}/v1" in first.out
        first.terminate()
        first.ended()
        assert "Traceback" not in first.err
        assert "alembic" not in first.err
    with up(tmp_path, "--data", "data") as second:
        assert str(tmp_path / "data") in second.out
        assert "qk_" not in second.out
    assert (tmp_path / "data" / "secret.key").stat().st_mode & 0o777 == 0o600


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = quintet("up", "--data", str(tmp_path / "data"), "--port", port)
    refused(done, port, "Address already in use", "--port")
    assert not (tmp_path / "data").exists()


def test_an_address_of_another_machine_is_one_line(tmp_path: Path) -> None:
    refused(start("--data", str(tmp_path / "data"), "--host", "192.0.2.1"), "192.0.2.1")


@pytest.mark.parametrize("below", ["", "deeper/data"])
def test_a_data_folder_that_cannot_be_made_is_one_line(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("a file where the folder should be")
    refused(start("--data", str(tmp_path / "file" / below)), "data folder", str(tmp_path / "file"))


def test_a_database_of_a_newer_version_is_one_line_and_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert quintet("migrate", "--data", str(data)).code == 0
    with sqlite3.connect(data / "quintet.db") as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    for command in (["up", "--port", "0"], ["migrate"], ["key", "list"]):
        (data / "secret.key").write_text("ab" * 32)
        refused(quintet(*command, "--data", str(data)), "newer version", "9999")


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "quintet.db").write_text("this is no database, and long enough to be read as one " * 20)
    refused(start("--data", str(tmp_path / "data")), "quintet.db", "not a database")


@pytest.mark.parametrize("text", ["", "abc", "zz" * 32, "ab" * 31])
def test_a_broken_secret_key_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "secret.key").write_text(text)
    refused(start("--data", str(tmp_path)), "secret.key", "64 hex digits")


def test_a_secret_key_setting_must_be_one() -> None:
    refused(start("--secret-key", "abc"), "'secret_key' must be 64 hex digits", code=2)


def test_another_secret_key_than_the_one_that_sealed_is_found_at_the_start(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    used_before(data)
    (tmp_path / "data" / "secret.key").unlink()
    refused(start("--data", data), "secret key")
    (tmp_path / "data" / "secret.key").write_text("ab" * 32)
    refused(quintet("key", "list", "--data", data), "secret key")


def used_before(data: str) -> None:
    """Makes a data folder as a first start does."""
    from quintet.server.composition import open_parts
    from quintet.server.settings import load_settings

    open_parts(load_settings({"data": data})[0]).close()


def test_sign_in_cannot_be_off_for_everybody(tmp_path: Path) -> None:
    refused(start("--data", str(tmp_path), "--auth", "none", "--host", "0.0.0.0"), "loopback", code=2)


@pytest.mark.parametrize(
    ("url", "part", "code"),
    [
        ("mysql://root@db/q", "postgresql://", 2),
        ("postgresql://me:hunter2@127.0.0.1:1/q", "127.0.0.1:1/q", 1),
        ("postgresql://me:hunter2@127.0.0.1:port/q", "127.0.0.1:port/q", 1),
        ("postgresql://me:hunter2@no-such-host.invalid/q", "no-such-host.invalid", 1),
    ],
)
def test_a_database_out_of_reach_is_one_line_without_its_password(tmp_path: Path, url: str, part: str, code: int) -> None:
    done = start("--data", str(tmp_path / "data"), "--database", url)
    refused(done, part, code=code)
    assert "hunter2" not in done.err


def test_a_blob_store_of_an_unknown_kind_is_one_line(tmp_path: Path) -> None:
    refused(start("--data", str(tmp_path / "data"), "--blobs", "ftp://x"), "ftp")


def test_a_log_level_that_is_none_is_one_line(tmp_path: Path) -> None:
    refused(start("--data", str(tmp_path / "data"), "--log-level", "loud"), "loud", code=2)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "256k") as folder:
        yield folder


def test_a_disk_without_room_for_the_tables_is_one_line(disk: Path) -> None:
    refused(start("--data", str(disk)), "full")


def test_a_disk_without_room_for_the_key_leaves_no_half_key(disk: Path) -> None:
    data = disk / "data"
    data.mkdir()
    fill(disk)
    refused(start("--data", str(data)), "No space")
    assert not (data / "secret.key").exists()
