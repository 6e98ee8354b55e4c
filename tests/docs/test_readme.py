"""The examples of README.md, run as they stand: unmodified clients, a live server, and an upstream in Ollama's place."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.engines import upstream
from tests.support.clearml_sdk import settings_in
from tests.support.servers import ServerHandle, running_server

from quintet.cli.client_env import CLIENTS

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-clients" / "bin" / "python"
OLLAMA = "http://127.0.0.1:11434/v1"
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.clients


def examples() -> list[tuple[str, str]]:
    """(language, text) of the examples of the chapter about clients, in order."""
    text = (ROOT / "README.md").read_text()
    return BLOCK.findall(text.partition("## A screenful of clients")[2].partition("## More")[0])


@contextmanager
def open_upstream() -> Iterator[str]:
    """An upstream that asks for no particular key."""
    loop = asyncio.new_event_loop()
    ready, done = threading.Event(), asyncio.Event()
    found: list[str] = []

    async def serve() -> None:
        async with upstream.serving(upstream.build()) as url:
            found.append(url)
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(10)


def run(language: str, text: str, server: ServerHandle, folder: Path) -> str:
    keys = (server.key, server.access_key, server.secret_key)
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "URL": server.url, "KEY": server.key,
        **CLIENTS["clearml"](server.url, keys), **settings_in(folder),
    }  # fmt: skip
    command = [str(PYTHON), "-c", text] if language == "python" else ["sh", "-ec", text]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_every_client_does_what_the_readme_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if not PYTHON.exists():
        pytest.skip("there are no clients; `make clients` installs them")
    monkeypatch.setattr(upstream, "KEY", "none")
    with running_server(tmp_path) as server, open_upstream() as url:
        told = [run(language, text.replace(OLLAMA, url).replace('"api_base"', '"api_key": "none", "api_base"'), server,
                    tmp_path) for language, text in examples()]  # fmt: skip
        domino, openai, _, _, inference = told
        assert '"endpointName":"helper"' in domino
        assert "helper" in openai
        assert '"total_calls":3' in inference
        tasks = server.call("POST", "/tasks.get_all", {"name": "a curve", "only_fields": ["status"]})
        assert [t["status"] for t in tasks.json["data"]["tasks"]] == ["completed"]
    assert [r.getMessage() for r in caplog.records if r.levelname == "ERROR"] == []
