"""A server that was installed without the extras: it starts, calls upstreams, and says what to install for the rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.commands import SOURCE

HIDDEN = """
import sys
class Hide:
    names = {"torch", "transformers", "trl", "peft", "datasets", "accelerate", "tokenizers", "safetensors", "numpy",
             "sklearn", "rich", "pytest", "hypothesis"}
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hide())
"""


def without_extras(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HIDDEN + code, *arguments], capture_output=True, text=True, timeout=100, check=False,
        env={"PYTHONPATH": str(SOURCE), "PATH": ""},
    )  # fmt: skip


def test_the_server_is_built_and_its_engines_are_listed(tmp_path: Path) -> None:
    code = """
from quintet.engines.catalog import installed_engines
from quintet.recipes.catalog import BUILTIN
from quintet.server.composition import open_parts
from quintet.server.serve import build
from quintet.server.settings import load_settings
parts = open_parts(load_settings({"data": sys.argv[1]})[0])
mounted = {m.dialect for m in build(parts).application.mounts}
print(sorted(mounted), sorted(installed_engines()), sorted(BUILTIN))
parts.close()
"""
    done = without_extras(code, str(tmp_path / "data"))
    assert done.returncode == 0, done.stderr[-2000:]
    for name in ("clearml", "adaptive", "domino", "llama_stack", "inference", "transformers", "sft"):
        assert f"'{name}'" in done.stdout


def test_a_local_model_names_its_install_line(tmp_path: Path) -> None:
    code = """
from pathlib import Path
from quintet.domain.errors import Unsupported
from quintet.engines.catalog import load_engine
from quintet.engines.services import EngineServices
try:
    load_engine("transformers", {}, EngineServices(None, Path(sys.argv[1])))
except Unsupported as error:
    print(error.message)
"""
    done = without_extras(code, str(tmp_path))
    assert "pip install 'quintet[local]'" in done.stdout, done.stderr[-2000:]


@pytest.mark.parametrize("recipe", ["sft", "dpo", "pretrain", "evaluate"])
def test_a_recipe_can_be_described_without_its_packages(recipe: str) -> None:
    done = without_extras(f"from quintet.recipes.run import main; sys.exit(main(['--name', '{recipe}', '--describe']))")
    assert done.returncode == 0, done.stderr[-2000:]
    assert '"schema"' in done.stdout


def test_a_file_that_needs_a_missing_package_names_the_install_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("import torch\n")
    done = without_extras(f"from quintet.recipes.run import main; sys.exit(main(['--file', {str(path)!r}]))")
    assert (done.returncode, done.stderr) == (3, "this recipe needs: pip install 'quintet[local]'\n")
