"""What this dialect gives to the server."""

from __future__ import annotations

from quintet.app.core import Core
from quintet.dialects.kit.mount import Mount
from quintet.dialects.llama_stack import (
    chat,
    completions,
    embeddings,
    inspection,
    models,
    rerank,
    stored,
)
from quintet.dialects.llama_stack.binder import DIALECT, binder
from quintet.dialects.llama_stack.errors import show_error

__all__ = ["HANDLERS", "mount"]

HANDLERS = (
    chat,
    completions,
    embeddings,
    inspection,
    models,
    rerank,
    stored,
)
"""The modules whose import binds the operations."""


def mount(core: Core) -> Mount:
    """The Llama Stack and OpenAI calls over `core`."""
    return Mount(
        DIALECT,
        binder.routes(),
        prefixes=("/v1/", "/v1alpha/", "/v1beta/"),
        errors=show_error,
        coverage=binder.coverage,
    )
