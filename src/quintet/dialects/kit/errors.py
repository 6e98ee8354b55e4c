"""From the error family to a dialect's own shape, by one table each; and what happens to everything else.

An exception that is not of the family is a fault of ours: it is logged with the id of the request, and the
caller gets an Internal whose text says nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Generic, TypeVar

from quintet.domain.errors import FAMILY, Internal, Invalid, QuintetError, Quota

R = TypeVar("R")
log = logging.getLogger("quintet.dialects")

MASKED = "internal error"
"""All that a caller learns of a fault; the request id leads to the rest in the log."""


class BodyTooLarge(Quota):
    """A request body over the limit. Tables give it their 413; without a row it is answered like Quota."""


class EncodedBody(Invalid):
    """A request body with a content encoding or type that the operation does not read (415)."""


class ErrorTable(Generic[R]):
    """A row (status, code, ...) per error class. A class without a row has the one of its nearest ancestor."""

    def __init__(self, rows: Mapping[type[QuintetError], R]) -> None:
        self._rows = dict(rows)

    def row(self, error: QuintetError | type[QuintetError]) -> R:
        """The row of an error. LookupError where the table is not total: tests keep that from happening."""
        kind = error if isinstance(error, type) else type(error)
        for ancestor in kind.__mro__:
            found = self._rows.get(ancestor)
            if found is not None:
                return found
        raise LookupError(f"no row for {kind.__name__}")

    def missing(self) -> tuple[type[QuintetError], ...]:
        """The classes of the family that neither have a row of their own nor inherit one within the family."""
        without_base = {kind: row for kind, row in self._rows.items() if kind is not QuintetError}
        return tuple(kind for kind in FAMILY if not any(ancestor in without_base for ancestor in kind.__mro__))

    def total(self) -> bool:
        """True where every class of the family is answered on purpose; a row for the base does not count."""
        return not self.missing()


def as_family(error: BaseException, request_id: str) -> QuintetError:
    """The error as a member of the family that is safe to show; faults are logged here and masked."""
    if isinstance(error, QuintetError) and not isinstance(error, Internal):
        return error
    log.error("request %s failed", request_id, exc_info=error)
    return Internal(MASKED, request_id=request_id)
