"""Errors of the Inference API: `{"error": "<message>"}`, with `field` where the caller can mend one."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from quintet.dialects.kit.errors import BodyTooLarge, EncodedBody, ErrorTable
from quintet.domain import errors
from quintet.domain.errors import QuintetError

TABLE: ErrorTable[int] = ErrorTable(
    {
        errors.NotFound: 404,
        errors.Conflict: 409,
        errors.Forbidden: 403,
        errors.Unauthenticated: 401,
        errors.Invalid: 400,
        errors.Precondition: 422,
        errors.Quota: 429,
        BodyTooLarge: 413,
        EncodedBody: 415,
        errors.Unavailable: 503,
        errors.TimedOut: 408,
        errors.Unsupported: 501,
        errors.Internal: 500,
    }
)


def show_error(error: QuintetError, request_id: str) -> Response:
    """The error as a response."""
    body: dict[str, object] = {"error": error.message, "code": error.code, "request_id": request_id}
    if error.field is not None:
        body["field"] = error.field
    return Response(msgspec.json.encode(body), status_code=TABLE.row(error), media_type="application/json")
