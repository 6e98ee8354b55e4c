"""One server for the tests of a file; each test works in a use case of its own."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.support.servers import Reply, ServerHandle, running_server

from quintet.app.serving.services import AddExternalModel, add_external_model

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerHandle]:
    with running_server(tmp_path_factory.mktemp("adaptive")) as handle:
        for name, mode in (("alpha", "upper"), ("beta", "echo")):
            model = AddExternalModel(name, "fake", "", {"mode": mode}, engine="fake")
            handle.core.write_now(handle.admin, add_external_model, model)
        yield handle


@dataclass(frozen=True, slots=True)
class Client:
    """Speaks to the server about one use case, which serves the models alpha (the default) and beta."""

    server: ServerHandle
    use_case: str

    def gql(self, query: str, **variables: Any) -> Any:
        """The data of an operation that succeeds."""
        reply = self.raw(query, **variables)
        assert reply.status == 200, reply.body
        assert "errors" not in reply.json, reply.json
        return reply.json["data"]

    def error(self, query: str, **variables: Any) -> dict[str, Any]:
        """The first error of an operation that fails."""
        reply = self.raw(query, **variables)
        assert reply.status == 200, reply.body
        return dict(reply.json["errors"][0])

    def raw(self, query: str, *, key: str | None = "", **variables: Any) -> Reply:
        body = {"query": query, "operationName": None, "variables": variables}
        return self.server.call("POST", "/api/graphql", body, key=key)

    def rest(self, path: str, body: Any, status: int = 200, **options: Any) -> Any:
        reply = self.server.call("POST", f"/api/v1/{path}", body, **options)
        assert reply.status == status, reply.body
        return reply.json

    def chat(self, text: str = "hello", model: str = "", **more: Any) -> Any:
        """A chat reply of the default model, or of `model`."""
        path = f"{self.use_case}/{model}" if model else self.use_case
        return self.rest("chat/completions", {"model": path, "messages": user(text), **more})

    def said(self, text: str = "hello", model: str = "", **more: Any) -> str:
        """The id of the completion of a chat."""
        return str(self.chat(text, model, **more)["choices"][0]["completion_id"])

    def metric(self, kind: str = "BOOL", **more: Any) -> str:
        """The key of a new metric."""
        made = self.gql(
            "mutation($i: MetricCreate!) { createMetric(input: $i) { key } }",
            i={"name": f"metric {next(_numbers)}", "kind": kind, **more},
        )
        return str(made["createMetric"]["key"])

    def upload(self, rows: list[dict[str, Any]] | bytes, key: str | None = None, **more: Any) -> Reply:
        """A dataset by the multipart request convention."""
        data = rows if isinstance(rows, bytes) else b"\n".join(json.dumps(r).encode() for r in rows)
        query = (
            "mutation($input: DatasetCreate!, $file: Upload!) { createDataset(input: $input, file: $file)"
            " { id key kind records source metricsUsage { feedbackCount comparisonCount metric { key kind } } } }"
        )
        variables = {"input": {"useCase": self.use_case, "name": key or "data", "key": key, **more}, "file": None}
        operations = json.dumps({"query": query, "operationName": None, "variables": variables})
        parts = [("operations", None, operations.encode()), ("map", None, b'{"0": ["variables.file"]}')]
        body = b"".join(
            f'--x\r\nContent-Disposition: form-data; name="{name}"{extra or ""}\r\n\r\n'.encode() + content + b"\r\n"
            for name, extra, content in [*parts, ("0", '; filename="data"', data)]
        )
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        return self.server.call("POST", "/api/graphql", raw=body + b"--x--\r\n", headers=headers)


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@pytest.fixture
def client(server: ServerHandle) -> Client:
    made = Client(server, f"case-{next(_numbers)}")
    made.gql("mutation($i: UseCaseCreate!) { createUseCase(input: $i) { id } }",
             i={"name": made.use_case, "key": made.use_case})  # fmt: skip
    for model in ("alpha", "beta"):
        made.gql("mutation($i: AttachModel!) { attachModel(input: $i) { id } }",
                 i={"useCase": made.use_case, "model": model, "wait": True})  # fmt: skip
    return made
