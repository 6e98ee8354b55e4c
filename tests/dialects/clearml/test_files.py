"""The file server: multipart uploads of any size, ranges, deletion, and paths that try to leave their folder."""

from __future__ import annotations

import hashlib
import http.client
import json
import resource
from collections.abc import Iterator

import pytest
from tests.dialects.clearml.conftest import Api
from tests.support.servers import Reply, ServerHandle

from quintet.app.runs.read import artifacts_of
from quintet.domain.ids import Kind, from_hex32

BOUNDARY = "fb1e7d2c"


def body_of(name: str, data: bytes, *, disposition: str | None = None) -> bytes:
    head = disposition or f'form-data; name="{name}"; filename="{name}"'
    return (
        f"--{BOUNDARY}\r\nContent-Disposition: {head}\r\nContent-Type: application/octet-stream\r\n\r\n".encode()
        + data
        + f"\r\n--{BOUNDARY}--\r\n".encode()
    )


def upload(server: ServerHandle, name: str, data: bytes, *, path: str = "/files/", **options: object) -> Reply:
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return server.call("POST", path, raw=body_of(name, data), headers=headers, **options)  # type: ignore[arg-type]


def test_what_was_uploaded_comes_back(server: ServerHandle) -> None:
    data = bytes(range(256)) * 1_000 + b"\r\n--not-the-boundary\r\n"
    reply = upload(server, "/proj/a task.1/artifacts/x/x.bin", data)
    assert (reply.status, reply.json) == (200, ["proj/a task.1/artifacts/x/x.bin"])
    got = server.call("GET", "/files/proj/a%20task.1/artifacts/x/x.bin")
    assert got.status == 200
    assert got.body == data


@pytest.mark.parametrize("path", ["/files", "/files/"])
def test_both_spellings_of_the_root_take_uploads_and_answer_ok(server: ServerHandle, path: str) -> None:
    assert upload(server, "root.txt", b"x", path=path).status == 200
    assert server.call("GET", path, key=None).body == b"OK"


def test_an_upload_replaces_what_was_there(server: ServerHandle) -> None:
    upload(server, "again.txt", b"first")
    upload(server, "again.txt", b"second")
    assert server.call("GET", "/files/again.txt").body == b"second"


def test_names_beyond_ascii(server: ServerHandle) -> None:
    disposition = "form-data; name*=utf-8''m%C3%BC%2Ff.txt; filename*=utf-8''m%C3%BC%2Ff.txt"
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    raw = body_of("", b"umlaut", disposition=disposition)
    assert server.call("POST", "/files", raw=raw, headers=headers).json == ["mü/f.txt"]
    assert server.call("GET", "/files/m%C3%BC/f.txt").body == b"umlaut"


@pytest.mark.parametrize(
    ("span", "status", "expected"),
    [
        ("bytes=0-3", 206, b"0123"),
        ("bytes=6-", 206, b"6789"),
        ("bytes=-2", 206, b"89"),
        ("bytes=8-100", 206, b"89"),
        ("bytes=20-", 416, b""),
        ("bytes=5-2", 416, b""),
        ("lines=1-2", 200, b"0123456789"),
    ],
)
def test_ranges(server: ServerHandle, span: str, status: int, expected: bytes) -> None:
    upload(server, "ten.txt", b"0123456789")
    got = server.call("GET", "/files/ten.txt", headers={"Range": span})
    assert (got.status, got.body) == (status, expected)


def test_head_tells_the_size_and_download_the_name(server: ServerHandle) -> None:
    upload(server, "page.html", b"<script>alert(1)</script>")
    head = server.call("HEAD", "/files/page.html")
    assert (head.status, head.headers["content-length"], head.body) == (200, "25", b"")
    got = server.call("GET", "/files/page.html?download=1")
    assert got.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in got.headers["content-security-policy"]


def test_deleting(server: ServerHandle) -> None:
    for name in ("d/one", "d/two", "d/sub/three", "single"):
        upload(server, name, b"x")
    assert server.call("DELETE", "/files/d/one").status == 200
    assert server.call("DELETE", "/files/d/one").status == 404
    done = server.call("POST", "/files/delete_many", {"files": ["d", "/single", "gone", ""]}).json
    assert set(done["deleted"]) == {"d", "/single"}
    assert sorted(p for paths in done["errors"].values() for p in paths) == ["", "gone"]
    assert server.call("GET", "/files/d/sub/three").status == 404


