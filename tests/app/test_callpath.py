"""The call path: where requests go, what is written down, and what the caller hears when it fails."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from quintet.app.billing.usage import usage
from quintet.app.core import Core
from quintet.app.interactions.manage import InteractionFilter, get_interaction, list_interactions
from quintet.app.serving.callpath import CallPath, Completion
from quintet.app.serving.deployments import (
    CreateEndpoint,
    create_endpoint,
    delete_deployment,
    edit_deployment,
    make_default,
    masked_config,
)
from quintet.domain.errors import Forbidden, Invalid, NotFound, Precondition, Unavailable
from quintet.domain.ids import new_id
from quintet.domain.models import Deployment
from quintet.domain.page import PageRequest
from quintet.storage.database import Database
from tests.support.factories import World, make_world
from tests.support.serving import serving_core

ASK = [{"role": "user", "content": "hello there"}]


class Bench:
    """A world, its core and its call path."""

    def __init__(self, db: Database, folder: Path) -> None:
        self.world: World = make_world(db)
        self.core: Core = serving_core(db, folder)
        self.path: CallPath = self.core.services["callpath"]

    async def endpoint(self, key: str, project: str | None = None, **fields: Any) -> Deployment:
        cmd = CreateEndpoint(key, "fake", "m", engine="fake", project=project, **fields)
        return await self.core.write(self.world.actor, create_endpoint, cmd)

    async def ask(self, model: str, **fields: Any) -> Any:
        return await self.path.complete(self.world.actor, Completion(model, ASK, "test", **fields))


def run(db: Database, folder: Path, story: Callable[[Bench], Awaitable[None]]) -> None:
    asyncio.run(story(Bench(db, folder)))  # type: ignore[arg-type]


def test_a_completion_is_written_down_with_its_usage(db: Database, tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        await b.endpoint("echo")
        done = await b.ask("echo", labels={"k": "v"}, n=2, temperature=0.5, end_user="ann")
        assert [c.generation.text for c in done.choices] == ["echo: hello there"] * 2
        kept = await b.core.read(b.world.actor, get_interaction, done.choices[1].interaction.id)
        assert kept == done.choices[1].interaction
        assert (kept.completion, kept.labels, kept.end_user, kept.status) == (
            "echo: hello there", {"k": "v"}, "ann", "success",
        )  # fmt: skip
        page = await b.core.read(
            b.world.actor, list_interactions, InteractionFilter(labels=(("k", ("v",)),)), PageRequest(), count=True
        )
        assert page.total == 2
        (total,) = await b.core.read(b.world.actor, usage, 0, 2**60)
        assert (total.calls, total.errors) == (2, 0)
        assert total.completion_tokens == sum(c.generation.usage.completion_tokens for c in done.choices)

    run(db, tmp_path, story)


def test_a_stream_says_what_a_whole_reply_says(db: Database, tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        await b.endpoint("echo")
        _, parts = await b.path.stream(b.world.actor, Completion("echo", ASK, "test", n=2))
        texts, ends = ["", ""], []
        async for part in parts:
            texts[part.index] += part.delta.text
            if part.interaction is not None:
                ends.append(part)
        assert texts == ["echo: hello there"] * 2
        for part in ends:
            assert part.interaction_id == part.interaction.id
            kept = await b.core.read(b.world.actor, get_interaction, part.interaction_id)
            assert kept.completion == "echo: hello there"
            assert kept.ttft_us is not None

    run(db, tmp_path, story)


def test_an_interrupted_stream_is_still_written_down(sqlite_db: Database, tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        await b.endpoint("slow", config={"reply": "one two three four five six"})
        _, parts = await b.path.stream(b.world.actor, Completion("slow", ASK, "test"))
        first = await anext(parts)  # type: ignore[arg-type]
        await parts.aclose()  # type: ignore[attr-defined]
        kept = await b.core.read(b.world.actor, get_interaction, first.interaction_id)
        assert kept.status == "error"
        assert kept.completion == first.delta.text
        assert kept.error.startswith("interrupted")

    run(sqlite_db, tmp_path, story)


def test_a_failing_engine_is_heard_and_written_down(db: Database, tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        await b.endpoint("down", config={"fail": "unavailable"})
        with pytest.raises(Unavailable):
            await b.ask("down")
        page = await b.core.read(b.world.actor, list_interactions, InteractionFilter(status="error"), PageRequest())
        assert [i.model_name for i in page.items] == ["down"]
        (total,) = await b.core.read(b.world.actor, usage, 0, 2**60)
        assert total.errors == 1

    run(db, tmp_path, story)


def test_where_a_model_string_leads(sqlite_db: Database, tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        project = b.world.project.key
        await b.endpoint("global", config={"reply": "global"})
        first = await b.endpoint("first", project, config={"reply": "first"})
        await b.endpoint("second", project, config={"reply": "second"})

        async def said(model: str) -> str:
            return str((await b.ask(model)).choices[0].generation.text)

        with pytest.raises(Precondition):
            await said(project)
        await b.core.write(b.world.actor, make_default, b.world.project, first)
        assert await said(project) == "first"
        assert await said(f"{project}/second") == "second"
        assert await said("second") == "second"
        assert await said("global") == "global"
        for unknown in ("nothing", f"{project}/nothing", "nothing/second", ""):
            with pytest.raises(NotFound):
                await said(unknown)
        await b.core.write(b.world.actor, edit_deployment, first.id, {"attached": False})
        with pytest.raises(Precondition):
            await said(project)
        with pytest.raises(NotFound):
            await said(f"{project}/first")

    run(sqlite_db, tmp_path, story)


def test_changes_are_seen_by_the_next_call(sqlite_db: Database, tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        made = await b.endpoint("one", config={"reply": "old"})
        assert (await b.ask("one")).choices[0].generation.text == "old"
        await b.core.write(b.world.actor, edit_deployment, made.id, {"config": {"reply": "new"}})
        assert (await b.ask("one")).choices[0].generation.text == "new"
        await b.core.write(b.world.actor, delete_deployment, made.id)
        with pytest.raises(NotFound):
            await b.ask("one")

    run(sqlite_db, tmp_path, story)


def test_who_may_call(sqlite_db: Database, tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        await b.endpoint("mine", allowed_users=(b.world.actor.user_id,))
        wanted = Completion("mine", ASK, "test")
        await b.path.complete(b.world.actor, wanted)
        with pytest.raises(Forbidden):
            await b.path.complete(b.world.as_role("read-only"), wanted)
        with pytest.raises(Forbidden):
            await b.path.complete(replace(b.world.as_role("member"), user_id=new_id()), wanted)
        with pytest.raises(NotFound):
            await b.path.complete(replace(b.world.actor, space_id=new_id()), wanted)

    run(sqlite_db, tmp_path, story)


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("messages", {"messages": []}),
        ("messages[0].role", {"messages": [{"role": "boss", "content": "x"}]}),
        ("n", {"n": 0}),
        ("n", {"n": 17}),
        ("max_tokens", {"max_tokens": 0}),
        ("temperature", {"temperature": 2.1}),
        ("top_p", {"top_p": 0.0}),
    ],
)
def test_bad_input_is_named_and_writes_nothing(
    sqlite_db: Database, tmp_path: Path, field: str, bad: dict[str, Any]
) -> None:
    async def story(b: Bench) -> None:
        await b.endpoint("echo")
        wanted = replace(Completion("echo", ASK, "test"), **bad)
        with pytest.raises(Invalid) as caught:
            await b.path.complete(b.world.actor, wanted)
        assert caught.value.field == field
        page = await b.core.read(b.world.actor, list_interactions, InteractionFilter(), PageRequest(), count=True)
        assert page.total == 0

    run(sqlite_db, tmp_path, story)


def test_a_warm_call_asks_the_database_nothing(sqlite_db: Database, tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        await b.endpoint("echo")
        await b.ask("echo")
        reads: list[str] = []
        event.listen(sqlite_db.reader_engine, "before_cursor_execute", lambda *a: reads.append(a[2]))
        await b.ask("echo")
        assert [r for r in reads if not r.startswith("BEGIN")] == []

    run(sqlite_db, tmp_path, story)


def test_secrets_of_an_endpoint_are_sealed_and_masked(sqlite_db: Database, tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        config = {"base_url": "https://example.org/v1", "api_key": "sk-1", "headers": {"x-api-token": "t"}}
        made = await b.core.write(
            b.world.actor, create_endpoint, CreateEndpoint("up", "openai", "gpt", config=config)
        )
        assert made.config["api_key"] == {"sealed": "sealed:sk-1"}
        assert made.config["headers"] == {"x-api-token": {"sealed": "sealed:t"}}
        shown = masked_config(made.config)
        assert "sk-1" not in str(shown)
        assert shown["base_url"] == "https://example.org/v1"

    run(sqlite_db, tmp_path, story)


@pytest.mark.parametrize("url", ["ftp://x", "nonsense", "http://", 3])
def test_an_endpoint_needs_a_real_url(sqlite_db: Database, tmp_path: Path, url: Any) -> None:
    async def story(b: Bench) -> None:
        with pytest.raises(Invalid) as caught:
            await b.endpoint("x", config={"base_url": url})
        assert caught.value.field == "base_url"

    run(sqlite_db, tmp_path, story)


def test_text_search_finds_words_in_any_script(db: Database, tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        await b.endpoint("echo")
        for words in ("grüße aus köln", "привет мир", "plain words", "quote \" and ' and %"):
            messages = [{"role": "user", "content": words}]
            await b.path.complete(b.world.actor, Completion("echo", messages, "test"))

        async def found(words: str) -> int:
            wanted = InteractionFilter(text=words)
            page = await b.core.read(b.world.actor, list_interactions, wanted, PageRequest())
            return len(page.items)

        assert await found("grüße") == 1
        assert await found("мир привет") == 1
        assert await found("words plain") == 1
        assert await found("absent") == 0
        assert await found('" OR 1=1 --') == 0

    run(db, tmp_path, story)


def test_pages_of_interactions_meet_each_once(db: Database, tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        await b.endpoint("echo")
        made = [(await b.ask("echo")).choices[0].interaction.id for _ in range(7)]
        seen: list[str] = []
        cursor = None
        while True:
            page = await b.core.read(
                b.world.actor, list_interactions, InteractionFilter(), PageRequest(limit=3, after=cursor)
            )
            seen += [i.id for i in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert seen == made[::-1]

    run(db, tmp_path, story)
