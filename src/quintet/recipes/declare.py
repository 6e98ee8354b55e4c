"""How a function becomes a recipe: the `recipe` decorator and what it records."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

from quintet.domain.errors import Invalid
from quintet.recipes.schema import json_schema

Main = Callable[..., Coroutine[Any, Any, None] | None]
M = TypeVar("M", bound=Main)
_MARK = "__quintet_recipe__"


@dataclass(frozen=True, slots=True)
class NoConfig:
    """Arguments of a recipe that takes none."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe: `main(ctx, config)`, or `main(ctx)` if `config` is `NoConfig`; plain or `async`.

    `stages` are the names of its stages in order, shown as pending from the start.
    """

    name: str
    config: type
    main: Main
    description: str = ""
    stages: tuple[str, ...] = ()

    def schema(self) -> dict[str, Any]:
        """JSON schema of the arguments."""
        return json_schema(self.config)


def recipe(
    *, name: str, config: type = NoConfig, description: str = "", stages: tuple[str, ...] = ()
) -> Callable[[M], M]:
    """Marks `def main(ctx: RecipeContext, config: MyConfig) -> None` as the recipe of its file.

    The function stays callable as it is, so that a test can call it with a context of its own.
    """
    if not (isinstance(config, type) and dataclasses.is_dataclass(config)):
        raise TypeError(f"recipe '{name}': config must be a dataclass, not {config!r}")
    json_schema(config)  # a type that cannot be an argument is an error here, not in the first run

    def mark(main: M) -> M:
        summary = description or (main.__doc__ or "").strip().split("\n")[0]
        setattr(main, _MARK, Recipe(name, config, main, summary, stages))
        return main

    return mark


def recipe_in(module: ModuleType) -> Recipe:
    """The one recipe that `module` defines; Invalid if there is none, or more."""
    marked = {id(r): r for r in (getattr(value, _MARK, None) for value in vars(module).values())
              if isinstance(r, Recipe) and r.main.__module__ == module.__name__}  # fmt: skip
    found = list(marked.values())
    if len(found) == 1:
        return found[0]
    what = "no function" if not found else f"{len(found)} functions ({', '.join(r.name for r in found)})"
    raise Invalid(
        f"{module.__name__} has {what} marked with @recipe; a recipe's file needs exactly one", field="recipe"
    )
