"""The GraphQL binder: bound by name, masked when it fails, true to the contract."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from graphql import build_schema, get_introspection_query, print_schema
from tests.dialects.kit.graph import ask, binder, bound
from tests.dialects.kit.wire import ACTOR, KEY, NO_CORE, Sent, run

from quintet.dialects.adaptive.contract import sdl as adaptive_sdl
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.graphql import Limits
from quintet.dialects.kit.graphql_schema import differences
from quintet.domain.errors import Invalid

# -- binding ---------------------------------------------------------------------------------------------------------


def test_a_resolver_for_an_unknown_field_stops_the_import() -> None:
    made = binder()
    for bind in (made.query("nods"), made.mutation("nodes"), made.field("Node", "nope"), made.field("Nope", "id")):
        with pytest.raises(LookupError):
            bind(lambda call, obj: None)
    for name in ("Nope", "nodes"):
        with pytest.raises(LookupError):
            made.scalar(name)
        with pytest.raises(LookupError):
            made.enum(name, {})


def test_a_field_has_one_resolver() -> None:
    with pytest.raises(ValueError, match="nodes"):
        bound().query("nodes")(lambda call, obj: None)


def test_a_root_field_without_resolver_says_so() -> None:
    made = bound()
    answer = ask(made, "{ later }")
    assert answer["data"] == {"later": None}
    assert answer["errors"][0]["message"] == "Sorry: later is not implemented"
    assert answer["errors"][0]["extensions"] == {"code": "unsupported"}
    assert "query later" in made.coverage()["unbound"]
    assert made.coverage()["bound"] == 2


def test_fields_without_resolver_are_keys_and_bound_ones_win() -> None:
    made = bound()

    @made.field("Node", "owner")
    def owner(call: Call, obj: Mapping[str, Any]) -> str:
        return f"{call.actor.user_name}'s {obj['owner_id']}"

    assert ask(made, "{ nodes { id owner } }")["data"]["nodes"][0] == {"id": "1", "owner": "Ada's o1"}


def test_integers_are_as_wide_as_64_bits_in_and_out() -> None:
    made = bound()
    assert ask(made, "{ nodes { size } }")["data"]["nodes"][0]["size"] == 2**40

    made.scalar("Moment", parse=int)

    @made.query("at")
    async def at(call: Call, obj: None, when: int) -> int:
        return when

    assert "errors" in ask(made, "{ at(when: 99999999999999999999) }")
    assert ask(made, "{ at(when: 9007199254740993) }")["data"]["at"] == 9007199254740993
    narrow = build_schema("type Query { a: Int }").type_map["Int"]
    assert narrow is not made.build().type_map["Int"], "graphql-core's own Int stays as it is"


def test_default_enum_values_arrive_as_what_they_stand_for() -> None:
    made = binder()
    made.enum("Order", {"ASC": 1, "DESC": -1})
    seen: list[Any] = []

    @made.query("sorted")
    async def sorted_(call: Call, obj: None, order: int) -> str:
        seen.append(order)
        return "x"

    @made.query("nodes")
    async def nodes(call: Call, obj: None, order: Any, **_: Any) -> Any:
        seen.append(order)
        return []

    assert "errors" not in ask(made, "{ sorted nodes { id } }")
    assert seen == [-1, [{"by": "id", "order": -1}]]
    assert "errors" not in ask(made, "query ($o: Order!) { sorted(order: $o) }", {"o": "ASC"})
    assert seen[-1] == 1


def test_unions_are_told_apart_by_function_or_typename() -> None:
    made = binder()

    @made.query("shape")
    async def shape(call: Call, obj: None) -> Any:
        return {"side": 3, "__typename": "Square"}

    query = "{ shape { __typename ... on Square { side } } }"
    assert ask(made, query)["data"]["shape"] == {"__typename": "Square", "side": 3}
    made.union("Shape", lambda obj: "Square" if "side" in obj else "Circle")
    assert ask(made, query)["data"]["shape"] == {"__typename": "Square", "side": 3}


def test_the_text_of_an_invalid_scalar_is_shown() -> None:
    def parse_moment(value: Any) -> int:
        raise Invalid("not a moment", field="when")

    made = binder()
    made.scalar("Moment", parse=parse_moment)
    made.query("at")(lambda call, obj, when: 1)
    assert "not a moment" in ask(made, "query ($w: Moment!) { at(when: $w) }", {"w": "x"})["errors"][0]["message"]
    assert "not a moment" in ask(made, '{ at(when: "x") }')["errors"][0]["message"]


# -- variables -------------------------------------------------------------------------------------------------------


def test_explicit_nulls_are_passed_and_absent_values_are_absent() -> None:
    made = bound()
    seen: list[Any] = []

    @made.mutation("rename")
    async def rename(call: Call, obj: None, **arguments: Any) -> str:
        seen.append(arguments)
        return "ok"

    text = "mutation ($n: String) { rename(id: 1, name: $n) }"
    ask(made, text, {"n": None})
    ask(made, text, {})
    assert seen == [{"id": "1", "name": None}, {"id": "1"}]


def test_nullable_variables_may_feed_required_arguments_while_they_hold_a_value() -> None:
    made = bound()
    text = "query ($id: ID) { node(id: $id) { id } }"
    assert ask(made, text, {"id": "7"})["data"] == {"node": {"id": "7"}}
    assert "errors" in ask(made, text, {"id": None})


# -- errors ----------------------------------------------------------------------------------------------------------


def test_expected_errors_speak_the_dialects_words(caplog: pytest.LogCaptureFixture) -> None:
    answer = ask(bound(), '{ a: node(id: "missing") { id } b: node(id: "1") { id } }')
    assert answer["data"] == {"a": None, "b": {"id": "1"}}
    error = answer["errors"][0]
    assert error["message"] == "Sorry: node 'missing' was not found"
    assert error["path"] == ["a"]
    assert error["extensions"]["code"] == "not_found"
    assert caplog.text == ""


def test_faults_are_masked_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = ask(bound(), '{ node(id: "bug") { id } }')
    assert "secret" not in json.dumps(answer)
    assert answer["errors"][0]["extensions"]["code"] == "internal"
    assert "secret" in caplog.text
    assert "r-1" in caplog.text


def test_a_null_where_none_may_be_is_a_masked_fault() -> None:
    made = binder()
    made.query("nodes")(lambda call, obj, **_: [{"id": None}])
    assert ask(made, "{ nodes { id } }")["errors"][0]["message"] == "Sorry: internal error"


@pytest.mark.parametrize("query", ["{ nods { id } }", "{ nodes { id }", "query A { later } query A { later }", ""])
def test_wrong_documents_are_answered_with_200(query: str) -> None:
    answer = ask(bound(), query)
    assert "data" not in answer
    assert answer["errors"][0]["extensions"] == {"code": "invalid"}


def test_a_bad_key_is_401_and_says_nothing_of_the_schema() -> None:
    sent = Sent("POST", "/graphql", msgspec.json.encode({"query": get_introspection_query()}))
    response = run(bound().handle(sent.request(), NO_CORE, "r", {}))
    assert response.status_code == 401
    assert b"Root" not in bytes(response.body)
    assert sent.read == 0


@pytest.mark.parametrize(
    ("body", "status"), [(b"{", 400), (b'{"query": 1}', 400), (b'{"query": "%s"}' % (b"x" * 99), 413)]
)
def test_broken_requests_have_their_status(body: bytes, status: int) -> None:
    response = run(bound(Limits(body=50)).handle(Sent("POST", "/", body, headers=KEY).request(), NO_CORE, "r", {}))
    assert response.status_code == status
    assert "errors" in json.loads(bytes(response.body))


def test_the_operation_is_chosen_by_name() -> None:
    text = 'query A { node(id: "a") { id } } query B { node(id: "b") { id } }'
    assert ask(bound(), text, operationName="B")["data"]["node"]["id"] == "b"
    assert "errors" in ask(bound(), text)
    assert "errors" in ask(bound(), text, operationName="C")


# -- the contract ----------------------------------------------------------------------------------------------------


def test_the_contract_of_adaptive_loads_and_is_served_as_it_is() -> None:
    made = binder(sdl=adaptive_sdl())
    made.enum("FeedbackType", {"DIRECT": 1, "COMPARISON": 2})
    made.enum("SortDirection", {"ASC": 1, "DESC": -1})
    made.scalar("Timestamp", serialize=str, parse=int)
    assert differences(adaptive_sdl(), made.build()) == []
    assert made.coverage()["operations"] == 47 + 54


def test_default_enum_values_of_the_contract_reach_resolvers() -> None:
    made = binder(sdl=adaptive_sdl())
    made.enum("FeedbackType", {"DIRECT": 1, "COMPARISON": 2})
    made.enum("SortDirection", {"ASC": 1, "DESC": -1})
    seen: list[Any] = []

    @made.mutation("createAbCampaign")
    async def create(call: Call, obj: None, input: Any) -> Any:
        seen.append(input["feedbackType"])
        return {"id": "x"}

    @made.query("completions")
    async def completions(call: Call, obj: None, order: Any, **_: Any) -> Any:
        seen.append(order)
        return {"totalCount": 0}

    campaign = '{key: "k", metric: "m", useCase: "u", modelServices: [], autoDeploy: true, trafficSplit: 1}'
    assert "errors" not in ask(made, f"mutation {{ createAbCampaign(input: {campaign}) {{ id }} }}")
    assert "errors" not in ask(made, '{ completions(filter: {useCase: "u"}, page: {first: 1}) { totalCount } }')
    assert seen == [1, [{"field": "id", "order": -1}]]
    answer = ask(made, get_introspection_query())
    assert "errors" not in answer


def test_a_difference_of_structure_is_found_and_one_of_prose_is_not() -> None:
    contract = 'type Query { "says" a(x: Int = 1): String b: Int }'
    assert differences(contract, build_schema("type Query { b: Int a(x: Int = 1): String }")) == []
    changed = build_schema("type Query { b: Int a(x: Int = 2): String! }")
    assert [line[0] for line in differences(contract, changed)] == ["-", "+"]
    assert "WideInt" not in print_schema(bound().build())


def test_the_actor_and_the_request_reach_resolvers() -> None:
    made = binder()

    @made.query("later")
    async def later(call: Call, obj: None) -> str:
        assert call.actor is ACTOR
        assert call.body.query == "{ later }"
        return call.request_id

    assert ask(made, "{ later }")["data"]["later"] == "r-1"
