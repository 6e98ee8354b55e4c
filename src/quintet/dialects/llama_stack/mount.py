"""What this dialect gives to the server."""

from __future__ import annotations

from quintet.app.core import Core
from quintet.app.evaluation.own import own_evaluations
from quintet.dialects.kit.mount import Mount
from quintet.dialects.llama_stack import (
    benchmarks,
    chat,
    completions,
    datasets,
    embeddings,
    eval_jobs,
    inspection,
    models,
    post_training,
    rerank,
    scoring,
    stored,
)
from quintet.dialects.llama_stack.binder import DIALECT, binder
from quintet.dialects.llama_stack.errors import show_error
from quintet.dialects.llama_stack.waiting import waiters

__all__ = ["HANDLERS", "mount"]

HANDLERS = (
    benchmarks,
    chat,
    completions,
    datasets,
    embeddings,
    eval_jobs,
    inspection,
    models,
    post_training,
    rerank,
    scoring,
    stored,
)
"""The modules whose import binds the operations."""


def mount(core: Core) -> Mount:
    """The Llama Stack and OpenAI calls over `core`."""
    # Made before the first request: a listener that joins while others commit could miss what it waits for.
    waiters(core)
    own_evaluations(core)
    return Mount(
        DIALECT,
        binder.routes(),
        prefixes=("/v1/", "/v1alpha/", "/v1beta/"),
        errors=show_error,
        coverage=binder.coverage,
    )
