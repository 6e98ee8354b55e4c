"""The process that a worker starts for one run: `python -m quintet.recipes.run --name sft` or `--file my_recipe.py`.

The exit code says how it went: 0 completed, 1 failed (the last line of standard error is the reason), 2 wrongly
called, 3 a package is missing, 143 stopped. `--describe` prints what the recipe is, as JSON, and runs nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import inspect
import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from quintet.domain.errors import Invalid, QuintetError
from quintet.recipes import catalog
from quintet.recipes.client import RunClient
from quintet.recipes.context import RecipeContext
from quintet.recipes.declare import NoConfig, Recipe, recipe_in
from quintet.recipes.http_client import HttpRunClient
from quintet.recipes.schema import parse_config

FAILED, MISSING, STOPPED = 1, 3, 143

LOCAL_PACKAGES = frozenset({"torch", "transformers", "trl", "peft", "datasets", "accelerate", "tokenizers",
                            "safetensors"})  # fmt: skip
"""What the extra "local" installs; if one of these is missing, that is the remedy."""


SPINS = "2000"
"""How long torch's threads spin for each other before they sleep. The library's own 300,000 assumes that no other
process wants a core; beside a busy server on two cores that made steps 5 to 20 times longer (0.09 s to over 1 s,
measured). With this they stay within twice the undisturbed time, and undisturbed they take the same."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m quintet.recipes.run", description="Runs one recipe.")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--name", help="a built-in recipe: " + ", ".join(catalog.BUILTIN))
    which.add_argument("--file", type=Path, help="a Python file with a function marked with @recipe")
    parser.add_argument("--describe", action="store_true", help="print name, description and schema as JSON")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _stop)
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)  # read when torch is loaded
    try:
        found = catalog.load(options.name) if options.name else from_file(options.file)
        if options.describe:
            print(json.dumps({"name": found.name, "description": found.description, "stages": list(found.stages),
                              "schema": found.schema()}))  # fmt: skip
        else:
            execute(found, HttpRunClient.from_env(), _work_dir())
    except Exception as error:
        return _explain(error)
    return 0


def from_file(path: Path) -> Recipe:
    """The recipe in the Python file `path`, which may import its neighbours. Invalid if there is none in it."""
    if not path.is_file():
        raise Invalid(f"there is no file {path}", field="file")
    spec = importlib.util.spec_from_file_location("recipe_" + path.stem.replace("-", "_"), path)
    if spec is None or spec.loader is None:
        raise Invalid(f"{path} is no Python file", field="file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return recipe_in(module)


def execute(found: Recipe, client: RunClient, work_dir: Path) -> None:
    """Runs `found` to its end and sends everything it reported; raises what it raised."""
    ctx = RecipeContext(client, work_dir, stages=found.stages)
    try:
        config: object = parse_config(found.config, ctx.args)
        finished = found.main(ctx) if found.config is NoConfig else found.main(ctx, config)
        if inspect.isawaitable(finished):
            asyncio.run(_wait_for(finished))
    except BaseException:
        # The recipe's own error is the one to tell, whatever comes of sending the last points.
        try:
            ctx.close()
        except QuintetError as error:
            print(f"the last reports were not sent: {error}", file=sys.stderr)
        raise
    ctx.close()


async def _wait_for(finished: object) -> None:
    await finished  # type: ignore[misc]


def _work_dir() -> Path:
    given = os.environ.get("QUINTET_WORK_DIR")
    folder = Path(given) if given else Path(tempfile.mkdtemp(prefix="quintet-run-"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _explain(error: Exception) -> int:
    """Prints why it failed, the reason as the last line; answers the exit code."""
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in LOCAL_PACKAGES:
        print("this recipe needs: pip install 'quintet[local]'", file=sys.stderr)
        return MISSING
    lines = str(error).strip().splitlines()
    if isinstance(error, QuintetError):
        reason = " ".join(lines) or error.code
    else:
        traceback.print_exception(error)
        reason = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    print(reason, file=sys.stderr, flush=True)
    return FAILED


def _stop(signum: int, frame: object) -> None:
    # Not an exception: a library deep in a step might catch it, and whoever asked to stop waits for the process.
    os.write(2, b"stopped\n")
    os._exit(STOPPED)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Straight out: torch's threads need seconds to wind down, and everything is sent and written by now.
    os._exit(code)
