"""The recipes that a worker can run, as the server knows them: enough to list them and to check arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from quintet.domain.runs import RunKind


@dataclass(frozen=True, slots=True)
class RecipeCard:
    """A recipe. `schema` is the JSON schema of its arguments; `source` its code and `digest` the code's SHA-256."""

    name: str
    kind: RunKind
    summary: str
    schema: Mapping[str, Any]
    stages: tuple[str, ...]
    source: str
    digest: str


class RecipeBook(Protocol):
    """What the composition root gives to use cases; listing needs none of the packages that running does."""

    def list(self) -> tuple[RecipeCard, ...]: ...

    def get(self, name: str) -> RecipeCard:
        """NotFound for a name that no recipe has."""
        ...

    def check(self, name: str, args: Mapping[str, Any]) -> None:
        """Invalid, naming the argument, where the recipe would refuse `args`."""
        ...
