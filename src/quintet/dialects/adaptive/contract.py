"""The GraphQL schema of the Adaptive Engine contract."""

from __future__ import annotations

from functools import cache

from quintet.dialects.kit.contracts import read_text


@cache
def sdl() -> str:
    """The schema as the contract gives it."""
    return read_text("adaptive", "schema.graphql")
