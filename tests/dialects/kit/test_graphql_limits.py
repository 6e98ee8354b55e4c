"""Operations are measured before they run; documents and what was loaded are kept, within bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from graphql import get_introspection_query, parse
from tests.dialects.kit.graph import FakeCore, ask, bound

from quintet.dialects.kit import graphql as kit
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.graphql import Limits, load

# -- limits ----------------------------------------------------------------------------------------------------------


def nested(levels: int) -> str:
    return "{ nodes " + "{ parent " * levels + "{ id }" + " }" * levels + " }"


def test_depth_is_limited() -> None:
    assert "errors" not in ask(bound(Limits(depth=5)), nested(3))
    assert "nested" in ask(bound(Limits(depth=5)), nested(4))["errors"][0]["message"]


def test_depth_counts_through_fragments() -> None:
    fragments = " ".join(f"fragment F{i} on Node {{ parent {{ ...F{i + 1} }} }}" for i in range(4))
    text = "{ nodes { ...F0 } } " + fragments + " fragment F4 on Node { id ... on Node { parent { id } } }"
    assert "errors" not in ask(bound(Limits(depth=7)), text)
    assert "7, and at most 6" in ask(bound(Limits(depth=6)), text)["errors"][0]["message"]


def test_aliases_are_limited_and_counted_through_fragments() -> None:
    spread = "fragment A on Node { " + " ".join(f"a{i}: id" for i in range(10)) + " }"
    text = "{ nodes { ...A parent { ...A } } } " + spread
    assert "errors" not in ask(bound(Limits(aliases=20)), text)
    assert "aliased" in ask(bound(Limits(aliases=19)), text)["errors"][0]["message"]


def test_fragments_that_double_at_each_level_are_measured_at_once() -> None:
    levels = 40
    fragments = " ".join(
        f"fragment F{i} on Node {{ a: parent {{ ...F{i + 1} }} b: parent {{ ...F{i + 1} }} }}" for i in range(levels)
    )
    text = "{ nodes { ...F0 } } " + fragments + f" fragment F{levels} on Node {{ id }}"
    answer = ask(bound(Limits(depth=1_000)), text)
    assert answer["errors"][0]["extensions"]["code"] == "quota"


def test_cost_multiplies_by_the_sizes_of_lists_literal_or_variable() -> None:
    literal = "{ nodes(page: {first: 10}) { children(first: 5) { id } } }"
    variable = "query ($p: Page, $n: Int) { nodes(page: $p) { children(first: $n) { id } } }"
    exact = 1 + 10 * (1 + 5)
    for text, variables in ((literal, None), (variable, {"p": {"first": 10}, "n": 5})):
        assert "errors" not in ask(bound(Limits(cost=exact)), text, variables)
        assert f"{exact}, and" in ask(bound(Limits(cost=exact - 1)), text, variables)["errors"][0]["message"]


def test_dear_fields_cost_what_the_map_says() -> None:
    limits = Limits(cost=50, costs={"Node.owner": 20})
    assert "errors" not in ask(bound(limits), "{ nodes(page: {first: 2}) { owner id } }")
    assert "costly" in ask(bound(limits), "{ nodes(page: {first: 3}) { owner id } }")["errors"][0]["message"]


def test_the_parser_stops_at_its_cap() -> None:
    assert "tokens" in ask(bound(Limits(tokens=20)), "{ nodes { " + "id " * 30 + "} }")["errors"][0]["message"]


def test_introspection_works_within_the_limits() -> None:
    answer = ask(bound(), get_introspection_query())
    assert "errors" not in answer
    assert answer["data"]["__schema"]["queryType"]["name"] == "Root"


def test_endless_introspection_is_refused() -> None:
    inner = "fields { type { " * 6 + "name" + " } }" * 6
    assert "errors" in ask(bound(), "{ __schema { types { " + inner + " } } }")


# -- documents -------------------------------------------------------------------------------------------------------


def test_a_document_is_parsed_and_validated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    def counting(text: str, **options: Any) -> Any:
        parsed.append(text)
        return parse(text, **options)

    monkeypatch.setattr(kit, "parse", counting)
    made = bound()
    for _ in range(3):
        ask(made, "{ nodes { id } }")
    assert len(parsed) == 1


def test_only_so_many_documents_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kit, "KEPT_DOCUMENTS", 2)
    made = bound()
    for name in ("a", "b", "c"):
        ask(made, f"{{ {name}: nodes {{ id }} }}")
    assert [text[2] for text in made._documents] == ["b", "c"]


# -- loaders ---------------------------------------------------------------------------------------------------------


def test_what_is_asked_together_is_read_together_and_once() -> None:
    made, core = bound(), FakeCore()
    batches: list[list[str]] = []

    def owners(ctx: Any, keys: Sequence[str]) -> dict[str, str]:
        batches.append(list(keys))
        return {key: key.upper() for key in keys if key != "3"}

    @made.query("sorted")
    async def sorted_(call: Call, obj: None, order: str) -> str:
        return str(await load(call, owners, "9"))

    @made.field("Node", "owner")
    async def owner(call: Call, obj: Mapping[str, Any]) -> str | None:
        return await load(call, owners, obj["id"])

    text = '{ nodes { owner } a: node(id: "3") { owner } b: node(id: "1") { owner } sorted }'
    answer = ask(made, text, core=core)
    assert answer["data"]["nodes"] == [{"owner": "1"}, {"owner": "2"}]
    assert answer["data"]["a"] == {"owner": None}
    asked = [key for batch in batches for key in batch]
    assert sorted(asked) == ["1", "2", "3", "9"]
    assert core.reads == len(batches) <= 2


def test_a_mutation_makes_loaders_forget() -> None:
    made, core = bound(), FakeCore()
    names = {"1": "old"}

    def by_id(ctx: Any, keys: Sequence[str]) -> dict[str, str]:
        return {key: names[key] for key in keys}

    @made.mutation("rename")
    async def rename(call: Call, obj: None, id: str, name: str) -> str:
        before = await load(call, by_id, id)
        names[id] = name
        return f"{before}"

    text = 'mutation { a: rename(id: 1, name: "new") b: rename(id: 1, name: "newer") }'
    assert ask(made, text, core=core)["data"] == {"a": "old", "b": "new"}
