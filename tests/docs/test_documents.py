"""The documents say what is true: commands parse, links lead somewhere, nothing that exists is left out."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from quintet.cli.main import make_parser
from quintet.server.settings import describe
from quintet.storage.tables import metadata

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
SOURCE = ROOT / "src" / "quintet"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(text: str) -> str:
    return FENCE.sub("", text)


def commands(path: Path) -> Iterator[str]:
    """Every `quintet …` that a document tells to run, in examples and in the middle of a sentence."""
    text = path.read_text()
    for language, block in FENCE.findall(text):
        if language in ("sh", ""):
            lines = block.replace("\\\n", " ").splitlines()
            yield from (line.partition("#")[0].strip() for line in lines if line.startswith("quintet "))
    # With <placeholders> it is something that a job is told, and not typed into a shell.
    yield from (span for span in SPAN.findall(prose(text)) if span.startswith("quintet ") and "<" not in span)


COMMANDS = sorted({(name(path), command) for path in DOCUMENTS for command in commands(path)})


@pytest.mark.parametrize(("where", "command"), COMMANDS)
def test_every_command_is_one_that_the_parser_knows(where: str, command: str) -> None:
    words = [word for word in shlex.split(command)[1:] if word != "…"]
    # In a sentence a command may be named without what it cannot do without.
    words = {"key": ["key", "list"], "user": ["user", "list"], "env CLIENT": ["env", "all"]}.get(" ".join(words), words)
    if words[-1:] == ["revoke"]:
        words.append("ACCESS_KEY")
    assert make_parser().parse_args(words).run is not None, where


def test_the_documents_name_every_command() -> None:
    told = {command.split()[1] for _, command in COMMANDS}
    assert {"up", "worker", "demo", "user", "key", "env", "migrate", "doctor"} <= told


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_link_leads_to_something(path: Path) -> None:
    for target in LINK.findall(prose(path.read_text())):
        if not target.startswith(("http://", "https://", "#", "mailto:")):
            assert (path.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_path_in_a_document_exists(path: Path) -> None:
    rooms = "domain|ports|storage|blobs|engines|executors|egress|trainers|app|recipes|dialects|server|cli|web"
    for span in SPAN.findall(prose(path.read_text())):
        found = re.fullmatch(rf"(?:src/quintet/)?((?:{rooms})/[\w/.]+\.py|(?:{rooms})/[\w/]+/)", span)
        if found is not None:
            assert (SOURCE / found[1]).exists(), span
        if re.fullmatch(r"(tests|benchmarks|contracts|docs)/[\w/.]+\.\w+", span):
            assert (ROOT / span).exists(), span


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_examples_in_python_and_json_can_be_read(path: Path) -> None:
    for language, block in FENCE.findall(path.read_text()):
        if language == "python":
            ast.parse(block)
        if language == "json":
            json.loads(block)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_target_of_make_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = path.read_text()
    told = {span.removeprefix("make ").split()[0] for span in SPAN.findall(prose(text)) if span.startswith("make ")}
    for language, block in FENCE.findall(text):
        if language == "sh":
            told |= {line.split()[1] for line in block.splitlines() if line.startswith("make ")}
    assert told <= targets


def test_every_setting_is_in_the_guide_with_its_default() -> None:
    guide = (ROOT / "docs/guide/settings.md").read_text()
    told = {key: cell.strip(" `") for key, cell in re.findall(r"^\| `(\w+)` \|([^|]*)\|", guide, re.MULTILINE)}
    assert told == {setting: str(default) for setting, default, _ in describe()}


def test_every_room_is_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rooms = {p.name for p in SOURCE.iterdir() if p.is_dir() and not p.name.startswith(("_", "."))}
    assert {room for room in rooms if f"`{room}/" not in text} == set()


def test_every_dialect_has_a_page_or_its_contract_named() -> None:
    readme = (ROOT / "README.md").read_text()
    for contract in sorted(p.name for p in (ROOT / "contracts").iterdir() if p.is_dir()):
        page = f"docs/dialects/{contract}.md"
        assert page in readme or f"contracts/{contract}/" in readme, contract
        if (ROOT / page).exists():
            assert page in readme


def test_every_decision_is_numbered_once_and_named_where_people_look() -> None:
    files = sorted((ROOT / "docs/decisions").glob("*.md"))
    numbers = [p.name[:4] for p in files]
    assert len(set(numbers)) == len(numbers)
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    for path in files:
        assert path.read_text().startswith(f"# {path.name[:4]}"), path.name
        assert f"docs/decisions/{path.name}" in contributing, path.name


def test_a_line_of_the_changelog_has_at_most_25_words() -> None:
    lines = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("- ")]
    assert lines
    assert [line for line in lines if len(line[2:].split()) > 25] == []


def test_the_newest_entry_of_the_changelog_is_this_version() -> None:
    from quintet import __version__

    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == __version__


def test_the_security_page_says_where_the_key_is() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    assert "secret.key" in text
    assert "api_keys" in metadata.tables
    assert "secret_hash" in metadata.tables["api_keys"].c


def test_make_help_lists_the_targets_that_have_a_line() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("demo", "test", "check", "setup", "schema"):
        assert re.search(rf"^{target}\b", shown, re.MULTILINE), target
