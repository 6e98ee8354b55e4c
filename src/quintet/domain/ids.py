"""Ids: 96 bits, 48 of milliseconds and 48 random, monotonic in a process.

The core's own spelling is 24 lower-case hex digits, so ids sort by time as text in both databases. Every
other spelling is a pure codec (no query): 32 hex and UUID carry the same 96 bits, then one byte of kind and
three of checksum, so that an id of another kind, or one that we never made, is refused without a look-up.
"""

from __future__ import annotations

import os
import threading
import time
import zlib
from enum import IntEnum
from typing import NewType

Id = NewType("Id", str)
"""24 lower-case hex digits."""


class Kind(IntEnum):
    """What an id names. The numbers go into wire ids, so they never change and are never reused."""

    SPACE = 1
    USER = 2
    TEAM = 3
    ROLE = 4
    KEY = 5
    PROJECT = 6
    RUN = 7
    QUEUE = 8
    WORKER = 9
    DATASET = 10
    MODEL = 11
    VERSION = 12
    REVIEW = 13
    CHECKPOINT = 14
    DEPLOYMENT = 15
    INTERACTION = 16
    FEEDBACK = 17
    METRIC = 18
    GRADER = 19
    BENCHMARK = 20
    EVALUATION = 21
    EXPERIMENT = 22
    SESSION = 23
    ARTIFACT = 24
    POOL = 25
    RECIPE = 26
    UPLOAD = 27
    CHAT = 28
    OUTCOME = 29
    COMPARISON = 30
    OTHER = 31


_lock = threading.Lock()
_last = 0


def new_id() -> Id:
    """A fresh id, greater than every id this process made before."""
    global _last
    value = (time.time_ns() // 1_000_000) << 48 | int.from_bytes(os.urandom(6), "big")
    with _lock:
        if value <= _last:
            # Same millisecond with a smaller random part, or a clock that went back: stay monotonic by
            # stepping on from the last one. A step of up to 2^16 keeps neighbours hard to guess.
            value = _last + 1 + int.from_bytes(os.urandom(2), "big")
        _last = value
    return Id(f"{value:024x}")


def time_of(ident: Id) -> int:
    """When an id was made: microseconds since the epoch, to the millisecond."""
    return int(ident[:12], 16) * 1_000


def parse_id(text: str) -> Id | None:
    """The id in its own spelling, or None where the text is not one."""
    if len(text) != 24:
        return None
    lowered = text.lower()
    return Id(lowered) if _is_hex(lowered) else None


def to_hex32(ident: Id, kind: Kind) -> str:
    """32 hex digits: the id, the kind, a checksum over both."""
    body = f"{ident}{kind:02x}"
    return f"{body}{zlib.crc32(body.encode()) >> 8:06x}"


def from_hex32(text: str, kind: Kind) -> Id | None:
    """The id out of 32 hex digits, or None where it is malformed, foreign, or of another kind."""
    lowered = text.lower()
    if len(lowered) != 32 or not _is_hex(lowered):
        return None
    ident = Id(lowered[:24])
    return ident if to_hex32(ident, kind) == lowered else None


def to_uuid(ident: Id, kind: Kind) -> str:
    """The 32 digits with the dashes of a UUID."""
    h = to_hex32(ident, kind)
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def from_uuid(text: str, kind: Kind) -> Id | None:
    """The id out of a UUID, with or without dashes, or None as in `from_hex32`."""
    return from_hex32(text.replace("-", ""), kind)


def to_prefixed(ident: Id, prefix: str) -> str:
    """`prefix` followed by the id, e.g. `resp_` or `chatcmpl-`."""
    return f"{prefix}{ident}"


def from_prefixed(text: str, prefix: str) -> Id | None:
    """The id behind `prefix`, or None."""
    return parse_id(text[len(prefix) :]) if text.startswith(prefix) else None


def _is_hex(text: str) -> bool:
    return all(c in "0123456789abcdef" for c in text)
