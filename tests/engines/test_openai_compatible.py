"""The upstream engine against a real socket: the conformance rules, translated errors, and hostile streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.engines import upstream
from tests.engines.conformance import EngineConformance, Subject, collect
from tests.engines.upstream import KEY

from quintet.domain.errors import (
    Forbidden,
    Invalid,
    NotFound,
    QuintetError,
    Quota,
    TimedOut,
    Unavailable,
)
from quintet.egress import GuardedEgress
from quintet.engines import EngineServices, load_engine
from quintet.engines.openai_compatible.engine import OpenAICompatibleEngine
from quintet.engines.openai_compatible.sse import SseParser
from quintet.ports.engine import Delta, GenerateRequest, ModelRef

MODEL = ModelRef(key="k", name="up-model")


@dataclass
class Setup:
    engine: OpenAICompatibleEngine
    app: web.Application


@asynccontextmanager
async def connected(**config: Any) -> AsyncIterator[Setup]:
    app = upstream.build()
    egress = GuardedEgress(["127.0.0.0/8"])
    async with upstream.serving(app) as url:
        services = EngineServices(egress, Path("unused"))
        engine = load_engine("openai_compatible", {"base_url": url, "api_key": KEY, **config}, services)
        assert isinstance(engine, OpenAICompatibleEngine)
        try:
            yield Setup(engine, app)
        finally:
            await egress.close()


def with_upstream(work: Callable[[Setup], Coroutine[Any, Any, None]], **config: Any) -> None:
    async def run() -> None:
        async with connected(**config) as setup:
            await asyncio.wait_for(work(setup), 20)

    asyncio.run(run())


def ask(text: str, **changes: Any) -> GenerateRequest:
    return GenerateRequest(model=MODEL, messages=[{"role": "user", "content": text}], **changes)


def sse(*pieces: str) -> GenerateRequest:
    return ask("sse " + json.dumps(pieces))


class TestConformance(EngineConformance):
    @pytest.fixture(scope="class")
    def subject(self) -> Iterator[Subject]:
        with asyncio.Runner() as runner:
            context = connected()
            setup = runner.run(context.__aenter__())
            yield Subject(runner, setup.engine, MODEL)
            runner.run(context.__aexit__(None, None, None))


def test_parameters_and_pass_through_reach_the_upstream() -> None:
    async def work(setup: Setup) -> None:
        extra = {
            "tools": [{"type": "function", "function": {"name": "f"}}],
            "tool_choice": "auto",
            "response_format": {"type": "json_object"},
            "model": "smuggled",
            "stream": True,
            "messages": [],
        }
        request = ask("hi", max_tokens=5, temperature=0.5, top_p=0.9, seed=3, stop=("a", "b"), extra=extra)
        reply = await setup.engine.generate(request)
        seen = setup.app[upstream.SEEN][0]
        assert seen["body"] == {
            "model": "up-model",
            "messages": [{"role": "user", "content": "hi"}],
            "max_completion_tokens": 5,
            "temperature": 0.5,
            "top_p": 0.9,
            "seed": 3,
            "stop": ["a", "b"],
            "tools": extra["tools"],
            "tool_choice": "auto",
            "response_format": {"type": "json_object"},
        }
        assert seen["headers"]["X-Org"] == "o"
        assert reply.raw["system_fingerprint"] == "fp"

    with_upstream(work, headers={"X-Org": "o"}, max_tokens_field="max_completion_tokens")


def test_nothing_is_sent_that_was_not_asked_for() -> None:
    async def work(setup: Setup) -> None:
        await setup.engine.generate(GenerateRequest(model=ModelRef(key="k"), messages=[{"content": "hi"}]))
        assert setup.app[upstream.SEEN][0]["body"] == {"model": "default-model", "messages": [{"content": "hi"}]}

    with_upstream(work, model="default-model")


def test_tool_calls_come_back_whole_and_streamed() -> None:
    async def work(setup: Setup) -> None:
        request = ask('call add {"a": 1}', extra={"tools": [{}]})
        reply = await setup.engine.generate(request)
        assert (reply.text, reply.finish_reason) == ("", "tool_calls")
        assert reply.tool_calls[0]["function"]["name"] == "add"
        deltas = await collect(setup.engine, request)
        assert [c["function"]["name"] for d in deltas for c in d.tool_calls] == ["add"]
        assert deltas[-1].finish_reason == "tool_calls"

    with_upstream(work)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Invalid), (403, Unavailable), (404, NotFound), (408, TimedOut), (422, Invalid), (429, Quota),
     (500, Unavailable), (503, Unavailable), (504, TimedOut)],
)  # fmt: skip
def test_refusals_are_translated_and_never_show_the_key(status: int, kind: type[QuintetError]) -> None:
    async def work(setup: Setup) -> None:
        for call in (setup.engine.generate, lambda r: collect(setup.engine, r)):
            with pytest.raises(QuintetError) as caught:
                await call(ask(f"status {status}"))
            assert type(caught.value) is kind
            assert KEY not in f"{caught.value!r} {caught.value.data} {caught.value.__cause__!r}"
            if status == 429:
                assert caught.value.data["retry_after"] == "7"
            if status == 400:
                assert "because of [secret]" in caught.value.message

    with_upstream(work)


def test_a_wrong_key_is_said_to_be_wrong() -> None:
    async def work(setup: Setup) -> None:
        with pytest.raises(Unavailable, match="refused our key") as caught:
            await setup.engine.generate(ask("hi"))
        assert "sk-" not in str(caught.value)

    with_upstream(work, api_key="sk-wrong-but-secret-too")


def test_time_runs_out() -> None:
    async def work(setup: Setup) -> None:
        with pytest.raises(TimedOut):
            await setup.engine.generate(ask("hang"))
        with pytest.raises(TimedOut):
            await collect(setup.engine, ask("endless"))

    with_upstream(work, timeout=0.1, stream_timeout=0.1)


@pytest.mark.parametrize(
    "body",
    ["", "not json", "[]", "null", "{}", '{"choices": []}', '{"choices": [null]}', '{"choices": [{}]}',
     '{"choices": [{"message": "x"}]}', '{"choices": {"0": {}}}'],
)  # fmt: skip
def test_an_answer_of_the_wrong_shape_is_unavailable(body: str) -> None:
    async def work(setup: Setup) -> None:
        with pytest.raises(Unavailable):
            await setup.engine.generate(ask(f"body {body}"))

    with_upstream(work)


def test_an_odd_but_usable_answer_is_used() -> None:
    body = {"choices": [{"message": {"content": [{"type": "text", "text": "hi"}]}, "finish_reason": "eos"}]}

    async def work(setup: Setup) -> None:
        reply = await setup.engine.generate(ask(f"body {json.dumps(body)}"))
        assert (reply.text, reply.finish_reason, reply.usage.completion_tokens) == ("hi", "stop", 0)

    with_upstream(work)


def chunk(text: str | None = None, reason: str | None = None, **more: Any) -> str:
    return "data: " + json.dumps(
        {"choices": [{"delta": {"content": text}, "finish_reason": reason}], **more}, ensure_ascii=False
    )


def test_a_stream_survives_every_way_of_cutting_it() -> None:
    whole = (
        f"{chunk('grüße ')}\r\n\r\n: comment\n\nevent: x\n{chunk('日本')}\n\n{chunk('', 'length')}\n\ndata: [DONE]\n\n"
    )

    async def work(setup: Setup) -> None:
        for size in (1, 2, 3, 7, 50, 10_000):
            pieces = [whole[i : i + size] for i in range(0, len(whole), size)]
            deltas = await collect(setup.engine, sse(*pieces))
            assert "".join(d.text for d in deltas) == "grüße 日本"
            assert deltas[-1] == Delta(text="", finish_reason="length", usage=None)

    with_upstream(work)


def test_bytes_cut_inside_a_character_are_put_together() -> None:
    parser = SseParser()
    data = 'data: {"a": "日本"}\n\n'.encode()
    events = [event for byte in data for event in parser.feed(bytes([byte]))]
    assert [json.loads(event) for event in events] == [{"a": "日本"}]


def test_a_stream_may_end_without_done_but_not_without_a_reason() -> None:
    async def work(setup: Setup) -> None:
        deltas = await collect(setup.engine, sse(chunk("a") + "\n\n", chunk("b", "stop")))
        assert "".join(d.text for d in deltas) == "ab"
        assert deltas[-1].finish_reason == "stop"
        with pytest.raises(Unavailable, match="before the reply was complete"):
            await collect(setup.engine, sse(chunk("a") + "\n\n"))

    with_upstream(work)


@pytest.mark.parametrize("event", ["data: {nonsense", "data: []", f'data: {{"error": {{"message": "x {KEY}"}}}}'])
def test_a_stream_that_fails_in_the_middle_is_unavailable(event: str) -> None:
    async def work(setup: Setup) -> None:
        got: list[Delta] = []

        async def read() -> None:
            async for delta in setup.engine.stream(sse(chunk("a") + "\n\n", event + "\n\n")):
                got.append(delta)

        with pytest.raises(Unavailable) as caught:
            await read()
        assert [d.text for d in got] == ["a"]
        assert KEY not in str(caught.value)

    with_upstream(work)


def test_leaving_a_stream_ends_the_call_to_the_upstream() -> None:
    async def work(setup: Setup) -> None:
        stream = setup.engine.stream(ask("endless"))
        assert (await anext(stream)).text == "x"
        await stream.aclose()
        await asyncio.wait_for(setup.app[upstream.GONE].wait(), 5)

    with_upstream(work)


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({}, Invalid),
        ({"base_url": 7}, Invalid),
        ({"base_url": "ftp://example.com"}, Invalid),
        ({"base_url": "http://10.0.0.1/v1"}, Forbidden),
        ({"base_url": "https://example.com", "nonsense": 1}, Invalid),
        ({"base_url": "https://example.com", "timeout": 0}, Invalid),
        ({"base_url": "https://example.com", "max_tokens_field": "x"}, Invalid),
    ],
)
def test_settings_are_checked_when_the_engine_is_made(config: dict[str, Any], kind: type[QuintetError]) -> None:
    with pytest.raises(kind):
        load_engine("openai_compatible", config, EngineServices(GuardedEgress(), Path("unused")))


def test_settings_do_not_show_their_key() -> None:
    services = EngineServices(GuardedEgress(), Path("unused"))
    engine = load_engine("openai_compatible", {"base_url": "https://example.com", "api_key": KEY}, services)
    assert isinstance(engine, OpenAICompatibleEngine)
    assert KEY not in repr(engine._config)
