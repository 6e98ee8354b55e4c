"""Errors in Domino's two shapes, and in MLflow's.

Never 409: the Domino client takes it to mean that its credentials have expired.
"""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from quintet.dialects.kit.errors import BodyTooLarge, EncodedBody, ErrorTable
from quintet.domain import errors
from quintet.domain.errors import Invalid, QuintetError

TABLE: ErrorTable[int] = ErrorTable(
    {
        errors.NotFound: 404,
        errors.Conflict: 400,
        errors.Forbidden: 403,
        errors.Unauthenticated: 401,
        errors.Invalid: 400,
        errors.Precondition: 400,
        errors.Quota: 429,
        BodyTooLarge: 413,
        EncodedBody: 415,
        errors.Unavailable: 503,
        errors.TimedOut: 504,
        errors.Unsupported: 501,
        errors.Internal: 500,
    }
)

MLFLOW: ErrorTable[tuple[int, str]] = ErrorTable(
    {
        errors.NotFound: (404, "RESOURCE_DOES_NOT_EXIST"),
        errors.Conflict: (400, "RESOURCE_ALREADY_EXISTS"),
        errors.Forbidden: (403, "PERMISSION_DENIED"),
        errors.Unauthenticated: (401, "UNAUTHENTICATED"),
        errors.Invalid: (400, "INVALID_PARAMETER_VALUE"),
        errors.Precondition: (400, "INVALID_STATE"),
        errors.Quota: (429, "REQUEST_LIMIT_EXCEEDED"),
        BodyTooLarge: (413, "REQUEST_LIMIT_EXCEEDED"),
        errors.Unavailable: (503, "TEMPORARILY_UNAVAILABLE"),
        errors.TimedOut: (504, "DEADLINE_EXCEEDED"),
        errors.Unsupported: (501, "NOT_IMPLEMENTED"),
        errors.Internal: (500, "INTERNAL_ERROR"),
    }
)


def show_error(error: QuintetError, request_id: str) -> Response:
    """A FailureEnvelope, or for a body that cannot be decoded an InvalidBodyEnvelope."""
    said = _named(error)
    body: dict[str, object] = {"requestId": request_id, "errors": [said]}
    if isinstance(error, Invalid) and isinstance(error.__cause__, msgspec.MsgspecError):
        body = {"message": said}
    return Response(msgspec.json.encode(body), status_code=TABLE.row(error), media_type="application/json")


def show_mlflow_error(error: QuintetError, request_id: str) -> Response:
    """The error as MLflow's clients read it."""
    status, code = MLFLOW.row(error)
    body = {"error_code": code, "message": _named(error)}
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json")


def _named(error: QuintetError) -> str:
    """The message, with the field in front where the message does not name it itself."""
    if error.field is None or error.field in error.message:
        return error.message
    return f"{error.field}: {error.message}"
