"""What holds of every operation of every dialect, generated from the contracts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from tests.dialects.wires import COVERAGE, MOUNTS, OPERATIONS, Connection, Operation, refusal
from tests.support.servers import ServerHandle

from quintet.app.datasets.manage import CreateDataset, create_dataset
from quintet.app.documents import create_document
from quintet.app.models.registry import CreateModel, create_model
from quintet.app.projects.manage import CreateProject, create_project
from quintet.app.runs.create import CreateRun, create_run
from quintet.dialects.adaptive.errors import STATUS as ADAPTIVE_TABLE
from quintet.dialects.clearml.errors import TABLE as CLEARML_TABLE
from quintet.dialects.domino.errors import MLFLOW as MLFLOW_TABLE
from quintet.dialects.domino.errors import TABLE as DOMINO_TABLE
from quintet.dialects.inference.errors import TABLE as INFERENCE_TABLE
from quintet.dialects.kit.contracts import read_coverage
from quintet.dialects.kit.errors import ErrorTable
from quintet.dialects.llama_stack.errors import TABLE as LLAMA_STACK_TABLE
from quintet.dialects.runner.errors import TABLE as RUNNER_TABLE
from quintet.domain.ids import Kind, to_hex32, to_uuid

BOUND_AT_LEAST = {"adaptive": 74, "clearml": 96, "domino": 143, "inference": 52, "llama_stack": 37}
"""What was served when this was written. Raise a number when more is served; never lower it."""

SHAPES = sorted({operation.shape for operation in OPERATIONS})


@pytest.fixture(scope="module")
def wire(server: ServerHandle) -> Connection:
    return Connection(server)


def _of(shape: str, *, bound: bool | None = None) -> list[Operation]:
    return [o for o in OPERATIONS if o.shape == shape and (bound is None or o.bound is bound)]


# -- coverage -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", COVERAGE)
def test_coverage_is_as_recorded_and_only_rises(dialect: str) -> None:
    served = COVERAGE[dialect]()
    assert served == read_coverage(dialect), f"record the coverage of {dialect} anew"
    assert served["bound"] >= BOUND_AT_LEAST[dialect]
    assert served["bound"] + len(served["unbound"]) == served["operations"]


def test_every_dialect_is_in_the_list_of_operations() -> None:
    for dialect, coverage in COVERAGE.items():
        found = [o for o in OPERATIONS if o.dialect == dialect]
        assert len(found) == coverage()["operations"]
        assert sum(o.bound for o in found) == coverage()["bound"]


# -- what every operation answers ---------------------------------------------------------------------------------

NO_KEY = {"clearml": "20", "graphql": "unauthenticated", "mlflow": "UNAUTHENTICATED", "domino": ""}
"""The codes that are not the family's own word."""


@pytest.mark.parametrize("shape", SHAPES)
def test_every_operation_asks_for_a_key(wire: Connection, shape: str) -> None:
    for operation in _of(shape):
        if operation.public:
            continue
        said = refusal(shape, wire.call(operation, key=None))
        assert (said.status, said.code) == (401, NO_KEY.get(shape, "unauthenticated")), operation


@pytest.mark.parametrize("shape", SHAPES)
def test_no_operation_takes_a_key_that_nobody_was_given(wire: Connection, shape: str) -> None:
    code = {"clearml": "30"}.get(shape, NO_KEY.get(shape, "unauthenticated"))
    for operation in _of(shape)[::7]:
        if operation.public:
            continue
        said = refusal(shape, wire.call(operation, key="qk_AAAAAAAAAAAA.bbbbbbbbbbbbbbbbbbbb"))
        assert (said.status, said.code) == (401, code), operation


PUBLIC = {
    "auth.fixed_users_mode", "debug.ping", "login.supported_modes", "login.logout", "GET /version", "GET /v1/health",
    "GET /v1/version",
}  # fmt: skip


def test_only_these_operations_need_no_key() -> None:
    assert {o.id for o in OPERATIONS if o.public} == PUBLIC


NOT_SERVED = {
    "clearml": (501, "0"),
    "graphql": (200, "unsupported"),
    "mlflow": (501, "NOT_IMPLEMENTED"),
    "domino": (501, ""),
}


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if _of(shape, bound=False)])
def test_every_operation_that_is_not_served_says_so(wire: Connection, shape: str) -> None:
    for operation in _of(shape, bound=False):
        said = refusal(shape, wire.call(operation))
        assert (said.status, said.code) == NOT_SERVED.get(shape, (501, "unsupported")), operation
        assert "not implemented" in said.text, operation


def test_an_unknown_path_is_answered_in_the_shape_of_its_prefix(server: ServerHandle, wire: Connection) -> None:
    shapes = {"clearml": "file", "adaptive": "adaptive"}
    for mount in (module.mount(server.core) for module in MOUNTS):
        for prefix in mount.prefixes:
            path = f"{prefix.rstrip('/')}/no-such/zz9/thing"
            reply = wire.ask("PUT", path, {})
            assert reply.status in (404, 405), path
            shape = shapes.get(mount.dialect, mount.dialect)
            if shape != "file":
                said = refusal(shape, reply)
                assert path in said.text or said.status == 405, path


