"""The runner process: which recipe it finds, what it answers, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from quintet.domain.errors import Invalid
from quintet.recipes import catalog
from quintet.recipes.run import execute, from_file, main
from quintet.recipes.testing import FakeRunClient

MINE = '''
from dataclasses import dataclass
from typing import Annotated
from quintet.recipes import Field, RecipeContext, recipe
import neighbour

@dataclass(frozen=True, slots=True)
class Settings:
    steps: Annotated[int, Field(description="How many.", ge=1)]

@recipe(name="mine", config=Settings, stages=("count",))
{kind} main(ctx: RecipeContext, config: Settings) -> None:
    """Counts to a number."""
    with ctx.stage("count", total=config.steps) as stage:
        for i in range(config.steps):
            ctx.metric("count", neighbour.VARIANT, i, iter=i)
            stage.advance()
    ctx.result({{"counted": config.steps}})
'''


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "neighbour.py").write_text('VARIANT = "v"')
    path = tmp_path / "my-recipe.py"
    path.write_text(MINE.format(kind="def"))
    return path


@pytest.fixture(autouse=True)
def _restore(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner changes its process: its paths, its modules, its signals."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    for name in [name for name in sys.modules if name in ("neighbour", "recipe_my_recipe")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_file_of_ones_own_runs(mine: Path, tmp_path: Path, kind: str) -> None:
    mine.write_text(MINE.format(kind=kind))
    client = FakeRunClient(tmp_path / "server", args={"steps": 3})
    execute(from_file(mine), client, tmp_path)
    assert client.series("count", "v") == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert client.results == {"counted": 3}
    assert client.share == 1.0


def test_a_wrong_argument_ends_it_before_it_began(mine: Path, tmp_path: Path) -> None:
    client = FakeRunClient(tmp_path / "server", args={"steps": 0})
    with pytest.raises(Invalid) as caught:
        execute(from_file(mine), client, tmp_path)
    assert caught.value.field == "steps"
    assert client.results == {}


def test_what_was_reported_before_a_failure_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "fails.py"
    path.write_text(
        "from quintet.recipes import recipe\n"
        '@recipe(name="fails")\n'
        "def main(ctx):\n"
        '    with ctx.stage("work"):\n'
        '        ctx.metric("loss", "train", 1.0, iter=1)\n'
        '        raise RuntimeError("the disk is full")\n'
    )
    client = FakeRunClient(tmp_path / "server")
    with pytest.raises(RuntimeError, match="disk is full"):
        execute(from_file(path), client, tmp_path)
    assert client.series("loss", "train") == [(1, 1.0)]
    assert client.stages[0]["state"] == "error"


def test_a_file_with_no_recipe_or_two_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.py"
    path.write_text("x = 1\nfrom quintet.recipes.sft import main as imported\n")
    with pytest.raises(Invalid, match="no function"):
        from_file(path)
    one = 'from quintet.recipes import recipe\n@recipe(name="{0}")\ndef {0}(ctx): pass\n'
    path.write_text(one.format("a") + one.format("b"))
    with pytest.raises(Invalid, match=r"2 functions \(a, b\)"):
        from_file(path)


def test_describing_prints_name_stages_and_schema(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--file", str(mine), "--describe"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert (described["name"], described["description"], described["stages"]) == (
        "mine", "Counts to a number.", ["count"]
    )  # fmt: skip
    assert described["schema"]["required"] == ["steps"]


def test_a_missing_package_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "heavy.py"
    path.write_text('raise ModuleNotFoundError("No module named \'torch\'", name="torch")')
    assert main(["--file", str(path), "--describe"]) == 3
    assert capsys.readouterr().err == "this recipe needs: pip install 'quintet[local]'\n"


def test_an_unknown_name_is_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--name", "nothing"]) == 1
    assert capsys.readouterr().err.splitlines() == ["recipe 'nothing' was not found"]


def test_the_last_line_of_an_unexpected_failure_is_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.py"
    path.write_text('raise ValueError("bad shape\\nwith details")')
    assert main(["--file", str(path), "--describe"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "ValueError: bad shape"
    assert any("broken.py" in line for line in lines)


def test_a_stop_is_obeyed_at_once(tmp_path: Path) -> None:
    path = tmp_path / "endless.py"
    path.write_text(
        'import time\nprint("begun", flush=True)\ntry:\n    time.sleep(60)\nexcept BaseException:\n    pass'
    )
    command = [sys.executable, "-m", "quintet.recipes.run", "--file", str(path)]
    source = str(Path(catalog.__file__).parents[2])
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": source}
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.terminate()
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 143
    assert errors == "stopped\n"


def test_listing_and_describing_recipes_imports_no_torch() -> None:
    code = (
        "import sys\nfrom quintet.recipes import catalog\n"
        "for name in catalog.BUILTIN: catalog.load(name).schema()\n"
        "print(sorted({'torch', 'transformers', 'trl', 'datasets', 'sqlalchemy', 'starlette'} & set(sys.modules)))"
    )
    source = str(Path(catalog.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30,
        env={**os.environ, "PYTHONPATH": source},
    )  # fmt: skip
    assert done.stdout == "[]\n"
