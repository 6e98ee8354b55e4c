"""Where a setting comes from: flag over variable over TOML file over default, and what is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.commands import quintet

from quintet.server.settings import Settings, StartupError, describe, load_settings, shown


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, _, _ in describe():
        monkeypatch.delenv(f"QUINTET_{name.upper()}", raising=False)
    monkeypatch.delenv("QUINTET_CONFIG", raising=False)


def toml(folder: Path, text: str) -> str:
    path = folder / "quintet.toml"
    path.write_text(text)
    return str(path)


def test_each_source_wins_over_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = toml(tmp_path, 'port = 7000\nhost = "127.0.0.2"\nlog_level = "debug"\n')
    monkeypatch.setenv("QUINTET_PORT", "7001")
    monkeypatch.setenv("QUINTET_HOST", "127.0.0.3")
    settings, origin = load_settings({"port": 7002}, path)
    assert (settings.port, origin["port"]) == (7002, "flag")
    assert (settings.host, origin["host"]) == ("127.0.0.3", "QUINTET_HOST")
    assert (settings.log_level, origin["log_level"]) == ("debug", path)
    assert (settings.workers, origin["workers"]) == (1, "default")


def test_the_file_can_be_named_by_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUINTET_CONFIG", toml(tmp_path, "port = 7003"))
    assert load_settings({})[0].port == 7003


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("prot = 1", "'prot'"),
        ("port = ", "is not TOML"),
        ('port = "many"', "'port'"),
        ("host = 5", "'host'"),
        ("port = 70000", "port"),
        ("workers = -1", "workers"),
        ("body_limit = 0", "'body_limit'"),
        ('auth = "open"', "'auth'"),
        ('egress_allow = "everywhere"', "egress_allow"),
        ('database = "mysql://x"', "'database'"),
    ],
)
def test_a_wrong_file_is_refused_by_the_name_of_the_setting(tmp_path: Path, text: str, named: str) -> None:
    done = quintet("doctor", "--config", toml(tmp_path, text))
    assert done.code == 2
    assert named in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    done = quintet("doctor", "--config", str(tmp_path / "none.toml"))
    assert done.code == 2
    assert "none.toml cannot be read" in done.err


def test_a_number_from_a_variable_must_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUINTET_PORT", "eight")
    with pytest.raises(StartupError, match=r"'port' \(QUINTET_PORT\) must be a whole number, not 'eight'"):
        load_settings({})


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_sign_in_may_be_off_on_loopback(host: str) -> None:
    assert load_settings({"auth": "none", "host": host})[0].auth == "none"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "models.example.org"])
def test_sign_in_cannot_be_off_beyond_loopback(host: str) -> None:
    with pytest.raises(StartupError, match="works only on loopback"):
        load_settings({"auth": "none", "host": host})


def test_urls_may_point_to_loopback_only_while_the_server_is_on_loopback() -> None:
    assert Settings().allowed_networks == ["127.0.0.0/8", "::1/128"]
    assert Settings(host="0.0.0.0").allowed_networks == []
    assert Settings(host="0.0.0.0", egress_allow="10.0.0.0/8, 10.1.0.0/16").allowed_networks == [
        "10.0.0.0/8",
        "10.1.0.0/16",
    ]


def test_what_is_shown_holds_no_secret() -> None:
    settings = Settings(database="postgresql://me:hunter2@db/q", secret_key="ab" * 32, blobs="s3://id:hunter2@bucket")
    printed = json.dumps(shown(settings))
    assert "hunter2" not in printed
    assert "abab" not in printed
    assert "db/q" in printed
