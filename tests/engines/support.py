"""Small stand-ins for what the server gives an engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from quintet.ports.egress import EgressReply


class NoEgress:
    """For engines that must not go out."""

    def check_url(self, url: str) -> None:
        raise AssertionError(url)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        body: bytes | None = None,
        timeout: float = 60.0,
        max_bytes: int = 0,
    ) -> EgressReply:
        raise AssertionError(url)

    def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        timeout: float = 600.0,
    ) -> AsyncIterator[bytes]:
        raise AssertionError(url)
