"""The binder against its contract: what is served is written down, every error has its shape, all needs a key."""

from __future__ import annotations

import pytest
from tests.dialects.domino.asking import ask
from tests.support.servers import ServerHandle

from quintet.dialects.domino import mount
from quintet.dialects.domino.binder import binder, mlflow_binder
from quintet.dialects.domino.errors import MLFLOW, TABLE
from quintet.dialects.kit.contracts import read_coverage

BOUND = sorted(
    ident for b in (binder, mlflow_binder) for ident in b.contract.operations if ident not in b.coverage()["unbound"]
)


def test_what_is_served_is_written_down() -> None:
    assert mount.coverage() == read_coverage("domino")


def test_every_error_has_a_status_and_none_is_409() -> None:
    assert TABLE.total()
    assert MLFLOW.total()
    assert 409 not in TABLE._rows.values()


@pytest.mark.parametrize("ident", BOUND)
def test_nothing_is_served_without_a_key(server: ServerHandle, ident: str) -> None:
    if ident == "GET /version":
        return
    method, _, path = ident.partition(" ")
    for name in ("path:artifact_path", "version"):
        path = path.replace("{" + name + "}", "1").replace("<" + name + ">", "1")
    for part in [p for p in path.split("/") if p.startswith("{")]:
        path = path.replace(part, "x")
    reply = server.call(method, path, {}, key=None)
    assert reply.status == 401, (ident, reply.body)


def test_a_wrong_key_is_refused(server: ServerHandle) -> None:
    reply = ask(server, "GET", "/api/users/v1/self", key="qk_nobody.nothing")
    assert reply.status == 401
    assert set(reply.json) == {"requestId", "errors"}


def test_all_three_spellings_of_a_key_work(server: ServerHandle) -> None:
    import base64

    pair = base64.b64encode(f"{server.access_key}:{server.secret_key}".encode()).decode()
    for headers in (
        {"X-Domino-Api-Key": server.key},
        {"Authorization": f"Bearer {server.key}"},
        {"Authorization": f"Basic {pair}"},
    ):
        assert server.call("GET", "/api/users/v1/self", key=None, headers=headers).status == 200


def test_what_is_not_served_says_so_in_the_api_s_own_shape(server: ServerHandle) -> None:
    reply = ask(server, "GET", "/api/cost/v1/asset?window=today")
    assert reply.status == 501
    assert "not implemented" in reply.json["errors"][0]
    unknown = ask(server, "GET", "/api/projects/v9/nothing")
    assert unknown.status == 404
    assert set(unknown.json) == {"requestId", "errors"}
    mlflow = ask(server, "POST", "/api/2.0/mlflow/runs/log-inputs", {})
    assert mlflow.status == 501
    assert mlflow.json["error_code"] == "NOT_IMPLEMENTED"


def test_the_version_is_json_for_domino_and_text_for_mlflow(server: ServerHandle) -> None:
    assert server.call("GET", "/version", key=None).json["version"] == "6.2.0"
    reply = server.call("GET", "/version", key=None, headers={"User-Agent": "mlflow-python-client/3.2.0"})
    assert reply.body == b"3.2.0"
