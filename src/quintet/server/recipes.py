"""The built-in recipes for the server: their schemas and code are read once, at the first question."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from quintet.domain.errors import NotFound
from quintet.domain.runs import RunKind
from quintet.ports.recipes import RecipeCard
from quintet.recipes import catalog
from quintet.recipes.schema import parse_config


class BuiltinRecipes:
    """Implements RecipeBook over the catalog."""

    def list(self) -> tuple[RecipeCard, ...]:
        return tuple(_card(name) for name in catalog.BUILTIN)

    def get(self, name: str) -> RecipeCard:
        if name not in catalog.BUILTIN:
            raise NotFound.of("recipe", name)
        return _card(name)

    def check(self, name: str, args: Mapping[str, Any]) -> None:
        parse_config(catalog.load(name).config, args)


@cache
def _card(name: str) -> RecipeCard:
    spec = catalog.BUILTIN[name]
    found = importlib.util.find_spec(spec.module)
    source = Path(found.origin).read_text(encoding="utf-8") if found and found.origin else ""
    kind = RunKind(name) if name in set(RunKind) else RunKind.CUSTOM
    digest = hashlib.sha256(source.encode()).hexdigest()
    return RecipeCard(name, kind, spec.summary, catalog.load(name).schema(), spec.stages, source, digest)
