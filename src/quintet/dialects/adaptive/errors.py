"""Errors in this contract's words.

The official client looks for `EntityNotFound:` and then for the first of use_case, metric, model, user in the
text to say what is missing, so the kinds below are spelt that way. In REST an error is `{"error": text}`.
"""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from quintet.dialects.kit.errors import BodyTooLarge, EncodedBody, ErrorTable
from quintet.domain.errors import (
    Conflict,
    Forbidden,
    Internal,
    Invalid,
    NotFound,
    Precondition,
    QuintetError,
    Quota,
    TimedOut,
    Unauthenticated,
    Unavailable,
    Unsupported,
)

STATUS: ErrorTable[int] = ErrorTable(
    {
        NotFound: 404,
        Conflict: 409,
        Forbidden: 403,
        Unauthenticated: 401,
        Invalid: 400,
        EncodedBody: 415,
        Precondition: 409,
        Quota: 429,
        BodyTooLarge: 413,
        Unavailable: 503,
        TimedOut: 408,
        Unsupported: 501,
        Internal: 500,
    }
)

ENTITIES = {
    "project": "use_case",
    "interaction": "completion",
    "deployment": "model",
    "experiment": "ab_campaign",
    "run": "job",
}
"""The contract's names of kinds, where the core has another."""


def message(error: QuintetError) -> str:
    """The text of an error; it names the field that is wrong."""
    if isinstance(error, NotFound) and "kind" in error.data:
        kind = str(error.data["kind"])
        return f"EntityNotFound: {ENTITIES.get(kind, kind.replace(' ', '_'))} '{error.data.get('id', '')}'"
    if error.field and f"'{error.field}'" not in error.message:
        return f"{error.field}: {error.message}"
    return error.message


def respond(error: QuintetError, request_id: str) -> Response:
    """An error of a REST operation."""
    body = {"error": message(error), "code": error.code, "request_id": request_id}
    return Response(msgspec.json.encode(body), status_code=STATUS.row(error), media_type="application/json")
