"""The object-store half of the blobs, against an S3 server over a real socket.

The server is moto, in a process of its own: obstore's client is native code that no patch in Python reaches.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator

import pytest

from quintet.blobs import open_blobs
from quintet.blobs.store import PART_BYTES
from quintet.domain.errors import Conflict, NotFound, Unavailable
from quintet.ports.blobs import Blobs

pytestmark = pytest.mark.skipif(importlib.util.find_spec("moto") is None, reason="moto is not installed")

SERVER = """
import os, socket
from werkzeug.serving import make_server
from moto.server import DomainDispatcherApplication, create_backend_app
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
print("PORT", server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    found = re.match(r"PORT (\d+)", process.stdout.readline())
    assert found is not None
    yield f"http://127.0.0.1:{found.group(1)}"
    process.kill()
    process.wait()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    call(endpoint, "POST", "/moto-api/reset")
    call(endpoint, "PUT", "/bucket")
    return "s3://bucket/pre/fix"


@pytest.fixture
def blobs(bucket: str) -> Blobs:
    return open_blobs(bucket)


def call(endpoint: str, method: str, path: str) -> bytes:
    request = urllib.request.Request(endpoint + path, method=method)
    with urllib.request.urlopen(request, timeout=10) as reply:
        return bytes(reply.read())


def uploads_in_progress(endpoint: str) -> int:
    return call(endpoint, "GET", "/bucket?uploads").count(b"<Upload>")


async def parts(data: bytes, step: int = 1_000_003) -> AsyncIterator[bytes]:
    for start in range(0, len(data), step):
        yield data[start : start + step]


async def read_all(blobs: Blobs, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([piece async for piece in blobs.read_stream(key, start, end)])


def test_blobs_come_back_below_the_prefix_of_the_url(blobs: Blobs) -> None:
    info = blobs.put("a/b c/ü", b"hello")
    assert info.sha256 == hashlib.sha256(b"hello").hexdigest()
    assert blobs.get("a/b c/ü") == b"hello"
    found = blobs.info("a/b c/ü")
    assert found is not None
    assert found.size == 5
    assert found.modified_at > 1_600_000_000_000_000
    assert [i.key for i in blobs.list("a")] == ["a/b c/ü"]
    assert open_blobs("s3://bucket").get("pre/fix/a/b c/ü") == b"hello"
    assert blobs.local_path("a") is None


def test_what_is_not_there_is_not_found(blobs: Blobs) -> None:
    assert blobs.info("none") is None
    assert blobs.delete("none") is False
    with pytest.raises(NotFound):
        blobs.get("none")
    with pytest.raises(NotFound):
        asyncio.run(read_all(blobs, "none"))
    blobs.put("k", b"1")
    assert blobs.delete("k") is True
    assert blobs.info("k") is None


def test_ranges_are_cut_at_the_end(blobs: Blobs) -> None:
    blobs.put("k", b"0123456789")
    for start, length, expected in ((0, 4, b"0123"), (8, 4, b"89"), (10, 4, b""), (3, 0, b"")):
        assert blobs.get_range("k", start, length) == expected
        assert asyncio.run(read_all(blobs, "k", start, start + length)) == expected


@pytest.mark.parametrize("size", [0, 10, PART_BYTES, 2 * PART_BYTES + 17])
def test_streams_of_any_size_are_stored_whole(blobs: Blobs, endpoint: str, size: int) -> None:
    data = os.urandom(size)
    info = asyncio.run(blobs.write_stream("k", parts(data)))
    assert (info.size, info.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert asyncio.run(read_all(blobs, "k")) == data
    assert asyncio.run(read_all(blobs, "k", size // 3, size // 2)) == data[size // 3 : size // 2]
    assert uploads_in_progress(endpoint) == 0


def test_a_stream_that_fails_leaves_the_old_blob_and_no_upload_behind(blobs: Blobs, endpoint: str) -> None:
    async def failing() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * PART_BYTES
        raise RuntimeError("source died")

    blobs.put("k", b"old")
    with pytest.raises(RuntimeError, match="source died"):
        asyncio.run(blobs.write_stream("k", failing()))
    assert blobs.get("k") == b"old"
    assert uploads_in_progress(endpoint) == 0


def test_a_blob_that_is_replaced_while_it_is_read_is_a_conflict(blobs: Blobs) -> None:
    blobs.put("k", b"o" * (2 * PART_BYTES))

    async def run() -> None:
        stream = blobs.read_stream("k")
        await anext(aiter(stream))
        blobs.put("k", b"n" * (2 * PART_BYTES))
        await anext(aiter(stream))

    with pytest.raises(Conflict):
        asyncio.run(run())


def test_a_store_that_is_not_there_is_unavailable(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((Unavailable, NotFound)):
        open_blobs("s3://no-such-bucket").put("k", b"1")


def test_a_cancelled_stream_leaves_the_old_blob_and_no_upload_behind(blobs: Blobs, endpoint: str) -> None:
    blobs.put("k", b"old")

    async def run() -> None:
        reached = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b"x" * PART_BYTES
            reached.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(blobs.write_stream("k", endless()))
        await reached.wait()
        assert await asyncio.to_thread(uploads_in_progress, endpoint) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert blobs.get("k") == b"old"
    assert uploads_in_progress(endpoint) == 0
