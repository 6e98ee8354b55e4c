"""The transformers engine with a tiny model in its real process.

Marked slow as a whole: starting the process imports torch, which takes seconds and is shared by all cases.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.engines import tiny
from tests.engines.conformance import EngineConformance, Subject, collect
from tests.engines.support import NoEgress

from quintet.domain.errors import Invalid, NotFound, Precondition, QuintetError, Unavailable, Unsupported
from quintet.engines import EngineServices, load_engine
from quintet.engines.transformers.engine import TransformersEngine
from quintet.ports.engine import GenerateRequest, ModelRef

pytest.importorskip("torch")
pytestmark = [pytest.mark.slow, pytest.mark.models]


def make(**config: Any) -> TransformersEngine:
    engine = load_engine("transformers", config, EngineServices(NoEgress(), Path("unused")))
    assert isinstance(engine, TransformersEngine)
    return engine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    tiny.save_model(root / "llama")
    tiny.save_model(root / "plain", template=None, context=64)
    tiny.save_model(root / "sliding", kind="mistral")
    tiny.save_model(root / "gpt2", kind="gpt2")
    tiny.save_adapter(root / "adapter1", root / "llama", seed=1)
    tiny.save_adapter(root / "adapter2", root / "llama", seed=2)
    return root


@pytest.fixture(scope="module")
def subject(folder: Path) -> Iterator[Subject]:
    model = ModelRef(key="llama", path=str(folder / "llama"))
    adapter = replace(model, adapter_key="a/1.0", adapter_path=str(folder / "adapter1"))
    with asyncio.Runner() as runner:
        engine = make(max_models=3)
        yield Subject(runner, engine, model, adapter)
        runner.run(engine.close())


class TestConformance(EngineConformance):
    """The rules of all engines."""


@pytest.mark.parametrize("name", ["sliding", "gpt2"])
def test_other_architectures_reply_in_company_as_alone(subject: Subject, folder: Path, name: str) -> None:
    model = ModelRef(key=name, path=str(folder / name))
    requests = [subject.ask("x" * n, model=model, max_tokens=n) for n in (30, 3, 12, 21)]
    alone = [subject.run(subject.engine.generate(r)).text for r in requests]

    async def together() -> list[str]:
        return [r.text for r in await asyncio.gather(*(subject.engine.generate(r) for r in requests))]

    assert subject.run(together()) == alone


def test_requests_that_join_a_running_batch_change_nothing(subject: Subject) -> None:
    long = subject.ask("the long one", max_tokens=60)
    short = [subject.ask(f"short {i}", max_tokens=4 + i) for i in range(4)]
    expected = [subject.run(subject.engine.generate(r)).text for r in (long, *short)]

    async def joining() -> list[str]:
        stream = subject.engine.stream(long)
        pieces = [(await anext(stream)).text]
        replies = []
        for request in short:
            waiting = asyncio.ensure_future(subject.engine.generate(request))
            pieces.append((await anext(stream)).text)
            replies.append(waiting)
        done = [(await r).text for r in replies]
        # They were answered while the long one was still running, not after it.
        rest = [d.text async for d in stream]
        assert len(rest) > 3
        return ["".join(pieces + rest), *done]

    assert subject.run(joining()) == expected


def test_two_adapters_and_the_base_run_side_by_side(subject: Subject, folder: Path) -> None:
    assert subject.adapter is not None
    second = replace(subject.adapter, adapter_key="second", adapter_path=str(folder / "adapter2"))
    requests = [subject.ask("hello there", model=m) for m in (subject.model, subject.adapter, second)]
    alone = [subject.run(subject.engine.generate(r)).text for r in requests]
    assert len(set(alone)) == 3

    async def together() -> list[str]:
        return [r.text for r in await asyncio.gather(*(subject.engine.generate(r) for r in requests * 3))]

    assert subject.run(together()) == alone * 3
    subject.run(subject.engine.unload_adapter(second))
    assert subject.run(subject.engine.generate(requests[1])).text == alone[1]


def test_an_unload_waits_for_replies_and_later_requests_load_again(subject: Subject) -> None:
    request = subject.ask("hello there", max_tokens=30)
    expected = subject.run(subject.engine.generate(request)).text

    async def run() -> list[str]:
        stream = subject.engine.stream(request)
        first = (await anext(stream)).text
        unload = asyncio.ensure_future(subject.engine.unload(subject.model))
        await asyncio.sleep(0)
        after = asyncio.ensure_future(subject.engine.generate(request))
        whole = first + "".join([d.text async for d in stream])
        await unload
        return [whole, (await after).text]

    assert subject.run(run()) == [expected, expected]


def test_text_of_several_bytes_a_character_streams_whole_characters(subject: Subject) -> None:
    deltas = subject.run(collect(subject.engine, subject.ask("grüße 日本", temperature=1.0, seed=5, max_tokens=100)))
    whole = subject.run(subject.engine.generate(subject.ask("grüße 日本", temperature=1.0, seed=5, max_tokens=100)))
    assert "".join(d.text for d in deltas) == whole.text
    assert "<|" not in whole.text
    assert "</s>" not in whole.text


def test_what_does_not_fit_the_context_is_refused_with_the_limit(subject: Subject, folder: Path) -> None:
    with pytest.raises(Invalid, match="256") as caught:
        subject.run(subject.engine.generate(subject.ask("x" * 300)))
    assert caught.value.field == "messages"
    with pytest.raises(Invalid):
        subject.run(subject.engine.embed(subject.model, ["x" * 300]))
    # And a reply ends where the context does, without a limit of its own.
    plain = ModelRef(key="plain", path=str(folder / "plain"))
    reply = subject.run(subject.engine.generate(subject.ask("x" * 50, model=plain, max_tokens=1000)))
    assert reply.usage.prompt_tokens + reply.usage.completion_tokens <= 64


def test_a_model_without_a_template_continues_the_plain_text(subject: Subject, folder: Path) -> None:
    plain = ModelRef(key="plain", path=str(folder / "plain"))
    reply = subject.run(subject.engine.generate(subject.ask("abcde", model=plain)))
    assert reply.usage.prompt_tokens == 5


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.5}, "top_p"),
        ({"messages": []}, "messages"),
    ],
)
def test_parameters_out_of_range_are_named(subject: Subject, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        subject.run(subject.engine.generate(subject.ask("x", **changes)))
    assert caught.value.field == field


def test_a_tiny_temperature_and_top_p_are_as_good_as_greedy(subject: Subject) -> None:
    greedy = subject.run(subject.engine.generate(subject.ask("hello there"))).text
    for changes in ({"temperature": 1e-6}, {"temperature": 1.0, "top_p": 1e-9}):
        assert subject.run(subject.engine.generate(subject.ask("hello there", **changes))).text == greedy


def test_folders_that_cannot_or_must_not_be_loaded(subject: Subject, folder: Path, tmp_path: Path) -> None:
    import torch

    pickled = tmp_path / "pickled"
    shutil.copytree(folder / "llama", pickled)
    (pickled / "model.safetensors").unlink()
    torch.save({}, pickled / "pytorch_model.bin")
    broken = tmp_path / "broken"
    shutil.copytree(folder / "llama", broken)
    (broken / "model.safetensors").write_bytes(b"not weights")
    cases: list[tuple[Path, type[QuintetError]]] = [
        (tmp_path / "absent", NotFound),
        (pickled, Unsupported),
        (broken, Precondition),
    ]
    for path, kind in cases:
        model = ModelRef(key=str(path), path=str(path))
        with pytest.raises(kind):
            subject.run(subject.engine.load(model))
        with pytest.raises(kind):
            subject.run(subject.engine.generate(subject.ask("x", model=model)))
    assert subject.run(subject.engine.generate(subject.ask("still here"))).text


def test_a_crash_fails_what_is_in_flight_and_nothing_after(subject: Subject) -> None:
    engine: TransformersEngine = subject.engine
    expected = subject.run(engine.generate(subject.ask("hello there"))).text

    async def crash() -> None:
        stream = engine.stream(subject.ask("a long reply", max_tokens=200))
        await anext(stream)
        waiting = asyncio.ensure_future(engine.generate(subject.ask("hello there", max_tokens=200)))
        await asyncio.sleep(0.01)
        assert engine._process is not None
        os.kill(engine._process.pid, signal.SIGKILL)
        with pytest.raises(Unavailable):
            await waiting
        with pytest.raises(Unavailable):
            [d async for d in stream]

    subject.run(crash())
    assert subject.run(engine.generate(subject.ask("hello there"))).text == expected


def test_close_and_idleness_end_the_process(folder: Path) -> None:
    async def gone(pid: int) -> bool:
        for _ in range(500):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 0)
                await asyncio.sleep(0.01)
                continue
            return True
        return False

    async def run() -> None:
        engine = make(idle_seconds=0.05)
        model = ModelRef(key="llama", path=str(folder / "llama"))
        request = GenerateRequest(model=model, messages=[{"role": "user", "content": "x"}], max_tokens=2)
        await engine.generate(request)
        assert engine._process is None or await gone(engine._process.pid)
        await engine.generate(request)
        process = engine._process
        await engine.close()
        assert process is None or await gone(process.pid)

    asyncio.run(run())