def test_an_unknown_endpoint_of_clearml_is_answered_in_its_envelope(wire: Connection) -> None:
    said = refusal("clearml", wire.ask("POST", "/v2.23/tasks.nonsense", {}))
    assert said.status == 404
    assert "Unable to find endpoint" in said.text


# -- bad input ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Write:
    """A bound operation that takes a body; `wrong` has a field of the wrong type, `lacking` lacks one."""

    shape: str
    path: str
    wrong: Any
    wrong_field: str
    lacking: Any = None
    lacking_field: str = ""
    limit: int = 16 << 20


WRITES = (
    Write("adaptive", "/api/v1/chat/completions", {"model": "m", "messages": 5}, "messages",
          {"model": "m"}, "messages"),
    Write("adaptive", "/api/v1/feedback", {"metric": 5}, "metric", {"metric": "m"}, "value"),
    Write("clearml", "/v2.34/tasks.create", {"name": 5, "type": "training"}, "name"),
    Write("clearml", "/v2.34/queues.create", {"name": ["x"]}, "name", {}, "name"),
    Write("clearml", "/v2.34/models.create", {"name": "a", "uri": {}}, "uri", {"name": "a"}, "uri"),
    Write("domino", "/api/projects/beta/projects", {"name": 5}, "name", {"description": ""}, "name"),
    Write("domino", "/api/registeredmodels/v1", {"modelName": []}, "modelName", {"description": ""}, "modelName"),
    Write("llama_stack", "/v1/chat/completions", {"model": "m", "messages": "hi"}, "messages",
          {"model": "m"}, "messages", limit=64 << 20),
    Write("llama_stack", "/v1beta/datasets", {"purpose": 1, "source": {"type": "rows"}}, "purpose",
          {"purpose": "eval/messages-answer"}, "source", limit=64 << 20),
    Write("inference", "/inference/v1/benchmarks", {"name": 1}, "name", {"name": "b"}, "description"),
    Write("inference", "/inference/v1/personas", {"name": 1, "birthdate": "2000-01-01", "notes": "n"}, "name",
          {"name": "x", "notes": "y"}, "birthdate"),
    Write("runner", "/runner/v1/lease", {"worker": 7}, "worker", {"seconds": 5}, "worker", limit=64 << 20),
)  # fmt: skip


def _prefix(path: str) -> str:
    operation = next((o for o in OPERATIONS if o.dialect == "inference"), None)
    assert operation is not None
    base = operation.path.removesuffix(operation.id.partition(" ")[2])
    return path.replace("/inference/v1", base)


@pytest.mark.parametrize("case", WRITES, ids=lambda case: case.path)
def test_bad_bodies_are_refused_by_the_name_of_what_is_wrong(wire: Connection, case: Write) -> None:
    path = _prefix(case.path)
    for raw in (b'{"a": ', b"\xff\xfe", b"[" * 5_000):
        said = refusal(case.shape, wire.ask("POST", path, raw=raw))
        assert said.status == 400, (raw[:10], said)
        assert said.names("body"), (raw[:10], said)
    said = refusal(case.shape, wire.ask("POST", path, raw=b'"text"'))
    assert said.status == 400, said
    said = refusal(case.shape, wire.ask("POST", path, case.wrong))
    assert said.status == 400, said
    assert said.names(case.wrong_field), said
    if case.lacking is not None:
        said = refusal(case.shape, wire.ask("POST", path, case.lacking))
        assert said.status == 400, said
        assert said.names(case.lacking_field), said


@pytest.mark.parametrize("case", WRITES, ids=lambda case: case.path)
def test_a_body_over_the_limit_is_refused_before_it_is_sent(wire: Connection, case: Write) -> None:
    said = refusal(case.shape, wire.oversized("POST", _prefix(case.path), case.limit + 1))
    assert said.status == 413, said
    assert str(case.limit) in said.text or said.names("body"), said


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"query": ', "not valid JSON"),
        (b'{"query": 5}', "query"),
        (b"{}", "query"),
        (b'{"query": "{ me { id } }", "variables": []}', "variables"),
    ],
)
def test_broken_graphql_requests_are_400(wire: Connection, body: bytes, said: str) -> None:
    found = refusal("graphql", wire.ask("POST", "/api/graphql", raw=body))
    assert found.status == 400
    assert said in found.text + found.field


def test_variables_of_the_wrong_type_are_refused_by_name(wire: Connection) -> None:
    query = "mutation($i: UseCaseCreate!) { createUseCase(input: $i) { id } }"
    reply = wire.ask("POST", "/api/graphql", {"query": query, "variables": {"i": {"name": 5}}})
    assert "name" in refusal("graphql", reply).text


def test_an_oversized_document_is_413(wire: Connection) -> None:
    said = refusal("graphql", wire.oversized("POST", "/api/graphql", 1 << 40))
    assert said.status == 413


