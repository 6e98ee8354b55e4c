"""Errors of this dialect, in one body that reads right as Llama Stack's (RFC 7807) and as OpenAI's.

The body is `{"status", "title", "detail", "instance", "error": {"message", "type", "param", "code"}}`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from starlette.responses import Response

from quintet.dialects.kit.errors import BodyTooLarge, EncodedBody, ErrorTable
from quintet.domain import errors
from quintet.domain.errors import QuintetError


class Row(NamedTuple):
    """`kind` is OpenAI's word for the family of errors. `retry` None leaves it to the client's own rules."""

    status: int
    title: str
    kind: str
    retry: bool | None = None


# Both clients try 409 again, and OpenAI's every 5xx: where that cannot help, they are told not to.
TABLE: ErrorTable[Row] = ErrorTable(
    {
        errors.NotFound: Row(404, "Not Found", "invalid_request_error"),
        errors.Conflict: Row(409, "Conflict", "invalid_request_error", False),
        errors.Forbidden: Row(403, "Forbidden", "permission_error"),
        errors.Unauthenticated: Row(401, "Unauthorized", "authentication_error"),
        errors.Invalid: Row(400, "Bad Request", "invalid_request_error"),
        errors.Precondition: Row(409, "Conflict", "invalid_request_error", False),
        errors.Quota: Row(429, "Too Many Requests", "rate_limit_error"),
        BodyTooLarge: Row(413, "Content Too Large", "invalid_request_error"),
        EncodedBody: Row(415, "Unsupported Media Type", "invalid_request_error"),
        errors.Unavailable: Row(503, "Service Unavailable", "server_error"),
        errors.TimedOut: Row(504, "Gateway Timeout", "server_error"),
        errors.Unsupported: Row(501, "Not Implemented", "not_implemented_error", False),
        errors.Internal: Row(500, "Internal Server Error", "server_error", False),
    }
)


def error_body(error: QuintetError, request_id: str) -> dict[str, Any]:
    """The body of an error, also the last event of a stream that fails."""
    row = TABLE.row(error)
    detail = error.message
    if error.field is not None and error.field not in detail:
        detail = f"{error.field}: {detail}"
    return {
        "status": row.status,
        "title": row.title,
        "detail": detail,
        "instance": request_id,
        "error": {"message": detail, "type": row.kind, "param": error.field, "code": error.code},
    }


def show_error(error: QuintetError, request_id: str) -> Response:
    """The error as a response."""
    row = TABLE.row(error)
    headers = {} if row.retry is None else {"x-should-retry": "true" if row.retry else "false"}
    return Response(
        msgspec.json.encode(error_body(error, request_id)),
        status_code=row.status,
        media_type="application/json",
        headers=headers,
    )
