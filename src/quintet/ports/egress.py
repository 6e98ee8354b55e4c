"""The one way out: every URL that a user can give is fetched through this."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from quintet.domain.errors import Unavailable


@dataclass(frozen=True, slots=True)
class EgressReply:
    status: int
    headers: Mapping[str, str]
    body: bytes


class BadStatus(Unavailable):
    """A streamed call was answered with a status of 400 or more; `reply` holds the (short) answer."""

    def __init__(self, reply: EgressReply) -> None:
        super().__init__(f"the other side answered with status {reply.status}", status=reply.status)
        self.reply = reply


class Egress(Protocol):
    """Raises Forbidden for a target the policy refuses, Invalid (field `url`) for what is no http(s) URL,
    Unavailable where nothing answers as it should (a redirect included), TimedOut too late, Quota for too much.
    """

    def check_url(self, url: str) -> None:
        """Invalid or Forbidden for a URL that could never be fetched; resolves nothing, so a name passes."""
        ...

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
    ) -> EgressReply:
        """The whole reply whatever its status, except redirects, which are Unavailable."""
        ...

    def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        timeout: float = 600.0,
    ) -> AsyncIterator[bytes]:
        """The reply's bytes as they come; a status of 400 or more raises BadStatus, with the first piece."""
        ...
