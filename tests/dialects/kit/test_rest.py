"""The REST binder: bound by id, decoded by contract, answered in the dialect's shape."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from starlette.responses import PlainTextResponse, Response
from tests.dialects.kit.wire import ACTOR, KEY, NO_CORE, Sent, run, show, signed_in

from quintet.dialects.kit.call import ANONYMOUS, Call
from quintet.dialects.kit.rest import Operation, Param, RestBinder, RestContract
from quintet.dialects.kit.trie import Match, Trie
from quintet.domain.errors import NotFound


class Thing(msgspec.Struct):
    name: str
    size: int = 1


LIST = Operation(
    "list",
    "GET",
    "/things",
    query=(
        Param("limit", type="integer", default=10),
        Param("ratio", type="number"),
        Param("all", type="boolean", default=False),
        Param("tags", array=True),
        Param("order", enum=("asc", "desc")),
        Param("ids", type="integer", array=True),
    ),
)
NEEDS = Operation("needs", "GET", "/needs", query=(Param("project", required=True),))
CREATE = Operation("create", "POST", "/things", body_required=True, aliases=(("PUT", "/v0/things"),))
EDIT = Operation("edit", "PATCH", "/things/{id}")
LATER = Operation("later", "GET", "/later")


def binder() -> RestBinder:
    contract = RestContract([LIST, NEEDS, CREATE, EDIT, LATER])
    return RestBinder("test", contract, errors=show, authenticate=signed_in)


def answer(bound: RestBinder, sent: Sent) -> Response:
    found = Trie(bound.routes()).match(sent.method, sent.path)
    assert isinstance(found, Match)
    response: Response = run(found.handler(sent.request(), NO_CORE, "r-1", found.params))
    return response


def body_of(response: Response) -> Any:
    return json.loads(bytes(response.body))


async def echo(call: Call) -> object:
    return {"path": call.path, "query": call.query, "body": call.body}


def test_query_parameters_have_their_declared_types() -> None:
    bound = binder()
    bound.op("list")(echo)
    query = "limit=3&ratio=0.5&all=TRUE&tags=a&tags=b,c&order=asc&ids[]=1&ids[]=2&unknown=1"
    decoded = body_of(answer(bound, Sent(path="/things", query=query, headers=KEY)))["query"]
    assert decoded == {"limit": 3, "ratio": 0.5, "all": True, "tags": ["a", "b,c"], "order": "asc", "ids": [1, 2]}


def test_what_is_not_given_is_the_default_or_none() -> None:
    bound = binder()
    bound.op("list")(echo)
    decoded = body_of(answer(bound, Sent(path="/things", headers=KEY)))["query"]
    assert decoded == {"limit": 10, "ratio": None, "all": False, "tags": None, "order": None, "ids": None}


def test_arrays_may_be_joined_by_commas_where_the_handler_says_so() -> None:
    bound = binder()
    bound.op("list", comma=True)(echo)
    decoded = body_of(answer(bound, Sent(path="/things", query="tags=a,b&tags=c&ids=1,2", headers=KEY)))["query"]
    assert decoded["tags"] == ["a", "b", "c"]
    assert decoded["ids"] == [1, 2]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=1.5", "limit"),
        ("limit=%EF%BC%91", "limit"),
        ("ratio=nan", "ratio"),
        ("ratio=x", "ratio"),
        ("all=maybe", "all"),
        ("order=up", "order"),
        ("ids=1&ids=x", "ids"),
    ],
)
def test_a_wrong_parameter_is_named(query: str, field: str) -> None:
    bound = binder()
    bound.op("list")(echo)
    shown = body_of(answer(bound, Sent(path="/things", query=query, headers=KEY)))
    assert (shown["code"], shown["field"]) == ("invalid", field)


def test_a_missing_required_parameter_is_named() -> None:
    bound = binder()
    bound.op("needs")(echo)
    shown = body_of(answer(bound, Sent(path="/needs", headers=KEY)))
    assert (shown["code"], shown["field"]) == ("invalid", "project")


def test_bodies_are_decoded_and_data_is_encoded_with_the_status() -> None:
    bound = binder()

    @bound.op("create", body=Thing, status=201)
    async def create(call: Call) -> Thing:
        assert isinstance(call.body, Thing)
        return call.body

    response = answer(bound, Sent("POST", "/things", b'{"name": "a"}', headers=KEY))
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/json"
    assert body_of(response) == {"name": "a", "size": 1}


def test_an_alias_reaches_the_same_handler() -> None:
    bound = binder()
    bound.op("create", body=Thing, aliases=["POST /again"])(echo)
    for method, path in (("POST", "/things"), ("PUT", "/v0/things"), ("POST", "/again")):
        assert body_of(answer(bound, Sent(method, path, b'{"name": "a"}', headers=KEY)))["body"]["name"] == "a"


def test_a_required_body_is_asked_for_and_an_optional_one_is_not() -> None:
    class Edit(msgspec.Struct):
        name: str | None = None

    bound = binder()
    bound.op("create", body=Thing)(echo)
    bound.op("edit", body=Edit)(echo)
    assert body_of(answer(bound, Sent("POST", "/things", headers=KEY)))["field"] == "body"
    assert body_of(answer(bound, Sent("PATCH", "/things/7", headers=KEY))) == {
        "path": {"id": "7"},
        "query": {},
        "body": {"name": None},
    }


def test_a_raw_body_is_left_to_the_handler() -> None:
    bound = binder()

    @bound.op("create", raw=True)
    async def upload(call: Call) -> Response:
        return PlainTextResponse(await call.request.body())

    assert answer(bound, Sent("POST", "/things", b"\x00\x01", headers=KEY)).body == b"\x00\x01"


def test_a_body_over_the_handlers_limit_is_refused() -> None:
    bound = binder()
    bound.op("create", body=Thing, limit=10)(echo)
    assert body_of(answer(bound, Sent("POST", "/things", b'{"name": "' + b"x" * 20, headers=KEY)))["code"] == "quota"


def test_nothing_is_decoded_or_run_without_a_key() -> None:
    bound = binder()
    bound.op("needs")(echo)
    assert body_of(answer(bound, Sent(path="/needs")))["code"] == "unauthenticated"
    assert body_of(answer(bound, Sent(path="/later")))["code"] == "unauthenticated"


def test_a_public_operation_needs_no_key_and_may_do_nothing() -> None:
    bound = binder()

    @bound.op("later", public=True)
    async def later(call: Call) -> object:
        assert call.actor is ANONYMOUS
        assert not call.actor.permissions
        return None

    response = answer(bound, Sent(path="/later"))
    assert (response.status_code, response.body) == (200, b"")


def test_the_actor_is_the_one_that_was_authenticated() -> None:
    bound = binder()

    @bound.op("later")
    async def later(call: Call) -> object:
        assert call.actor is ACTOR
        return [call.request_id]

    assert body_of(answer(bound, Sent(path="/later", headers=KEY))) == ["r-1"]


def test_an_operation_without_handler_says_so() -> None:
    shown = body_of(answer(binder(), Sent(path="/later", headers=KEY)))
    assert (shown["code"], shown["message"]) == ("unsupported", "GET /later is not implemented")


def test_errors_have_the_dialects_shape_and_faults_are_masked() -> None:
    bound = binder()

    @bound.op("later")
    async def later(call: Call) -> object:
        raise NotFound.of("run", 9)

    @bound.op("list")
    async def broken(call: Call) -> object:
        raise RuntimeError("secret")

    assert body_of(answer(bound, Sent(path="/later", headers=KEY)))["message"] == "run '9' was not found"
    response = answer(bound, Sent(path="/things", headers=KEY))
    assert response.status_code == 418
    assert body_of(response) == {"code": "internal", "message": "internal error", "field": None, "request": "r-1"}


def test_a_result_that_cannot_be_encoded_is_a_masked_fault() -> None:
    bound = binder()

    @bound.op("later")
    async def later(call: Call) -> object:
        return {"x": object()}

    assert body_of(answer(bound, Sent(path="/later", headers=KEY)))["code"] == "internal"


def test_an_unknown_id_and_a_second_handler_stop_the_import() -> None:
    bound = binder()
    with pytest.raises(LookupError, match="lsit"):
        bound.op("lsit")(echo)
    bound.op("list", "needs")(echo)
    with pytest.raises(ValueError, match="needs"):
        bound.op("needs")(echo)


def test_coverage_tells_what_is_left() -> None:
    bound = binder()
    bound.op("list", "create")(echo)
    assert bound.coverage() == {"operations": 5, "bound": 2, "unbound": ["edit", "later", "needs"]}


def test_a_contract_can_be_extended_but_not_doubled() -> None:
    contract = RestContract([LIST])
    assert set(contract.extended([LATER]).operations) == {"list", "later"}
    with pytest.raises(ValueError, match="list"):
        contract.extended([LIST])
