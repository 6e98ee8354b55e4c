"""The worker's side of the runner wire, over HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol, Self

import aiohttp

from quintet.ports.executor import LogLine

log = logging.getLogger("quintet.worker")

CALL_SECONDS = 15.0
"""How long a short call may take: less than a lease, so that a hanging one leaves time for another."""


class Unreachable(Exception):
    """The server does not answer, or not now; trying again may help."""


class Refused(Exception):
    """The server does not accept this worker's key, or what it says; trying again does not help."""


class Gone(Exception):
    """The run is not this worker's any more."""


class RunnerClient(Protocol):
    """What a worker needs of a server; each call raises Unreachable, Refused or Gone."""

    async def lease(
        self, worker: str, queues: Sequence[str], seconds: int, wait_seconds: float
    ) -> dict[str, Any] | None: ...

    async def heartbeat(self, run_id: str, token: str, seconds: int) -> bool:
        """Whether the run was asked to stop."""
        ...

    async def finish(self, run_id: str, token: str, outcome: str, reason: str) -> None: ...

    async def logs(self, run_id: str, token: str, lines: Sequence[LogLine], start: int) -> None:
        """`start`: how many lines of this attempt went before."""
        ...


class HttpRunnerClient:
    """`RunnerClient` against a server's URL, with the key of a worker. Use as an async context."""

    def __init__(self, url: str, key: str) -> None:
        self._base = url.rstrip("/") + "/runner/v1"
        self._headers = {"Authorization": f"Bearer {key}"}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def lease(
        self, worker: str, queues: Sequence[str], seconds: int, wait_seconds: float
    ) -> dict[str, Any] | None:
        body = {"worker": worker, "queues": list(queues), "seconds": seconds, "wait_seconds": wait_seconds}
        reply = await self._post("/lease", body, CALL_SECONDS + wait_seconds)
        lease = reply.get("lease")
        return lease if isinstance(lease, dict) else None

    async def heartbeat(self, run_id: str, token: str, seconds: int) -> bool:
        reply = await self._post("/heartbeat", {"run_id": run_id, "token": token, "seconds": seconds})
        return bool(reply.get("stop"))

    async def finish(self, run_id: str, token: str, outcome: str, reason: str) -> None:
        body = {"run_id": run_id, "token": token, "outcome": outcome, "reason": reason}
        await self._post("/finish", body)

    async def logs(self, run_id: str, token: str, lines: Sequence[LogLine], start: int) -> None:
        body = {"run_id": run_id, "token": token, "lines": [line._asdict() for line in lines], "start": start}
        await self._post("/logs", body)

    async def _post(self, path: str, body: dict[str, Any], seconds: float = CALL_SECONDS) -> dict[str, Any]:
        assert self._session is not None, "use the client as a context"
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self._session.post(self._base + path, json=body, timeout=timeout) as reply:
                if reply.status < 300:
                    return dict(await reply.json())
                said = await reply.text()
                status = reply.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unreachable(str(error) or type(error).__name__) from error
        if status in (404, 412) and path != "/lease":
            raise Gone(said)
        if status >= 500 or status in (408, 409, 429):
            raise Unreachable(f"status {status}")
        raise Refused(f"{status}: {said[:500]}")


class Reporting:
    """`Reporter` over a client: tries for as long as it takes, and drops the lines of a run that is gone."""

    def __init__(self, client: RunnerClient, run_id: str, token: str, wait_seconds: float = 1.0) -> None:
        self._client, self._run_id, self._token = client, run_id, token
        self._wait = wait_seconds
        self._gone = False
        self._sent = 0

    async def log(self, lines: Sequence[LogLine]) -> None:
        while not self._gone:
            try:
                # Counted, so that lines whose answer was lost are not in the log twice.
                await self._client.logs(self._run_id, self._token, lines, self._sent)
                self._sent += len(lines)
                return
            except Unreachable:
                await asyncio.sleep(self._wait)
            except (Gone, Refused) as error:
                log.debug("lines of run %s are not kept: %s", self._run_id, error)
                self._gone = True
