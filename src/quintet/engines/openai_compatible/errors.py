"""What an upstream's refusal means to our caller, by one table, and without ever repeating our key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from quintet.domain.errors import Invalid, NotFound, QuintetError, Quota, TimedOut, Unavailable
from quintet.ports.egress import EgressReply

MAX_QUOTED = 300


def refusal(reply: EgressReply, model: str, secrets: tuple[str, ...]) -> QuintetError:
    """The error for a reply with a status of 400 or more. `secrets` are cut out of anything quoted."""
    status = reply.status
    if status in (401, 403):
        return Unavailable("the upstream refused our key", status=status)
    if status == 404:
        return NotFound(f"the upstream does not know the model '{model}'", kind="model", id=model)
    if status == 429:
        wait = reply.headers.get("Retry-After") or ""
        data = {"retry_after": wait} if wait.isdigit() else {}
        return Quota("the upstream's rate limit is reached", status=status, **data)
    if status in (408, 504):
        return TimedOut("the upstream did not answer in time", status=status)
    if status >= 500:
        return Unavailable(f"the upstream failed with status {status}", status=status)
    quoted = quote(_message(reply.body), secrets)
    return Invalid(f"the upstream refused the request: {quoted or f'status {status}'}", status=status)


def quote(text: str, secrets: tuple[str, ...]) -> str:
    """An upstream's own words, cut to a length that fits a message, with our secrets taken out."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[secret]")
    return text[:MAX_QUOTED]


def _message(body: bytes) -> str:
    """The human part of an error body in the shapes that are about: {error: {message}}, {error}, {message}."""
    try:
        value: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return ""
    for key in ("error", "message", "detail"):
        if isinstance(value, Mapping) and key in value:
            value = value[key]
    return value if isinstance(value, str) else ""
