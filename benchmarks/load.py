"""A load generator in a process of its own: N connections that each post the next body when the last is answered."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import aiohttp


async def run(url: str, body: bytes, headers: dict[str, str], connections: int, seconds: float) -> dict[str, Any]:
    """Requests per second and latencies (ms) after one second of warming up."""
    taken: list[float] = []
    errors = 0
    stop_at = 0.0
    warm_until = time.perf_counter() + 1.0

    async def one(session: aiohttp.ClientSession) -> None:
        nonlocal errors
        while (now := time.perf_counter()) < stop_at:
            async with session.post(url, data=body, headers=headers) as reply:
                await reply.read()
                if reply.status >= 400:
                    errors += 1
            if now >= warm_until:
                taken.append((time.perf_counter() - now) * 1000)

    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session:
        stop_at = warm_until + seconds
        await asyncio.gather(*(one(session) for _ in range(connections)))
    taken.sort()
    return {
        "per_second": len(taken) / seconds,
        "median_ms": taken[len(taken) // 2] if taken else None,
        "p99_ms": taken[int(len(taken) * 0.99)] if taken else None,
        "errors": errors,
    }


if __name__ == "__main__":
    import uvloop

    given = json.load(sys.stdin)
    print(json.dumps(uvloop.run(run(
        given["url"], given["body"].encode(), given["headers"], given["connections"], given["seconds"]
    ))))  # fmt: skip
