"""The one way out: every URL that a user can give is fetched through this."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class EgressReply:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Egress(Protocol):
    """Raises Forbidden for a target the policy refuses, Unavailable where nothing answers, TimedOut too late."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        body: bytes | None = None,
        timeout: float = 60.0,
        max_bytes: int = 64 * 1024 * 1024,
    ) -> EgressReply: ...

    def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        timeout: float = 600.0,
    ) -> AsyncIterator[bytes]:
        """The reply's bytes as they come; a status of 400 or more raises as `request` would."""
        ...
