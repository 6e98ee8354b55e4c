"""The contracts of all dialects load, fit on one router without collisions, and hold what was agreed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.dialects.kit.wire import show, signed_in

from quintet.dialects.clearml import contract as clearml
from quintet.dialects.domino import contract as domino
from quintet.dialects.inference import contract as inference
from quintet.dialects.kit import contracts
from quintet.dialects.kit.rest import Operation, RestBinder, RestContract
from quintet.dialects.kit.trie import Match, Trie
from quintet.dialects.llama_stack import contract as llama_stack

REST = {
    "domino": (domino.rest, 115),
    "model serving": (domino.model_serving, 35),
    "mlflow": (domino.mlflow, 187),
    "llama_stack": (llama_stack.rest, 114),
    "inference": (inference.rest, 78),
}


def routes(contract: RestContract) -> list[tuple[str, str, str]]:
    binder = RestBinder("test", contract, errors=show, authenticate=signed_in)
    ids = [operation.id for operation in contract.operations.values() for _ in range(1 + len(operation.aliases))]
    return [(route.method, route.path, ident) for route, ident in zip(binder.routes(), ids, strict=True)]


@pytest.fixture(scope="module")
def trie() -> Trie[str]:
    return Trie(route for load, _ in REST.values() for route in routes(load()))


@pytest.mark.parametrize("name", REST)
def test_every_operation_is_there(name: str) -> None:
    load, count = REST[name]
    assert len(load().operations) == count


def test_all_rest_dialects_share_one_router_and_every_route_finds_itself(trie: Trie[str]) -> None:
    for load, _ in REST.values():
        for method, path, ident in routes(load()):
            found = trie.match(method, re.sub(r"\{[^}]*\}", "value", path))
            assert isinstance(found, Match)
            assert found.handler == ident


@pytest.mark.parametrize(
    ("method", "path", "ident"),
    [
        ("GET", "/api/registeredmodels/v1/names", "GET /api/registeredmodels/v1/names"),
        (
            "GET",
            "/api/projects/v1/projects/p/files/c/a/b%2Fc.txt/content",
            "GET /api/projects/v1/projects/{projectId}/files/{commitId}/{path}/content",
        ),
        ("POST", "/ajax-api/2.0/mlflow/runs/create", "POST /api/2.0/mlflow/runs/create"),
        ("POST", "/mlflow/api/2.0/mlflow/runs/create", "POST /api/2.0/mlflow/runs/create"),
        (
            "PUT",
            "/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts/m.pkl",
            "PUT /api/2.0/mlflow-artifacts/artifacts/<path:artifact_path>",
        ),
        ("GET", "/v1/models/org/name", "GET /v1/models/{model_id}"),
        ("GET", "/v1/agents/a", "GET /v1alpha/agents/{agent_id}"),
        ("POST", "/v1/openai/v1/chat/completions", "POST /v1/chat/completions"),
        ("GET", "/v1/datasets/my/set", "GET /v1beta/datasets/{dataset_id}"),
        ("PATCH", "/inference/v1/chats/1", "PUT /chats/{id}"),
        ("POST", "/inference/v1/chats/completions", "POST /chats"),
    ],
)
def test_paths_as_clients_send_them_are_found(trie: Trie[str], method: str, path: str, ident: str) -> None:
    found = trie.match(method, path)
    assert isinstance(found, Match)
    assert found.handler == ident


def operation(contract: RestContract, ident: str) -> Operation:
    return contract.operations[ident]


def test_query_parameters_keep_types_defaults_and_enums() -> None:
    jobs = {p.name: p for p in operation(domino.rest(), "GET /api/jobs/beta/jobs").query}
    assert (jobs["limit"].type, jobs["limit"].default) == ("integer", 10)
    assert (jobs["ascending"].type, jobs["ascending"].default) == ("boolean", False)
    assert jobs["projectId"].required
    logs = {p.name: p for p in operation(inference.rest(), "GET /leaderboards").query}
    assert logs["benchmarks"].array
    assert logs["order_by_metric.direction"].enum == ("asc", "desc")
    assert operation(domino.rest(), "POST /api/jobs/v1/jobs").body_required


def test_clearml_endpoints_keep_versions_auth_and_fields() -> None:
    endpoints = {endpoint.name: endpoint for endpoint in clearml.endpoints()}
    assert len(endpoints) == 204
    assert endpoints["tasks.enqueue"].versions == ("1.5", "2.19", "2.22", "2.31")
    assert endpoints["debug.ping"].auth == "none"
    assert endpoints["auth.edit_user"].roles == ("system", "root", "admin")
    assert endpoints["tasks.enqueue"].roles == ()
    assert endpoints["tasks.enqueue"].required == ("task",)
    assert endpoints["tasks.enqueue"].request["verify_watched_queue"] == "boolean"


def test_contracts_hold_no_prose() -> None:
    folder = Path(contracts.__file__).resolve().parents[4] / "contracts"
    given = (
        "schema.graphql",
        "domino.json",
        "mlflow-endpoints.json",
        "openapi.yaml",
        "operations.json",
        "inference.json",
    )
    paths = [path for path in folder.glob("*/*") if path.name in given]
    assert len(paths) == len(given)
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert '"""' not in text, path
        sentences = re.findall(r'"?(?:description|summary)"?: "?\'?[A-Z][^\n"]* [^\n"]*', text)
        assert not sentences, (path, sentences[:3])


def test_a_missing_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"domino/nothing\.json"):
        contracts.contract_file("domino", "nothing.json")


def test_coverage_is_recorded_beside_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clearml").mkdir()
    # What the package itself carries is read first, and an editable install carries the checkout's.
    monkeypatch.setattr(contracts.resources, "files", lambda _: tmp_path / "installed")
    monkeypatch.setattr(contracts, "_checkout", lambda: tmp_path)
    assert contracts.read_coverage("clearml") == {}
    coverage = {"operations": 2, "bound": 1, "unbound": ["b"]}
    contracts.write_coverage("clearml", coverage)
    assert contracts.read_coverage("clearml") == coverage
    with pytest.raises(LookupError):
        contracts.write_coverage("nobody", coverage)
