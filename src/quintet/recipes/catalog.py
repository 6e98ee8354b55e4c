"""The built-in recipes as data, so that listing them imports none of them, and no torch."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from quintet.domain.errors import NotFound
from quintet.recipes.declare import Recipe, recipe_in


@dataclass(frozen=True, slots=True)
class BuiltinRecipe:
    """`module` holds the recipe; `extra` is the pip extra that running it needs."""

    name: str
    module: str
    summary: str
    stages: tuple[str, ...]
    extra: str | None


BUILTIN: dict[str, BuiltinRecipe] = {
    spec.name: spec
    for spec in (
        BuiltinRecipe(
            "pretrain",
            "quintet.recipes.pretrain",
            "Pretrains a small language model and its tokenizer from plain text.",
            ("read", "train", "register"),
            "local",
        ),
        BuiltinRecipe(
            "sft",
            "quintet.recipes.sft",
            "Supervised fine-tuning: teaches a model the replies of a dataset.",
            ("read", "train", "register"),
            "local",
        ),
        BuiltinRecipe(
            "dpo",
            "quintet.recipes.dpo",
            "Direct preference optimisation: teaches a model which of two replies people preferred.",
            ("read", "train", "register"),
            "local",
        ),
        BuiltinRecipe(
            "evaluate",
            "quintet.recipes.evaluate",
            "Lets a model answer the rows of a dataset and scores the answers.",
            ("read", "generate", "score"),
            "local",
        ),
    )
}


def load(name: str) -> Recipe:
    """The built-in recipe `name`, with its schema; NotFound. Imports its module, but none of its extra."""
    spec = BUILTIN.get(name)
    if spec is None:
        raise NotFound.of("recipe", name)
    return recipe_in(importlib.import_module(spec.module))
