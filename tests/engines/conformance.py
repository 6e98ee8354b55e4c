"""What every engine must do, whatever it is made of. A test module subclasses `EngineConformance` and provides
`subject`; a case that an engine has no capability for is skipped by the protocol it lacks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pytest

from quintet.ports.engine import (
    Delta,
    Embeds,
    Engine,
    GenerateRequest,
    Generates,
    LoadsAdapters,
    ModelRef,
    Streams,
)

T = TypeVar("T")

PROMPTS = ["hello there", "a", "the quick brown fox jumps over the lazy dog", "zebra zebra", "one two three four"]


@dataclass
class Subject:
    """An engine with a model in it, and the event loop it lives in."""

    runner: asyncio.Runner
    engine: Any
    model: ModelRef
    adapter: ModelRef | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(asyncio.wait_for(work, 60))

    def ask(self, text: str, **changes: Any) -> GenerateRequest:
        """A greedy request of twelve tokens at most."""
        base = GenerateRequest(
            model=self.model, messages=[{"role": "user", "content": text}], max_tokens=12, temperature=0.0
        )
        return replace(base, **changes)


async def collect(engine: Streams, request: GenerateRequest) -> list[Delta]:
    return [delta async for delta in engine.stream(request)]


class EngineConformance:
    def test_it_has_the_basic_capabilities(self, subject: Subject) -> None:
        engine: Engine = subject.engine
        assert isinstance(engine, Generates)
        assert isinstance(engine, Streams)
        assert isinstance(engine, Embeds)

    def test_loading_twice_and_unloading_what_is_gone_is_fine(self, subject: Subject) -> None:
        subject.run(subject.engine.load(subject.model))
        subject.run(subject.engine.load(subject.model))
        subject.run(subject.engine.unload(ModelRef(key="never-loaded")))

    def test_a_reply_has_text_reason_and_usage(self, subject: Subject) -> None:
        reply = subject.run(subject.engine.generate(subject.ask("hello there")))
        assert reply.text
        assert reply.finish_reason in ("stop", "length")
        assert reply.usage.prompt_tokens > 0
        assert 0 < reply.usage.completion_tokens <= 12

    def test_greedy_replies_repeat(self, subject: Subject) -> None:
        first, second = (subject.run(subject.engine.generate(subject.ask("hello there"))) for _ in range(2))
        assert first.text == second.text

    def test_a_stream_adds_up_to_the_whole_reply(self, subject: Subject) -> None:
        for text in PROMPTS:
            whole = subject.run(subject.engine.generate(subject.ask(text)))
            deltas = subject.run(collect(subject.engine, subject.ask(text)))
            assert "".join(d.text for d in deltas) == whole.text
            assert deltas[-1].finish_reason == whole.finish_reason
            assert deltas[-1].usage == whole.usage
            assert all(d.finish_reason is None and d.usage is None for d in deltas[:-1])
            assert len(deltas) > 2

    def test_max_tokens_ends_a_reply_with_length(self, subject: Subject) -> None:
        reply = subject.run(subject.engine.generate(subject.ask("hello there", max_tokens=2)))
        assert reply.usage.completion_tokens == 2
        assert reply.finish_reason == "length"
        longer = subject.run(subject.engine.generate(subject.ask("hello there", max_tokens=3)))
        assert longer.text.startswith(reply.text)

    def test_a_reply_in_company_is_the_reply_alone(self, subject: Subject) -> None:
        limits = [12, 3, 7, 12, 5]
        requests = [subject.ask(text, max_tokens=limit) for text, limit in zip(PROMPTS, limits, strict=True)]
        alone = [subject.run(subject.engine.generate(r)) for r in requests]

        async def together() -> list[Any]:
            return await asyncio.gather(*(subject.engine.generate(r) for r in requests))

        company = subject.run(together())
        assert [r.text for r in company] == [r.text for r in alone]
        assert [r.usage for r in company] == [r.usage for r in alone]
        assert [r.finish_reason for r in company] == [r.finish_reason for r in alone]

    def test_a_seed_decides_the_reply_also_in_company(self, subject: Subject) -> None:
        def sampled(seed: int) -> GenerateRequest:
            return subject.ask("hello there", temperature=1.0, top_p=0.95, seed=seed)

        alone = [subject.run(subject.engine.generate(sampled(seed))).text for seed in range(4)]
        assert len(set(alone)) > 1

        async def together() -> list[str]:
            mates = (subject.engine.generate(subject.ask(t, temperature=0.7, seed=99)) for t in PROMPTS)
            ours = (subject.engine.generate(sampled(seed)) for seed in range(4))
            replies = await asyncio.gather(*ours, *mates)
            return [r.text for r in replies[:4]]

        assert subject.run(together()) == alone

    def test_a_stop_string_ends_the_reply_and_is_never_shown(self, subject: Subject) -> None:
        whole = subject.run(subject.engine.generate(subject.ask("hello there"))).text
        # Two characters from the middle, which usually lie across a border of tokens.
        stop = whole[len(whole) // 2 : len(whole) // 2 + 2]
        expected = whole[: whole.index(stop)]
        request = subject.ask("hello there", stop=("never seen", stop))
        reply = subject.run(subject.engine.generate(request))
        assert reply.text == expected
        assert reply.finish_reason == "stop"
        deltas = subject.run(collect(subject.engine, request))
        assert "".join(d.text for d in deltas) == expected

    def test_what_might_become_a_stop_string_is_shown_when_it_does_not(self, subject: Subject) -> None:
        whole = subject.run(subject.engine.generate(subject.ask("hello there"))).text
        request = subject.ask("hello there", stop=(whole[-3:] + "\x01", whole[:2] + "\x01"))
        assert subject.run(subject.engine.generate(request)).text == whole
        assert "".join(d.text for d in subject.run(collect(subject.engine, request))) == whole

    def test_a_reader_that_leaves_disturbs_nobody(self, subject: Subject) -> None:
        alone = subject.run(subject.engine.generate(subject.ask("hello there"))).text

        async def leave_early() -> str:
            stream = subject.engine.stream(subject.ask("zebra zebra", max_tokens=64))
            await anext(stream)
            cancelled = asyncio.ensure_future(subject.engine.generate(subject.ask("a", max_tokens=64)))
            other = asyncio.ensure_future(subject.engine.generate(subject.ask("hello there")))
            await asyncio.sleep(0)
            await stream.aclose()
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            return str((await other).text)

        assert subject.run(leave_early()) == alone

    def test_embeddings_do_not_depend_on_company(self, subject: Subject) -> None:
        together = subject.run(subject.engine.embed(subject.model, PROMPTS))
        assert len(together) == len(PROMPTS)
        assert len({len(v) for v in together}) == 1
        for text, vector in zip(PROMPTS, together, strict=True):
            (alone,) = subject.run(subject.engine.embed(subject.model, [text]))
            assert alone == pytest.approx(vector, abs=1e-4)
        assert together[0] != together[1]
        assert subject.run(subject.engine.embed(subject.model, [])) == []

    def test_an_adapter_changes_its_own_replies_only(self, subject: Subject) -> None:
        engine = subject.engine
        if not isinstance(engine, LoadsAdapters):
            pytest.skip("this engine has no adapters")
        assert subject.adapter is not None
        base, adapted = subject.ask("hello there"), subject.ask("hello there", model=subject.adapter)
        before = subject.run(subject.engine.generate(base)).text
        subject.run(engine.load_adapter(subject.adapter))
        changed = subject.run(subject.engine.generate(adapted)).text
        assert changed != before

        async def mixed() -> list[str]:
            replies = await asyncio.gather(*(subject.engine.generate(r) for r in (base, adapted, base, adapted)))
            return [r.text for r in replies]

        assert subject.run(mixed()) == [before, changed, before, changed]
        subject.run(engine.unload_adapter(subject.adapter))
        subject.run(engine.unload_adapter(subject.adapter))
        assert subject.run(subject.engine.generate(base)).text == before
        assert subject.run(subject.engine.generate(adapted)).text == changed
