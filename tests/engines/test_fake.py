"""The fake engine is held to the same rules as the real ones, and to its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engines.conformance import EngineConformance, Subject
from tests.engines.support import NoEgress

from quintet.domain.errors import Invalid, Quota
from quintet.engines import EngineServices, load_engine
from quintet.engines.fake.engine import FakeEngine
from quintet.ports.engine import GenerateRequest, ModelRef

MODEL = ModelRef(key="m")


def fake(**config: Any) -> FakeEngine:
    engine = load_engine("fake", config, EngineServices(NoEgress(), Path("unused")))
    assert isinstance(engine, FakeEngine)
    return engine


def ask(text: str, **changes: Any) -> GenerateRequest:
    return GenerateRequest(model=MODEL, messages=[{"role": "user", "content": text}], **changes)


class TestConformance(EngineConformance):
    @pytest.fixture(scope="class")
    def subject(self) -> Iterator[Subject]:
        with asyncio.Runner() as runner:
            yield Subject(runner, fake(mode="words"), MODEL, ModelRef(key="m", adapter_key="x"))


def test_it_echoes_the_last_user_message() -> None:
    request = GenerateRequest(
        model=MODEL,
        messages=[
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "reply"},
            {"role": "user", "content": [{"type": "text", "text": "second"}, {"type": "image_url"}]},
        ],
    )
    assert asyncio.run(fake().generate(request)).text == "echo: second"


def test_it_answers_and_fails_as_told() -> None:
    assert asyncio.run(fake(reply="fixed reply").generate(ask("x"))).text == "fixed reply"
    with pytest.raises(Quota):
        asyncio.run(fake(fail="quota").generate(ask("x")))


def test_it_calls_a_tool_when_asked_and_only_then() -> None:
    tools = {"tools": [{"type": "function", "function": {"name": "add"}}]}
    reply = asyncio.run(fake().generate(ask('call add {"a": 1}', extra=tools)))
    assert reply.finish_reason == "tool_calls"
    assert reply.tool_calls[0]["function"] == {"name": "add", "arguments": '{"a": 1}'}
    assert asyncio.run(fake().generate(ask('call add {"a": 1}'))).finish_reason == "stop"


@pytest.mark.parametrize("config", [{"mode": "nonsense"}, {"unknown": 1}, {"tokens_per_chunk": 0}, {"delay": -1}])
def test_settings_that_make_no_sense_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        fake(**config)
