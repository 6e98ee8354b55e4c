"""From the family of errors to ClearML's (HTTP status, subcode), which clients branch on."""

from __future__ import annotations

from typing import NamedTuple

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


class NoCredentials(Unauthenticated):
    """A request without any credentials."""


class UnreadableCredentials(Unauthenticated):
    """Credentials that are not what their header says."""


class UnknownScheme(Unauthenticated):
    """A kind of credentials that this dialect does not know."""


class BadToken(Unauthenticated):
    """A session token that is wrong or has expired: the client logs in again."""


class Row(NamedTuple):
    """A status, a subcode, and the words that the message begins with."""

    code: int
    subcode: int
    text: str


TABLE: ErrorTable[Row] = ErrorTable(
    {
        NotFound: Row(400, 10, "Invalid id"),
        Conflict: Row(400, 801, "Value combination already exists"),
        Forbidden: Row(403, 20, "Role not allowed"),
        Unauthenticated: Row(401, 22, "Unauthorized (invalid credentials)"),
        NoCredentials: Row(401, 20, "Unauthorized (missing credentials)"),
        UnreadableCredentials: Row(401, 21, "Unauthorized (malformed credentials)"),
        UnknownScheme: Row(401, 10, "Unauthorized (authentication type is not supported)"),
        BadToken: Row(401, 30, "Unauthorized (invalid token)"),
        Invalid: Row(400, 12, "Validation error"),
        EncodedBody: Row(415, 0, "Unsupported content encoding"),
        Precondition: Row(400, 15, "Conflict with the current state"),
        # 429 and 503 would make clients retry for hours, so limits and outages are plain refusals here.
        Quota: Row(400, 12, "Limit exceeded"),
        BodyTooLarge: Row(413, 0, "Request entity too large"),
        Unavailable: Row(500, 0, "A service behind this server does not answer"),
        TimedOut: Row(500, 0, "Timed out"),
        Unsupported: Row(501, 0, "Not implemented"),
        Internal: Row(500, 0, "General server error"),
    }
)

NOT_FOUND = {
    "run": Row(400, 101, "Invalid task id"),
    "task": Row(400, 101, "Invalid task id"),
    "model": Row(400, 201, "Invalid model id"),
    "user": Row(400, 301, "Invalid user id"),
    "project": Row(400, 401, "Invalid project id"),
    "queue": Row(400, 701, "Invalid queue id"),
    "queue entry": Row(400, 703, "Task is not in the queue"),
    "worker": Row(400, 1001, "Worker is not registered"),
    "scroll": Row(400, 1104, "Invalid scroll id"),
    "endpoint": Row(404, 0, ""),
    "file": Row(404, 0, "File was not found"),
    "blob": Row(404, 0, "File was not found"),
}
"""Rows by the kind of thing that is missing."""

_STATUS = Row(400, 110, "Invalid task status")
_RACE = Row(400, 121, "Task was changed meanwhile")
_DELETE = Row(400, 123, "Task cannot be deleted")
_READY = Row(400, 203, "Model is published")
_IN_USE = Row(400, 205, "Model is in use")
_QUEUED = Row(400, 706, "Task is already queued")
_NOT_EMPTY = Row(400, 702, "Queue is not empty")
_MISSING = Row(400, 11, "Missing required fields")
_DATA = Row(400, 800, "Data validation error")

_TEXTS = {
    14: "Invalid fields",
    16: "Invalid field value",
    17: "Batch contains no items",
    21: "Invalid regular expression",
    131: "Events were not added",
    408: "A project keeps its location",
}
"""The words for subcodes that only this dialect raises: `Invalid(..., subcode=21)`."""

MISSING_TEXT = "this field is required"
"""What the kit says of a field that a body lacks."""


def row_of(error: QuintetError, operation: str = "") -> Row:
    """The status and subcode of an error; `operation` decides where the same state means different things."""
    subcode = error.data.get("subcode")
    if isinstance(subcode, int):
        return Row(400, subcode, _TEXTS.get(subcode, "Validation error"))
    if isinstance(error, NotFound):
        return NOT_FOUND.get(str(error.data.get("kind", "")), TABLE.row(error))
    if isinstance(error, Precondition):
        return _precondition(error, operation)
    if isinstance(error, Conflict):
        if error.data.get("queued"):
            return _QUEUED
        return _RACE if error.field == "status" else TABLE.row(error)
    if type(error) is Invalid:
        return _invalid(error, operation)
    return TABLE.row(error)


def _precondition(error: Precondition, operation: str) -> Row:
    service = operation.partition(".")[0]
    if service == "tasks" and operation.startswith("tasks.delete") and "model" not in operation:
        return _DELETE
    if "current_status" in error.data:
        return _STATUS
    if service == "models":
        return _READY if error.field is not None else _IN_USE
    if "waiting" in error.data:
        return _NOT_EMPTY
    return TABLE.row(error)


def _invalid(error: Invalid, operation: str) -> Row:
    if error.message == MISSING_TEXT:
        return _MISSING
    named = error.field == "name" and not operation.startswith("projects.")
    return _DATA if named else TABLE.row(error)
