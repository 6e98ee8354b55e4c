"""The unmodified adaptive-sdk 0.1.6 and openai clients against a live server."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engines import upstream
from tests.support.servers import running_server

from quintet.app.serving.services import AddExternalModel, add_external_model

CLIENTS = Path(__file__).resolve().parents[3] / ".venv-clients" / "bin" / "python"
STORY = Path(__file__).with_name("story.py")


@contextlib.contextmanager
def upstream_url() -> Iterator[str]:
    """An upstream that speaks OpenAI's protocol, in a thread of its own."""
    loop = asyncio.new_event_loop()
    ready: list[str] = []
    started, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with upstream.serving(upstream.build()) as url:
            ready.append(url)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


@pytest.mark.clients
@pytest.mark.skipif(not CLIENTS.exists(), reason="the real clients are not installed (.venv-clients)")
def test_the_official_client_lives_the_whole_story(tmp_path: Path) -> None:
    with running_server(tmp_path) as server, upstream_url() as url:
        for name, mode in (("alpha", "upper"), ("beta", "echo")):
            model = AddExternalModel(name, "fake", "", {"mode": mode}, engine="fake")
            server.core.write_now(server.admin, add_external_model, model)
        done = subprocess.run(
            [str(CLIENTS), str(STORY), server.url, server.key, url],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    assert "all of the story happened" in done.stdout
