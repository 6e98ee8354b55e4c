"""Server-sent events: a response that only awaits, so that hundreds of open streams cost no thread.

The events are drawn by one task from first to last, because generators may hold things that belong to a task
(timeouts, context variables); another task sends comments while nothing happens, and a third waits for the
client to hang up, which cancels the first. No transaction may be open while a stream is: read before, or in
short calls in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import msgspec
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

KEEP_ALIVE_SECONDS = 15.0
"""Below the 30 to 60 seconds after which common proxies drop a silent connection."""

HEADERS = {
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",  # nginx otherwise holds events back until its buffer is full
}

log = logging.getLogger("quintet.dialects.sse")


def encode_event(item: object) -> bytes:
    """`bytes` as they are (a whole event, e.g. with its `event:` line); text or JSON of anything else as data."""
    if isinstance(item, bytes):
        return item
    text = item if isinstance(item, str) else msgspec.json.encode(item).decode()
    if "\n" in text or "\r" in text:
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return b"".join(b"data: " + line.encode() + b"\n" for line in lines) + b"\n"
    return b"data: " + text.encode() + b"\n\n"


class SSEResponse(Response):
    """Sends the events of an async iterator as they come.

    terminator: sent after the last event, e.g. `"[DONE]"`; not after an error.
    encode: of one event.
    on_error: an error in the middle of the stream as a last event, or None to just end it.
    fail: an error before the first event as a plain response instead of a stream.
    keep_alive: seconds of silence after which a comment is sent.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncIterator[object],
        *,
        terminator: object = None,
        encode: Callable[[object], bytes] = encode_event,
        on_error: Callable[[Exception], object] | None = None,
        fail: Callable[[Exception], Response] | None = None,
        keep_alive: float = KEEP_ALIVE_SECONDS,
        headers: Mapping[str, str] | None = None,
        status_code: int = 200,
    ) -> None:
        self.status_code = status_code
        self.background = None
        self.init_headers({**HEADERS, **(headers or {})})
        self._events = events
        self._terminator = terminator
        self._encode = encode
        self._on_error = on_error
        self._fail = fail
        self._keep_alive = keep_alive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream = _Stream(self.status_code, self.raw_headers, send)
        pump = asyncio.ensure_future(self._pump(stream, scope, receive, send))
        beat = asyncio.ensure_future(_beat(stream, self._keep_alive))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (beat, gone, pump):
                task.cancel()
            results = await asyncio.gather(pump, beat, gone, return_exceptions=True)
        failure = results[0]
        if isinstance(failure, Exception) and not isinstance(failure, _ClientGone):
            raise failure

    async def _pump(self, stream: _Stream, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            try:
                async for item in self._events:
                    await stream.send(self._encode(item))
                if self._terminator is not None:
                    await stream.send(self._encode(self._terminator))
            except _ClientGone:
                return
            except Exception as error:
                if not stream.started and self._fail is not None:
                    stream.closed = True
                    await self._fail(error)(scope, receive, send)
                    return
                await self._tell(stream, error)
            await stream.end()
        finally:
            close: Callable[[], Awaitable[object]] | None = getattr(self._events, "aclose", None)
            if close is not None:
                with contextlib.suppress(RuntimeError):
                    await close()

    async def _tell(self, stream: _Stream, error: Exception) -> None:
        if self._on_error is None:
            log.error("a stream failed", exc_info=error)
            return
        last = self._on_error(error)
        if last is not None:
            await stream.send(self._encode(last))


class _ClientGone(Exception):
    """Sending failed. A class of its own, because an OSError may also come out of the events."""


class _Stream:
    """The one connection: starts with the first bytes, remembers when something was sent last."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], send: Send) -> None:
        self._start = {"type": "http.response.start", "status": status, "headers": headers}
        self._send = send
        self.started = False
        self.closed = False
        self.last = time.monotonic()

    async def send(self, chunk: bytes) -> None:
        if not self.started:
            self.started = True
            await self._put(self._start)
        self.last = time.monotonic()
        await self._put({"type": "http.response.body", "body": chunk, "more_body": True})

    async def end(self) -> None:
        if not self.started:
            await self.send(b"")
        self.closed = True
        await self._put({"type": "http.response.body", "body": b"", "more_body": False})

    async def _put(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError as error:
            raise _ClientGone from error


async def _beat(stream: _Stream, every: float) -> None:
    while not stream.closed:
        silent = time.monotonic() - stream.last
        if silent < every:
            await asyncio.sleep(every - silent)
            continue
        await stream.send(b": keep-alive\n\n")


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
