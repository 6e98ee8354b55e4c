"""Event streams: order, silence, errors before and after the start, and clients that hang up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.responses import JSONResponse
from starlette.types import Message
from tests.dialects.kit.wire import run

from quintet.dialects.kit.sse import SSEResponse, encode_event


class Client:
    """Takes what is sent; hangs up when told to, or fails like a server whose client is gone."""

    def __init__(self, fail_after: int | None = None) -> None:
        self.messages: list[Message] = []
        self.gone = asyncio.Event()
        self._fail_after = fail_after

    async def send(self, message: Message) -> None:
        if self._fail_after is not None and len(self.messages) >= self._fail_after:
            raise OSError("gone")
        self.messages.append(message)

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def ended(self) -> bool:
        return self.messages[-1]["type"] == "http.response.body" and not self.messages[-1].get("more_body")


async def play(response: SSEResponse, client: Client | None = None) -> Client:
    client = client or Client()
    await asyncio.wait_for(response({"type": "http"}, client.receive, client.send), 5)
    return client


async def items(*values: object, error: Exception | None = None) -> AsyncIterator[object]:
    for value in values:
        yield value
    if error is not None:
        raise error


def test_events_come_in_order_and_end_with_the_terminator() -> None:
    client = run(play(SSEResponse(items({"a": 1}, "text", b"event: x\ndata: y\n\n"), terminator="[DONE]")))
    assert client.body == b'data: {"a":1}\n\ndata: text\n\nevent: x\ndata: y\n\ndata: [DONE]\n\n'
    assert client.ended
    headers = dict(client.messages[0]["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert headers[b"x-accel-buffering"] == b"no"
    assert b"no-cache" in headers[b"cache-control"]
    assert b"content-length" not in headers


def test_each_event_is_sent_at_once() -> None:
    client = run(play(SSEResponse(items(1, 2))))
    assert [m["body"] for m in client.messages[1:]] == [b"data: 1\n\n", b"data: 2\n\n", b""]


def test_lines_of_text_stay_within_one_event() -> None:
    assert encode_event("a\r\nb\nc\n") == b"data: a\ndata: b\ndata: c\ndata: \n\n"
    assert encode_event("a\u2028b") == "data: a\u2028b\n\n".encode()


def test_an_empty_stream_is_still_a_response() -> None:
    client = run(play(SSEResponse(items())))
    assert client.messages[0]["type"] == "http.response.start"
    assert client.ended


def test_silence_is_filled_with_comments_without_disturbing_the_generator() -> None:
    async def scenario() -> Client:
        more = asyncio.Event()

        class Listening(Client):
            async def send(self, message: Message) -> None:
                await super().send(message)
                if message.get("body", b"").startswith(b":"):
                    more.set()

        async def slow() -> AsyncIterator[object]:
            async with asyncio.timeout(5):  # belongs to one task, so the generator must stay in one
                yield 1
                await more.wait()
                yield 2

        return await play(SSEResponse(slow(), keep_alive=0.001), Listening())

    client = run(scenario())
    assert client.body.startswith(b"data: 1\n\n: keep-alive\n\n")
    assert client.body.endswith(b"data: 2\n\n")


def test_an_error_before_the_first_event_is_a_plain_response() -> None:
    response = SSEResponse(
        items(error=ValueError("no")), fail=lambda error: JSONResponse({"error": str(error)}, status_code=400)
    )
    client = run(play(response))
    assert client.messages[0]["status"] == 400
    assert client.body == b'{"error":"no"}'


def test_an_error_after_the_start_is_a_last_event_without_terminator() -> None:
    def tell(error: Exception) -> object:
        return {"error": str(error)}

    response = SSEResponse(items(1, error=ValueError("late")), terminator="[DONE]", on_error=tell, fail=None)
    client = run(play(response))
    assert client.body == b'data: 1\n\ndata: {"error":"late"}\n\n'
    assert client.ended


def test_an_error_that_nobody_shows_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    client = run(play(SSEResponse(items(1, error=ValueError("late")))))
    assert client.ended
    assert "late" in caplog.text


def test_a_lost_upstream_is_an_error_and_not_a_lost_client() -> None:
    client = run(play(SSEResponse(items(1, error=ConnectionResetError("upstream")), on_error=lambda error: "oops")))
    assert client.body == b"data: 1\n\ndata: oops\n\n"


class Guarded:
    """A generator that notes how it ended."""

    def __init__(self) -> None:
        self.cancelled = False
        self.closed = False

    async def events(self) -> AsyncIterator[Any]:
        try:
            yield 1
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        finally:
            self.closed = True


def test_a_client_that_hangs_up_cancels_the_generator() -> None:
    async def scenario() -> Guarded:
        guarded, client = Guarded(), Client()
        asyncio.get_running_loop().call_later(0.01, client.gone.set)
        await play(SSEResponse(guarded.events()), client)
        assert not client.ended
        return guarded

    guarded = run(scenario())
    assert guarded.cancelled
    assert guarded.closed


def test_a_send_that_fails_ends_the_stream_quietly_and_closes_the_generator() -> None:
    async def scenario() -> bool:
        closed = False

        async def events() -> AsyncIterator[object]:
            nonlocal closed
            try:
                while True:
                    yield "x"
            finally:
                closed = True

        await play(SSEResponse(events()), Client(fail_after=3))
        return closed

    assert run(scenario())


def test_a_server_that_stops_cancels_the_generator() -> None:
    async def scenario() -> Guarded:
        guarded = Guarded()
        serving = asyncio.ensure_future(play(SSEResponse(guarded.events())))
        await asyncio.sleep(0.01)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        return guarded

    assert run(scenario()).closed
