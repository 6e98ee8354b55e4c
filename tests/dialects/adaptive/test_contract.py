"""What holds of the dialect as a whole: its contract, its coverage, its errors, and how often it asks the database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from graphql import (
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
    is_composite_type,
    is_required_argument,
)
from sqlalchemy import event
from tests.dialects.adaptive.conftest import Client, _numbers
from tests.support.servers import ServerHandle

from quintet.app.runs.parts import NewArtifact, StageReport, add_artifacts, report_progress
from quintet.app.runs.read import find_run
from quintet.dialects.adaptive.binder import graph
from quintet.dialects.adaptive.contract import sdl
from quintet.dialects.adaptive.errors import STATUS, message
from quintet.dialects.adaptive.mount import coverage
from quintet.dialects.kit.contracts import read_coverage
from quintet.dialects.kit.graphql import Limits
from quintet.dialects.kit.graphql_schema import differences
from quintet.domain.errors import Forbidden, Invalid, NotFound


def test_the_schema_that_is_served_is_the_contract() -> None:
    assert differences(sdl(), graph.build()) == []


def test_coverage_is_as_recorded() -> None:
    assert coverage() == read_coverage("adaptive")


def test_every_error_of_the_family_has_a_status() -> None:
    assert STATUS.total()


def test_errors_say_what_the_official_client_looks_for() -> None:
    assert message(NotFound.of("project", "x")) == "EntityNotFound: use_case 'x'"
    assert message(NotFound.of("deployment", "x")) == "EntityNotFound: model 'x'"
    assert message(NotFound.of("compute pool", "x")) == "EntityNotFound: compute_pool 'x'"
    assert message(Invalid("is wrong", field="name")) == "name: is wrong"
    assert message(Invalid("'name' is wrong", field="name")) == "'name' is wrong"
    assert message(Forbidden("no")) == "no"


def whole(kind: GraphQLNamedType, depth: int) -> str:
    """Every field of a type that needs no argument, down to `depth`; of unions every member."""
    if isinstance(kind, GraphQLUnionType):
        return "{ __typename " + " ".join(f"... on {m.name} {whole(m, depth)}" for m in kind.types) + " }"
    assert isinstance(kind, GraphQLObjectType)
    parts = ["__typename"]
    for name, field in kind.fields.items():
        below = get_named_type(field.type)
        if any(is_required_argument(argument) for argument in field.args.values()):
            continue
        # Two members of a union may have a field of one name and different types.
        alias = f"{kind.name}_{name}: {name}"
        if not is_composite_type(below):
            parts.append(alias)
        elif depth > 0:
            parts.append(f"{alias} {whole(below, depth - 1)}")
    return "{ " + " ".join(parts) + " }"


LISTS = {
    "useCases": "", "models": "", "metrics": "", "users": "", "teams": "", "roles": "", "computePools": "",
    "abCampaigns": "", "harmonyGroups": "", "datasets": "(useCase: $u)", "customRecipes": "(useCase: $u)",
    "completions": "(filter: {useCase: $u}, page: {})", "jobs": "(page: {})",
    "completionsGrouped": "(filter: {useCase: $u}, groupBy: MODEL, page: {})", "me": "", "meta": "",
    "globalUsage": "(filter: {interval: DAY})",
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_every_field_of_what_is_served_can_be_read(client: Client, monkeypatch: Any, name: str) -> None:
    metric, first, second = client.metric(), client.said("x"), client.said("x", "beta")
    client.rest("feedback", {"metric": metric, "completion_id": first, "value": True}, 201)
    client.rest("comparison", {"metric": metric, "preferred_completion": first, "other_completion": second}, 201)
    rows = [{"messages": [{"role": "user", "content": "a"}], "completion": "b", "feedbacks": {metric: True}}]
    client.upload(rows, "d")
    made = client.gql("mutation($i: JobInput!) { createJob(input: $i) { id } }",
                      i={"recipe": "sft", "useCase": client.use_case, "numGpus": 0,
                         "args": {"model": "alpha", "dataset": "d"}})["createJob"]  # fmt: skip
    stages = [StageReport("train", done=1, total=2)]
    server = client.server
    run = server.core.read_now(server.admin, find_run, made["id"])
    server.core.write_now(server.admin, report_progress, run.id, stages, 0.5)
    server.core.write_now(server.admin, add_artifacts, run.id, [NewArtifact("a", blob="runs/x/a")])
    client.gql("mutation($i: AbcampaignCreate!) { createAbCampaign(input: $i) { id } }",
               i={"key": f"ab-{next(_numbers)}", "metric": metric, "useCase": client.use_case, "autoDeploy": False,
                  "modelServices": ["alpha", "beta"], "trafficSplit": 1.0})  # fmt: skip
    monkeypatch.setattr(graph, "limits", Limits(aliases=100_000, tokens=1_000_000, cost=100_000_000))
    kind = get_named_type(graph.build().type_map["QueryRoot"].fields[name].type)  # type: ignore[attr-defined]
    uses = "$u" in LISTS[name]
    head = "query($u: IdOrKey!)" if uses else "query"
    query = f"{head} {{ {name}{LISTS[name]} {whole(kind, 3)} }}"
    found = client.gql(query, **({"u": client.use_case} if uses else {}))
    assert found[name] is not None


def test_what_is_not_served_says_so(client: Client) -> None:
    error = client.error('mutation { addModel(input: {path: "p", name: "n"}) { id } }')
    assert (error["message"], error["extensions"]["code"]) == ("addModel is not implemented", "unsupported")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("{ nonsense }", "nonsense"),
        ("{ useCases { id ", "Syntax Error"),
        ('{ useCase(idOrKey: 5) { id } }', "id or a key"),
        ('{ job(id: "x") { id } }', "not a UUID"),
    ],
)  # fmt: skip
def test_bad_documents_are_refused(client: Client, query: str, said: str) -> None:
    assert said in client.error(query)["message"]


def test_a_deep_document_is_refused(client: Client) -> None:
    nested = "{ useCases " + "{ modelServices { model { useCases " * 6 + "{ id }" + " } } }" * 6 + " }"
    assert client.error(nested)["extensions"]["code"] == "quota"


def test_a_key_is_asked_for(server: ServerHandle) -> None:
    body = {"query": "{ me { id } }"}
    assert server.call("POST", "/api/graphql", body, key=None).status == 401
    assert server.call("POST", "/api/graphql", body, key="qk_A.b").status == 401
    assert server.call("POST", "/api/graphql", raw=b"{").status == 400


@contextmanager
def statements(server: ServerHandle) -> Iterator[list[str]]:
    """The statements of readers while the block runs."""
    seen: list[str] = []
    lock = threading.Lock()

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        with lock:
            seen.append(statement)

    engine = server.core.db.reader_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


COMPLETION = (
    "id completion source model { id key backbone { key } } modelService { key isDefault } labels { key value }"
    " directFeedbacks { value metric { key hasDirectFeedbacks hasComparisonFeedbacks useCases { key } } }"
    " comparisonFeedbacks { usecase { key } metric { key } preferedCompletion { completion model { key } }"
    " otherCompletion { completion } } session { turns { id } } history { level }"
    " siblingsCount(filter: {useCase: $u})"
)
PAGES = {
    "completions": (
        f"completions(filter: {{useCase: $u}}, page: {{first: $n}}) {{ totalCount nodes {{ {COMPLETION} }} }}"
    ),
    "completionsGrouped": (
        "completionsGrouped(filter: {useCase: $u}, groupBy: PROMPT, page: {first: $n}) { totalCount nodes { count"
        " directFeedbacksStats { average metric { key } } completions(page: {first: 3}, order: [{field: \"created_at\","
        " order: DESC}]) { totalCount nodes { completion model { key } directFeedbacks { value metric { key } } } } } }"
    ),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_many_asks_the_database_as_often_as_a_page_of_few(client: Client, name: str) -> None:
    metric, last = client.metric(), ""
    for n in range(30):
        said = client.said(f"prompt {n}", labels={"n": str(n)})
        client.rest("feedback", {"metric": metric, "completion_id": said, "value": True}, 201)
        if last:
            body = {"metric": metric, "preferred_completion": said, "other_completion": last}
            client.rest("comparison", body, 201)
        last = said
    query = f"query($u: IdOrKey!, $n: Int!) {{ {PAGES[name]} }}"
    counts = []
    for size in (3, 30):
        with statements(client.server) as seen:
            found = client.gql(query, u=client.use_case, n=size)[name]
        assert len(found["nodes"]) == size
        counts.append(len(seen))
    assert counts[1] < counts[0] + 10
    assert counts[1] < 50


def test_a_list_of_use_cases_asks_once_for_each_kind_of_thing(client: Client) -> None:
    query = (
        "{ useCases { key metrics { key feedbackCount } shares { team { key } role { key } } settings { defaultMetric {"
        " key } } modelServices { status isDefault model { key online useCases { key } } metrics { key } } activity {"
        " interactions { value } } abCampaigns { key } labelUsage { keys { key } } } }"
    )
    with statements(client.server) as few:
        before = len(client.gql(query)["useCases"])
    for n in range(10):
        key = f"{client.use_case}-{n}"
        client.gql("mutation($k: String!) { createUseCase(input: {name: $k, key: $k}) { id } }", k=key)
        client.gql("mutation($k: IdOrKey!) { attachModel(input: {useCase: $k, model: \"alpha\"}) { id } }", k=key)
    with statements(client.server) as many:
        assert len(client.gql(query)["useCases"]) == before + 10
    # How loaders' batches fall together varies a little with the event loop; one query for each of ten does not hide.
    assert len(many) < len(few) + 10
