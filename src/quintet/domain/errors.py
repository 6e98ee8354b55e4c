"""The whole family of errors that a use case may raise.

    QuintetError
    ├── NotFound          the thing is not there, or the actor may not know that it is
    ├── Conflict          it exists already, or somebody else was faster
    ├── Forbidden         the actor is known and may not
    ├── Unauthenticated   the actor is not known
    ├── Invalid           the caller's input is wrong; `field` names where
    ├── Precondition      the thing is in a state that does not allow this
    ├── Quota             too much: a limit of size, rate or number
    ├── Unavailable       something outside is not answering; trying again may help
    ├── TimedOut          the caller's own time limit ran out
    ├── Unsupported       the contract knows the operation, this server does not (yet)
    └── Internal          a fault of ours; its text never leaves the server

No HTTP status lives here: each dialect has one table from class to its own shape. Built-in exceptions are
never mapped, because a ValueError out of a bug must not tell the caller that the request was bad.
"""

from __future__ import annotations

from collections.abc import Mapping


class QuintetError(Exception):
    """Base of the family. `code` is stable and machine-readable; `data` is safe to show."""

    code = "internal"

    def __init__(self, message: str, *, field: str | None = None, **data: object) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.data: Mapping[str, object] = data


class NotFound(QuintetError):
    code = "not_found"

    @classmethod
    def of(cls, kind: str, ident: object) -> NotFound:
        """A missing thing, with its kind and the id or key that was asked for in `data`."""
        return cls(f"{kind} '{ident}' was not found", kind=kind, id=str(ident))


class Conflict(QuintetError):
    code = "conflict"


class Forbidden(QuintetError):
    code = "forbidden"


class Unauthenticated(QuintetError):
    code = "unauthenticated"


class Invalid(QuintetError):
    code = "invalid"


class Precondition(QuintetError):
    code = "precondition"


class Quota(QuintetError):
    code = "quota"


class Unavailable(QuintetError):
    code = "unavailable"


class TimedOut(QuintetError):
    code = "timed_out"


class Unsupported(QuintetError):
    code = "unsupported"


class Internal(QuintetError):
    code = "internal"


FAMILY: tuple[type[QuintetError], ...] = (
    NotFound,
    Conflict,
    Forbidden,
    Unauthenticated,
    Invalid,
    Precondition,
    Quota,
    Unavailable,
    TimedOut,
    Unsupported,
    Internal,
)
"""Every class a dialect's error table must cover; tests prove each table total."""
