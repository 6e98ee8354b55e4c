"""`quintet user` and `quintet key`, beside a running server: what they change holds there at once, or in seconds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.commands import Done, quintet
from tests.support.servers import ServerHandle, running_server

from quintet.app.identity.authenticate import CACHE_SECONDS, Authenticator, Credentials
from quintet.domain.errors import Unauthenticated

MODELS = "/v1/models"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerHandle]:
    with running_server(tmp_path_factory.mktemp("accounts")) as handle:
        yield handle


def beside(server: ServerHandle, *arguments: str) -> Done:
    """A command on the data folder of the running server."""
    return quintet(*arguments, "--data", str(server.parts.settings.folder))


def made(server: ServerHandle, *arguments: str) -> dict[str, str]:
    done = beside(server, *arguments, "--json")
    assert done.code == 0, done.err
    return dict(json.loads(done.out))


def test_a_new_key_works_at_once_and_has_both_spellings(server: ServerHandle) -> None:
    key = made(server, "key", "create", "--label", "laptop")
    assert set(key) == {"key", "access_key", "secret_key", "user", "space"}
    assert key["key"] == f"qk_{key['access_key']}.{key['secret_key']}"
    assert (key["user"], key["space"]) == ("admin@quintet.local", "Default")
    assert server.call("GET", MODELS, key=key["key"]).status == 200


def test_a_new_key_is_shown_for_people_too(server: ServerHandle) -> None:
    done = beside(server, "key", "create")
    assert done.code == 0
    assert "Shown this once" in done.out
    assert "qk_" in done.out


def test_keys_are_listed_without_their_secrets(server: ServerHandle) -> None:
    key = made(server, "key", "create", "--label", "listed")
    listed = json.loads(beside(server, "key", "list", "--json").out)
    mine = [row for row in listed if row["access_key"] == key["access_key"]]
    assert [(row["label"], row["state"], row["last_used"]) for row in mine] == [("listed", "active", "never")]
    assert key["secret_key"] not in json.dumps(listed)
    assert key["access_key"] in beside(server, "key", "list").out


def test_a_key_that_was_used_says_when(server: ServerHandle) -> None:
    key = made(server, "key", "create", "--label", "used")
    server.call("GET", MODELS, key=key["key"])
    listed = json.loads(beside(server, "key", "list", "--json").out)
    assert next(row for row in listed if row["access_key"] == key["access_key"])["last_used"].endswith("+00:00")


def test_a_revoked_key_is_listed_as_such_and_cannot_be_revoked_again(server: ServerHandle) -> None:
    key = made(server, "key", "create")
    assert made(server, "key", "revoke", key["access_key"]) == {"revoked": key["access_key"]}
    listed = json.loads(beside(server, "key", "list", "--json").out)
    assert next(row for row in listed if row["access_key"] == key["access_key"])["state"] == "revoked"
    again = beside(server, "key", "revoke", key["access_key"])
    assert (again.code, again.err) == (1, f"quintet: key '{key['access_key']}' was not found\n")


def test_a_key_revoked_by_another_process_ends_within_the_cache_time(server: ServerHandle) -> None:
    key = made(server, "key", "create", "--label", "short life")
    now = [1000.0]
    doorman = Authenticator(server.core, b"secret", monotonic=lambda: now[0])
    given = Credentials(key["key"])
    assert asyncio.run(doorman.authenticate(given)).email == key["user"]
    beside(server, "key", "revoke", key["access_key"])
    now[0] += CACHE_SECONDS - 0.1
    assert asyncio.run(doorman.authenticate(given)).email == key["user"]
    now[0] += 0.2
    with pytest.raises(Unauthenticated, match="revoked"):
        asyncio.run(doorman.authenticate(given))


def test_a_key_revoked_before_its_first_use_is_refused(server: ServerHandle) -> None:
    key = made(server, "key", "create")
    beside(server, "key", "revoke", key["access_key"])
    assert server.call("GET", MODELS, key=key["key"]).status == 401


def test_a_user_gets_a_role_and_keys_of_their_own(server: ServerHandle) -> None:
    user = made(server, "user", "create", "--email", "ann@example.org", "--name", "Ann", "--role", "read-only")
    assert (user["email"], user["name"], user["role"]) == ("ann@example.org", "Ann", "read-only")
    key = made(server, "key", "create", "--user", "ann@example.org", "--label", "hers")
    assert key["user"] == "ann@example.org"
    hers = json.loads(beside(server, "key", "list", "--user", "ann@example.org", "--json").out)
    assert [row["label"] for row in hers] == ["hers"]
    assert server.call("GET", MODELS, key=key["key"]).status == 200
    listed = json.loads(beside(server, "user", "list", "--json").out)
    assert {"ann@example.org", "admin@quintet.local"} <= {row["email"] for row in listed}
    assert "ann@example.org" in beside(server, "user", "list").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["user", "create", "--email", "nobody"], "'email' must be an e-mail address"),
        (["user", "create", "--email", "bo@x.org", "--role", "king"], "'king' is no role; there are: admin"),
        (["user", "create", "--email", "admin@quintet.local"], "is there already"),
        (["user", "create", "--email", "bo@x.org", "--name", "a" * 1001], "'name' is longer than 1000 characters"),
        (["key", "create", "--user", "nobody@x.org"], "user 'nobody@x.org' was not found"),
        (["key", "create", "--label", "a\x00b"], "'label' holds a control character"),
        (["key", "list", "--user", "nobody@x.org"], "user 'nobody@x.org' was not found"),
        (["key", "revoke", "NOSUCHKEY"], "key 'NOSUCHKEY' was not found"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_changes_nothing(server: ServerHandle, arguments: list[str], said: str) -> None:
    before = beside(server, "user", "list").out, beside(server, "key", "list").out
    done = beside(server, *arguments)
    assert done.code == 1
    assert said in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""
    assert (beside(server, "user", "list").out, beside(server, "key", "list").out) == before


@pytest.mark.parametrize("command", [["key", "list"], ["key", "create"], ["user", "list"], ["key", "revoke", "X"]])
def test_without_a_data_folder_nothing_is_made(tmp_path: Path, command: list[str]) -> None:
    done = quintet(*command, "--data", str(tmp_path / "none"))
    assert done.code == 1
    assert "quintet up --data" in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_only_migrated_keeps_its_first_key_for_the_first_start(tmp_path: Path) -> None:
    data = ["--data", str(tmp_path), "--secret-key", "ab" * 32]
    assert quintet("migrate", *data).code == 0
    (tmp_path / "secret.key").write_text("ab" * 32)
    done = quintet("key", "list", "--data", str(tmp_path))
    assert done.code == 1
    assert "run `quintet up` first" in done.err


@pytest.mark.parametrize("client", ["clearml", "openai"])
def test_the_variables_that_env_prints_lead_to_the_server(server: ServerHandle, client: str) -> None:
    done = quintet("env", client, "--port", server.url.rpartition(":")[2], "--json")
    assert server.url in done.out