# -- errors -------------------------------------------------------------------------------------------------------

TABLES: dict[str, ErrorTable[Any]] = {
    "adaptive": ADAPTIVE_TABLE, "clearml": CLEARML_TABLE, "domino": DOMINO_TABLE, "mlflow": MLFLOW_TABLE,
    "inference": INFERENCE_TABLE, "llama_stack": LLAMA_STACK_TABLE, "runner": RUNNER_TABLE,
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_every_error_of_the_family_has_a_row(name: str) -> None:
    assert TABLES[name].total(), TABLES[name].missing()


# -- ids of another kind ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Things:
    """The ids of one thing of each kind, as the core writes them."""

    project: Any
    run: Any
    model: Any
    dataset: Any
    chat: Any
    persona: Any


@pytest.fixture(scope="module")
def things(server: ServerHandle) -> Things:
    def write(use_case: Any, *args: Any) -> Any:
        return server.core.write_now(server.admin, use_case, *args).id

    project = write(create_project, CreateProject("kinds"))
    return Things(
        project, write(create_run, CreateRun("a run", project_id=project)), write(create_model, CreateModel("a model")),
        write(create_dataset, CreateDataset("a dataset", project)),
        write(create_document, "inference", "chat", {"messages": []}),
        write(create_document, "inference", "personas", {"name": "x"}),
    )  # fmt: skip


def test_clearml_refuses_ids_of_another_kind(wire: Connection, things: Things) -> None:
    wrong = {
        ("tasks.get_by_id", "task", 101): to_hex32(things.project, Kind.PROJECT),
        ("tasks.started", "task", 101): to_hex32(things.model, Kind.MODEL),
        ("projects.get_by_id", "project", 401): to_hex32(things.run, Kind.RUN),
        ("models.get_by_id", "model", 201): to_hex32(things.run, Kind.RUN),
        ("queues.get_by_id", "queue", 701): to_hex32(things.run, Kind.RUN),
    }
    for (name, field, subcode), ident in wrong.items():
        said = refusal("clearml", wire.ask("POST", f"/v2.34/{name}", {field: ident}))
        assert (said.status, said.code) == (400, str(subcode)), name
    # The right digits under the kind of something else are no id either.
    said = refusal("clearml", wire.ask("POST", "/v2.34/tasks.get_by_id", {"task": to_hex32(things.project, Kind.RUN)}))
    assert said.code == "101"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/projects/v1/projects/{}", "run"),
        ("/api/jobs/beta/jobs/{}", "project"),
        ("/api/datasetrw/v1/datasets/{}", "run"),
        ("/api/registeredmodels/v1/{}", "run"),
        ("/api/hardwaretiers/v1/hardwaretiers/{}", "project"),
        ("/api/environments/v1/environments/{}", "project"),
        ("/api/organizations/v1/organizations/{}", "project"),
        ("/v4/projects/{}/billingtag", "run"),
    ],
)
def test_domino_refuses_ids_of_another_kind(wire: Connection, things: Things, path: str, name: str) -> None:
    said = refusal("domino", wire.ask("GET", path.format(getattr(things, name))))
    assert said.status == 404


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1beta/datasets/{}", "run"),
        ("/v1/chat/completions/chatcmpl-{}", "project"),
        ("/v1alpha/post-training/job/status?job_uuid={}", "project"),
        ("/v1alpha/eval/benchmarks/{}", "dataset"),
        ("/v1/models/{}", "run"),
    ],
)
def test_llama_stack_refuses_ids_of_another_kind(wire: Connection, things: Things, path: str, name: str) -> None:
    assert refusal("llama_stack", wire.ask("GET", path.format(getattr(things, name)))).status == 404


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("trainings", "project"),
        ("chats", "persona"),
        ("personas", "chat"),
        ("benchmarks", "dataset"),
        ("spaces", "run"),
    ],
)
def test_inference_refuses_ids_of_another_kind(wire: Connection, things: Things, path: str, name: str) -> None:
    said = refusal("inference", wire.ask("GET", _prefix(f"/inference/v1/{path}/{getattr(things, name)}")))
    assert said.status == 404


def test_adaptive_refuses_ids_of_another_kind(wire: Connection, things: Things) -> None:
    run, project = to_uuid(things.run, Kind.RUN), to_uuid(things.project, Kind.PROJECT)
    for query in (f'useCase(idOrKey: "{run}")', f'job(id: "{project}")', f'model(idOrKey: "{run}")'):
        reply = wire.ask("POST", "/api/graphql", {"query": f"{{ found: {query} {{ id }} }}"})
        assert reply.json == {"data": {"found": None}}, query
    for change in (f'cancelJob(id: "{project}")', f'updateUseCase(idOrKey: "{run}", input: {{name: "x"}})'):
        said = refusal("graphql", wire.ask("POST", "/api/graphql", {"query": f"mutation {{ {change} {{ id }} }}"}))
        assert said.code == "not_found", change
