"""Files in GraphQL requests, by the multipart convention."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from tests.dialects.kit.graph import bound
from tests.dialects.kit.wire import KEY, NO_CORE, Sent, run

from quintet.dialects.kit.call import Call
from quintet.dialects.kit.graphql import GraphqlBinder, Limits, UploadedFile


def multipart(parts: list[tuple[str, str | None, bytes]]) -> Sent:
    body = b""
    for name, filename, data in parts:
        disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
        kind = "\r\nContent-Type: text/x-python" if filename else ""
        body += f"--B\r\nContent-Disposition: {disposition}{kind}\r\n\r\n".encode() + data + b"\r\n"
    headers = {**KEY, "content-type": "multipart/form-data; boundary=B"}
    return Sent("POST", "/graphql", body + b"--B--\r\n", headers=headers)


def uploading() -> tuple[GraphqlBinder, list[UploadedFile]]:
    made = bound()
    seen: list[UploadedFile] = []

    @made.mutation("upload")
    async def upload(call: Call, obj: None, **arguments: Any) -> list[str]:
        files = [arguments["file"]] if arguments.get("file") else arguments.get("files", [])
        seen.extend(files)
        return [file.file.read().decode() for file in files]

    return made, seen


OPERATIONS = {
    "query": "mutation U($file: Upload, $files: [Upload!]) { upload(file: $file, files: $files) }",
    "operationName": "U",
    "variables": {"file": None, "files": [None, None]},
}


def test_files_take_the_place_of_the_nulls_that_the_map_names() -> None:
    made, seen = uploading()
    operations = msgspec.json.encode({**OPERATIONS, "variables": {"file": None}})
    sent = multipart(
        [("operations", None, operations), ("map", None, b'{"0": ["variables.file"]}'), ("0", "x.py", b"hi")]
    )
    response = run(made.handle(sent.request(), NO_CORE, "r", {}))
    assert json.loads(bytes(response.body)) == {"data": {"upload": ["hi"]}}
    assert (seen[0].filename, seen[0].content_type) == ("x.py", "text/x-python")
    assert seen[0].file.closed


def test_files_may_lie_in_lists() -> None:
    made, _ = uploading()
    operations = msgspec.json.encode({**OPERATIONS, "variables": {"files": [None, None]}})
    places = b'{"a": ["variables.files.1"], "b": ["variables.files.0"]}'
    sent = multipart([("operations", None, operations), ("map", None, places), ("a", "1", b"one"), ("b", "2", b"two")])
    response = run(made.handle(sent.request(), NO_CORE, "r", {}))
    assert json.loads(bytes(response.body)) == {"data": {"upload": ["two", "one"]}}


@pytest.mark.parametrize(
    "places",
    [
        {"0": ["variables.nope.x"]},
        {"0": ["variables.files.7"]},
        {"0": ["query"]},
        {"0": ["variables"]},
        {"nope": ["variables.file"]},
        {"operations": ["variables.file"]},
        {"0": ["variables.file", "variables.file"]},
        {"0": "variables.file"},
    ],
)
def test_a_map_that_makes_no_sense_is_refused(places: dict[str, Any]) -> None:
    made, seen = uploading()
    parts = [("operations", None, msgspec.json.encode(OPERATIONS)), ("map", None, msgspec.json.encode(places))]
    response = run(made.handle(multipart([*parts, ("0", "x", b"hi")]).request(), NO_CORE, "r", {}))
    assert response.status_code == 400
    assert not seen


def test_uploads_are_bounded() -> None:
    made = bound(Limits(upload=1_000))
    parts = [("operations", None, msgspec.json.encode(OPERATIONS)), ("map", None, b'{"0": ["variables.file"]}')]
    response = run(made.handle(multipart([*parts, ("0", "x", b"x" * 2_000)]).request(), NO_CORE, "r", {}))
    assert response.status_code == 413
