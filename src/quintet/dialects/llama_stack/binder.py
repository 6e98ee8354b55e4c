"""The binder that the handlers of this dialect hang on, and the answer of operations that have nothing to say."""

from __future__ import annotations

from starlette.responses import Response

from quintet.dialects.kit.rest import RestBinder
from quintet.dialects.llama_stack import contract
from quintet.dialects.llama_stack.auth import authenticate
from quintet.dialects.llama_stack.errors import show_error

DIALECT = "llama_stack"

BODY_BYTES = 64 << 20
"""Datasets come whole in one body, and chat messages may hold images as data URIs."""

binder = RestBinder(DIALECT, contract.rest(), errors=show_error, authenticate=authenticate, body_limit=BODY_BYTES)


def null() -> Response:
    """200 with `null`, as the reference server answers what returns nothing."""
    return Response(b"null", media_type="application/json")
