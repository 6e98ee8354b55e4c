"""An engine that dies in the middle of an answer: its caller hears of it, it is written down, the next call works."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from tests.crash.processes import Server, children, command_of
from tests.engines import upstream

from quintet.app.interactions.manage import InteractionFilter, list_interactions
from quintet.app.models.versions import RegisterVersion, register_version
from quintet.domain.interactions import Interaction
from quintet.domain.page import PageRequest

UPSTREAM = """
import asyncio, sys
from aiohttp import web
from tests.engines.upstream import build

async def main():
    runner = web.AppRunner(build())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", int(sys.argv[1]))
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@contextmanager
def upstream_process(port: int = 0) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A model server of somebody else, and its port."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "src")])}
    command = [sys.executable, "-c", UPSTREAM, str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait(10)


class Stream:
    """A streamed completion, read event by event."""

    def __init__(self, server: Server, model: str, text: str, **fields: Any) -> None:
        body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": True, **fields}
        request = Request(
            f"http://127.0.0.1:{server.port}/v1/chat/completions", json.dumps(body).encode(),
            {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"},
        )  # fmt: skip
        self._reply = urlopen(request, timeout=60)

    def events(self) -> Iterator[Any]:
        """Its events, decoded; the mark of a good end is the text `[DONE]`."""
        for line in self._reply:
            if line.startswith(b"data: "):
                data = line.removeprefix(b"data: ").strip()
                yield data.decode() if data == b"[DONE]" else json.loads(data)


def text_of(event: Any) -> str:
    return "".join(choice["delta"].get("content") or "" for choice in event.get("choices", ()))


def newest(server: Server) -> list[Interaction]:
    page = server.use(list_interactions, InteractionFilter(), PageRequest(limit=10))
    return list(page.items)


def breaks_off(server: Server, stream: Stream, kill: Callable[[], None]) -> None:
    """Kills the engine when the stream has begun, and looks at what its reader and the records say."""
    said, failures, begun = "", [], False
    for event in stream.events():
        assert event != "[DONE]", "the stream ended as if it were whole"
        if "error" in event:
            failures.append(event)
            continue
        assert not failures
        said += text_of(event)
        if not begun:
            # At the very first event: a small model on a busy machine may say all it has before its reader looks again.
            begun = True
            kill()
    [failure] = failures
    assert (failure["status"], failure["error"]["code"]) == (503, "unavailable")
    [kept, *_] = newest(server)
    assert kept.status == "error"
    assert kept.error.startswith("unavailable: ")
    assert kept.completion == said


def test_an_upstream_that_is_killed_in_the_middle_of_a_stream(make_server: Callable[..., Server]) -> None:
    server = make_server()
    with upstream_process() as (process, port):
        config = {"base_url": f"http://127.0.0.1:{port}/v1", "api_key": upstream.KEY}
        server.add_endpoint("far", "openai_compatible", **config)
        server.start()
        breaks_off(server, Stream(server, "far", "endless"), process.kill)
        # Nobody is there: a plain error, before any stream begins, and written down as well.
        body = {"model": "far", "messages": [{"role": "user", "content": "hello"}]}
        assert server.ask("POST", "/v1/chat/completions", body).status == 503
        assert [i.status for i in newest(server)] == ["error", "error"]
    with upstream_process(port):
        assert list(Stream(server, "far", "hello").events())[-1] == "[DONE]"
        assert newest(server)[0].status == "success"


@pytest.mark.slow
@pytest.mark.models
def test_a_model_process_that_is_killed_in_the_middle_of_a_stream(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    server = make_server()
    made = subprocess.run(
        [sys.executable, "-c", "import sys; from pathlib import Path; from tests.engines.tiny import save_model\n"
         "save_model(Path(sys.argv[1]), context=2048)", str(tmp_path / "tiny")],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    parts = server.parts()
    files = {path.name: path.read_bytes() for path in (tmp_path / "tiny").iterdir()}
    prefix = f"models/{server.admin.space_id}/tiny"
    for name, data in files.items():
        parts.core.ports.blobs.put(f"{prefix}/{name}", data)
    sizes = {name: {"size": len(data)} for name, data in files.items()}
    parts.core.write_now(server.admin, register_version, RegisterVersion("tiny", blob_prefix=prefix, files=sizes))
    parts.close()
    server.start()
    assert server.process is not None
    pid = server.process.pid

    def kill() -> None:
        [engine] = [p for p in children(pid) if "quintet.engines.transformers.process" in command_of(p)]
        os.kill(engine, signal.SIGKILL)

    breaks_off(server, Stream(server, "tiny", "hello", max_tokens=1500, temperature=0), kill)
    assert list(Stream(server, "tiny", "hello", max_tokens=4).events())[-1] == "[DONE]"
    assert newest(server)[0].status == "success"
