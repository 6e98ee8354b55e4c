"""The RPC binder: versions, merged parameters, and who may call what; the envelope is the test's own."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response
from tests.dialects.kit.wire import KEY, NO_CORE, Sent, run, signed_in

from quintet.dialects.kit.call import ANONYMOUS, Call
from quintet.dialects.kit.rpc import CallInfo, Endpoint, RpcBinder, nested
from quintet.domain.errors import Invalid, NotFound, QuintetError

ENDPOINTS = (
    Endpoint("tasks.create", ("2.1", "2.13")),
    Endpoint("tasks.later", ("2.1",)),
    Endpoint("tasks.young", ("2.20",)),
    Endpoint("events.add_batch", ("2.1",)),
    Endpoint("debug.ping", ("2.9",), auth="none"),
    Endpoint("login.modes", ("2.9",), auth="optional"),
)


class Create(msgspec.Struct):
    name: str
    size: int = 0
    tags: list[str] = []


class Event(msgspec.Struct):
    value: float


def respond(info: CallInfo, data: object) -> Response:
    return JSONResponse({"actual": info.actual, "requested": info.requested, "data": msgspec.to_builtins(data)})


def fail(info: CallInfo, error: QuintetError) -> Response:
    return JSONResponse({"name": info.name, "error": error.code, "field": error.field, "data": dict(error.data)})


def binder() -> RpcBinder:
    bound = RpcBinder(
        "test", ENDPOINTS, newest="2.34", authenticate=signed_in, respond=respond, fail=fail, body_limit=1_000
    )

    @bound.endpoint("tasks.create")
    async def create_old(call: Call) -> object:
        return {"old": call.body}

    @bound.endpoint("tasks.create", min_version="2.13", body=Create)
    async def create(call: Call) -> object:
        return call.body

    @bound.endpoint("events.add_batch", body=Event, content="json-lines")
    async def add_batch(call: Call) -> object:
        return [event.value for event in call.body]

    @bound.endpoint("tasks.young", min_version="2.20")
    async def young(call: Call) -> object:
        return PlainTextResponse("raw")

    return bound


def ask(sent: Sent, bound: RpcBinder | None = None) -> Any:
    sent.headers = {**KEY, **sent.headers}
    return json.loads(bytes(run((bound or binder()).handle(sent.request(), NO_CORE, "r-1", sent.path)).body))


@pytest.mark.parametrize(
    ("path", "actual", "requested"),
    [
        ("/v2.12/tasks.create", "1.0", "2.12"),
        ("/v2.13/tasks.create", "2.13", "2.13"),
        ("/v2.9/tasks.create", "1.0", "2.9"),
        ("/v999.0/tasks.create", "2.13", "999.0"),
        ("/tasks.create", "2.13", "2.34"),
        ("/tasks.create/", "2.13", "2.34"),
    ],
)
def test_the_newest_handler_that_is_not_too_new_answers(path: str, actual: str, requested: str) -> None:
    shown = ask(Sent(path=path, body=b'{"name": "a", "method": "get"}'))
    assert (shown["actual"], shown["requested"]) == (actual, requested)


def test_a_version_that_does_not_have_the_endpoint_yet_finds_nothing() -> None:
    shown = ask(Sent(path="/v2.19/tasks.young"))
    assert (shown["error"], shown["data"]["kind"]) == ("not_found", "endpoint")


def test_an_unknown_name_finds_nothing_even_without_a_key() -> None:
    sent = Sent(path="/v2.5/workers.get_runtime_properties")
    shown = json.loads(bytes(run(binder().handle(sent.request(), NO_CORE, "r", sent.path)).body))
    assert shown["data"] == {"kind": "endpoint", "id": "workers.get_runtime_properties", "version": "2.5"}


def test_a_known_endpoint_without_handler_says_so_after_the_key_was_checked() -> None:
    sent = Sent(path="/tasks.later")
    shown = json.loads(bytes(run(binder().handle(sent.request(), NO_CORE, "r", sent.path)).body))
    assert shown["error"] == "unauthenticated"
    assert ask(Sent(path="/tasks.later"))["error"] == "unsupported"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_every_method_may_carry_a_body(method: str) -> None:
    assert ask(Sent(method, "/tasks.create", b'{"name": "a"}'))["data"]["name"] == "a"


def test_other_methods_are_not_served_and_options_lists_them() -> None:
    assert ask(Sent("DELETE", "/tasks.create"))["error"] == "unsupported"
    response = run(binder().handle(Sent("OPTIONS", "/tasks.create").request(), NO_CORE, "r", "/tasks.create"))
    assert (response.status_code, response.headers["allow"]) == (200, "GET, POST, PUT, OPTIONS")


def test_query_and_form_are_merged_and_the_body_wins() -> None:
    sent = Sent(path="/tasks.create", body=b'{"name": "body"}', query="name=query&size=3&tags=a&tags=b")
    assert ask(sent)["data"] == {"name": "body", "size": 3, "tags": ["a", "b"]}
    form = {"content-type": "application/x-www-form-urlencoded"}
    sent = Sent("POST", "/tasks.create", b"name=f&size=4&tags[]=a", headers=form)
    assert ask(sent)["data"] == {"name": "f", "size": 4, "tags": ["a"]}


def test_without_a_declared_type_parameters_look_like_what_they_are() -> None:
    shown = ask(Sent(path="/v2.5/tasks.create", query="a.b=1&a.c=true&d=1.5&e=x&f[]=1&g="))
    assert shown["data"]["old"] == {"a": {"b": 1, "c": True}, "d": 1.5, "e": "x", "f": [1], "g": ""}


def test_a_parameter_that_is_value_and_group_at_once_is_refused() -> None:
    with pytest.raises(Invalid) as caught:
        nested([("a", "1"), ("a.b", "2")], typed=False)
    assert caught.value.field == "a.b"


def test_a_wrong_body_is_named_and_changes_nothing() -> None:
    assert ask(Sent(path="/tasks.create", body=b'{"name": "a", "size": "x"}'))["field"] == "size"
    assert ask(Sent(path="/tasks.create", body=b"{"))["field"] == "body"
    assert ask(Sent(path="/tasks.create", body=b'{"name": "' + b"x" * 2_000))["error"] == "quota"


def test_lines_are_decoded_one_by_one() -> None:
    lines = {"content-type": "application/json-lines"}
    sent = Sent("POST", "/events.add_batch", b'{"value": 1, "method": "get"}\n{"value": 2}\n', headers=lines)
    assert ask(sent)["data"] == [1.0, 2.0]
    assert ask(Sent("POST", "/events.add_batch", b'{"value": 1}\n7\n', headers=lines))["field"] == "[1]"


def test_an_encoded_body_is_refused() -> None:
    sent = Sent("POST", "/tasks.create", b"\x1f\x8b", headers={"content-encoding": "gzip"})
    assert ask(sent)["error"] == "invalid"


def test_a_response_is_passed_on_without_an_envelope() -> None:
    request = Sent(path="/tasks.young", headers=KEY).request()
    assert run(binder().handle(request, NO_CORE, "r", "/tasks.young")).body == b"raw"


def test_open_endpoints_need_no_key_and_optional_ones_take_it() -> None:
    bound = binder()
    seen: list[object] = []

    async def note(call: Call) -> object:
        seen.append(call.actor)
        assert call.request.state.rpc.name in ("debug.ping", "login.modes")
        return {}

    bound.endpoint("debug.ping")(note)
    bound.endpoint("login.modes")(note)
    for path, headers in (("/debug.ping", {}), ("/login.modes", {}), ("/login.modes", KEY)):
        run(bound.handle(Sent(path=path, headers=headers).request(), NO_CORE, "r", path))
    assert [actor is ANONYMOUS for actor in seen] == [True, True, False]


@pytest.mark.parametrize(
    ("path", "owned"),
    [
        ("/v2.23/tasks.create", True),
        ("/v2.23/frames.get_all", True),
        ("/tasks.anything/", True),
        ("/favicon.ico", False),
        ("/robots.txt", False),
        ("/v1/models", False),
        ("/v1/file.txt", False),
        ("/a/tasks.create", False),
    ],
)
def test_it_knows_its_own_paths(path: str, owned: bool) -> None:
    assert binder().owns(path) is owned


def test_unknown_names_and_doubled_versions_stop_the_import() -> None:
    bound = binder()

    async def handler(call: Call) -> object:
        return {}

    with pytest.raises(LookupError, match=r"tasks\.craete"):
        bound.endpoint("tasks.craete")(handler)
    with pytest.raises(ValueError, match=r"2\.13"):
        bound.endpoint("tasks.create", min_version="2.13")(handler)


def test_find_tells_known_from_unknown() -> None:
    bound = binder()
    assert bound.find("tasks.later", None)[1] is None
    with pytest.raises(NotFound):
        bound.find("tasks.nope", None)
    assert bound.coverage() == {"operations": 6, "bound": 3, "unbound": ["debug.ping", "login.modes", "tasks.later"]}
