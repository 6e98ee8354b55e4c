"""Ids as this contract writes them: UUIDs with dashes, and arguments that take an id or a key."""

from __future__ import annotations

import hashlib
import uuid
from typing import NamedTuple

from quintet.domain.errors import Invalid
from quintet.domain.ids import Id, Kind, from_uuid, to_uuid

USE_CASE = Kind.PROJECT
MODEL = Kind.MODEL
MODEL_SERVICE = Kind.DEPLOYMENT
METRIC = Kind.METRIC
COMPLETION = Kind.INTERACTION
FEEDBACK = Kind.FEEDBACK
COMPARISON = Kind.COMPARISON
OUTCOME = Kind.OUTCOME
SESSION = Kind.SESSION
DATASET = Kind.DATASET
CAMPAIGN = Kind.EXPERIMENT
JOB = Kind.RUN
ARTIFACT = Kind.ARTIFACT
RECIPE = Kind.RECIPE
USER = Kind.USER
TEAM = Kind.TEAM
ROLE = Kind.ROLE
POOL = Kind.POOL
UPLOAD = Kind.UPLOAD

SESSION_GIVEN = "session_uuid"
"""Where an interaction's metadata keeps the session id that a client made up, in the client's spelling."""


def shown(ident: Id | None, kind: Kind) -> str | None:
    """The UUID of an id that may be missing."""
    return None if ident is None else to_uuid(ident, kind)


def ref(text: str, kind: Kind) -> str:
    """An id-or-key argument as the core takes it: a UUID of ours becomes the id, anything else stays."""
    return from_uuid(text, kind) or text


def check_uuid(text: object, field: str) -> str:
    """The UUID in its usual spelling; Invalid where it is none."""
    if isinstance(text, str):
        try:
            return str(uuid.UUID(text))
        except ValueError:
            pass
    raise Invalid(f"'{str(text)[:60]}' is not a UUID", field=field)


def known(text: str, kind: Kind) -> Id:
    """The id in a UUID that need not be ours; one that no thing of ours can have finds nothing."""
    return from_uuid(text, kind) or NOTHING


NOTHING = Id("f" * 24)
"""An id that is never given: its time lies in the year 10889."""


def person(end_user: str) -> str:
    """The UUID of somebody whom a client named: the one it gave, or one made of a name that is none."""
    try:
        return str(uuid.UUID(end_user))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, end_user))


class SessionRef(NamedTuple):
    """A session: our id for it, and the UUID that the client knows it by."""

    id: Id
    uuid: str

    @property
    def ours(self) -> bool:
        return from_uuid(self.uuid, SESSION) is not None


def session_of(text: str) -> SessionRef:
    """The session a client names. Clients may make ids up; such a one is hashed, the same each time."""
    ours = from_uuid(text, SESSION)
    if ours is not None:
        return SessionRef(ours, text)
    return SessionRef(Id(hashlib.blake2b(text.encode(), digest_size=12).hexdigest()), text)


def session_of_id(ident: Id) -> SessionRef:
    return SessionRef(ident, to_uuid(ident, SESSION))
