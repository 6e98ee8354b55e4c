"""What a newcomer sees first: help with examples, the variables of each client, and errors of usage."""

from __future__ import annotations

import json
import shlex

import pytest
from tests.support.commands import quintet

from quintet import __version__
from quintet.cli.client_env import CLIENTS
from quintet.cli.main import EXAMPLES, make_parser


def test_help_lists_every_command_and_shows_examples() -> None:
    done = quintet("--help")
    assert done.code == 0
    for command in ("up", "worker", "demo", "user", "key", "env", "migrate", "doctor"):
        assert f"    {command} " in done.out
    assert EXAMPLES.strip() in done.out


@pytest.mark.parametrize("line", [line for line in EXAMPLES.splitlines() if line.startswith("  quintet ")])
def test_every_example_is_a_command_that_themake_parser_takes(line: str) -> None:
    words = shlex.split(line.split("    ")[0] if "    " in line.strip() else line)
    assert make_parser().parse_args(words[1:]).run is not None


def test_the_version_is_the_packages() -> None:
    assert quintet("--version").out == f"quintet {__version__}\n"


def test_no_command_and_an_unknown_one_are_usage_errors() -> None:
    assert quintet().code == 2
    done = quintet("launch")
    assert done.code == 2
    assert "launch" in done.err


@pytest.mark.parametrize("client", CLIENTS)
def test_env_prints_variables_that_a_shell_can_take(client: str) -> None:
    done = quintet("env", client, "--url", "http://models.example.org/")
    exported = [line for line in done.out.splitlines() if not line.startswith("#")]
    assert done.code == 0
    assert exported
    for line in exported:
        name, _, value = line.removeprefix("export ").partition("=")
        assert line.startswith("export ")
        assert name.isupper()
        assert value
    assert "http://models.example.org" in done.out
    assert "example.org//" not in done.out


def test_env_of_all_clients_as_json_has_one_entry_for_each() -> None:
    printed = json.loads(quintet("env", "all", "--json", "--port", "9000").out)
    assert set(printed) == set(CLIENTS)
    assert printed["openai"]["OPENAI_BASE_URL"] == "http://127.0.0.1:9000/v1"


def test_env_names_the_clients_it_knows() -> None:
    done = quintet("env", "fax")
    assert done.code == 2
    assert "fax" in done.err
    assert "clearml" in done.err


def test_env_refuses_what_is_no_url() -> None:
    done = quintet("env", "openai", "--url", "models.example.org")
    assert (done.code, done.err) == (2, "quintet: 'models.example.org' is not a URL\n")