@pytest.mark.parametrize("name", ["../secret", "a/../../secret", "..", "a/\x01b", ""])
def test_paths_that_leave_their_folder_are_refused(server: ServerHandle, name: str) -> None:
    assert upload(server, name, b"x").status == 400


def test_a_download_cannot_leave_the_folder_either(server: ServerHandle) -> None:
    for path in ("/files/%2e%2e/%2e%2e/quintet.db", "/files/a%2F..%2F..%2Fquintet.db"):
        assert server.call("GET", path).status == 400


def test_files_need_a_key_and_the_right_to_write(server: ServerHandle) -> None:
    upload(server, "mine.txt", b"x")
    assert server.call("GET", "/files/mine.txt", key=None).status == 401
    assert upload(server, "mine.txt", b"y", key=None).status == 401
    reader = server.key_for("read-only")
    assert server.call("GET", "/files/mine.txt", key=reader).body == b"x"
    assert upload(server, "mine.txt", b"y", key=reader).status == 403
    assert server.call("DELETE", "/files/mine.txt", key=reader).status == 403
    assert server.call("GET", "/files/mine.txt").body == b"x"


@pytest.mark.parametrize(
    ("content_type", "raw"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"x"),
        (f"multipart/form-data; boundary={BOUNDARY}", b"no boundary here"),
        (f"multipart/form-data; boundary={BOUNDARY}", body_of("cut.txt", b"x" * 100)[:-20]),
        (f"multipart/form-data; boundary={BOUNDARY}", body_of("", b"x", disposition="form-data")),
    ],
)
def test_a_body_that_is_no_whole_multipart_is_refused(server: ServerHandle, content_type: str, raw: bytes) -> None:
    assert server.call("POST", "/files", raw=raw, headers={"Content-Type": content_type}).status == 400
    assert server.call("GET", "/files/cut.txt").status == 404


def test_a_large_file_goes_through_with_flat_memory(server: ServerHandle) -> None:
    # The server runs in this process, so its own peak is what may not grow by the size of the file.
    size, piece = 192 << 20, b"\xa5" * (1 << 20)
    head, tail = body_of("large.bin", b"").split(b"\r\n\r\n", 1)

    def pieces() -> Iterator[bytes]:
        yield head + b"\r\n\r\n"
        for _ in range(size // len(piece)):
            yield piece
        yield tail

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    length = len(head) + 4 + size + len(tail)
    headers = {
        "Authorization": f"Bearer {server.key}", "Content-Length": str(length),
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
    }  # fmt: skip
    connection.request("POST", "/files", body=pieces(), headers=headers)
    reply = connection.getresponse()
    assert (reply.status, json.loads(reply.read())) == (200, ["large.bin"])
    connection.request("GET", "/files/large.bin", headers=headers | {"Content-Length": "0"})
    digest, expected, got = hashlib.sha256(), hashlib.sha256(), connection.getresponse()
    while chunk := got.read(1 << 20):
        digest.update(chunk)
        expected.update(piece)
    connection.close()
    assert digest.hexdigest() == expected.hexdigest()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 140 << 10, f"{grown} KiB more memory for a file of {size >> 10} KiB"


def test_an_artifact_here_is_known_as_ours(server: ServerHandle, api: Api) -> None:
    task = api.running()
    uri = f"{server.url}/files/p/a%20b.json"
    foreign = {"key": "f", "type": "json", "uri": "http://elsewhere/files/x"}
    api("tasks.add_or_update_artifacts", task=task, artifacts=[{"key": "a", "type": "json", "uri": uri}, foreign])
    run_id = from_hex32(task, Kind.RUN)
    assert run_id is not None
    blobs = {a.key: a.blob for a in server.core.read_now(server.admin, artifacts_of, run_id)}
    assert blobs == {"a": f"files/{server.admin.space_id}/p/a b.json", "f": None}
