"""The real clients, unmodified, do a whole story on a live server."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests.dialects.llama_stack.support import Worker, meanwhile, registered, serving_server

from quintet.app.datasets.fill import create_with_rows
from quintet.app.datasets.manage import CreateDataset
from quintet.app.projects.manage import find_project
from quintet.domain.data import DatasetKind

PYTHON = Path(__file__).parents[3] / ".venv-clients" / "bin" / "python"
ROWS = [{"messages": [{"role": "user", "content": f"{n} May"}], "completion": f"05-0{n}"} for n in range(1, 4)]


@pytest.mark.clients
def test_llama_stack_client_and_openai_do_their_story(tmp_path: Path) -> None:
    if not PYTHON.exists():
        pytest.skip("there are no clients; `make clients` installs them")
    with serving_server(tmp_path) as server:
        registered(server, "base")
        project = server.core.read_now(server.admin, find_project, "team")
        cmd = CreateDataset("Answers", "date-answers", project.id, DatasetKind.PROMPT_COMPLETION)
        create_with_rows(server.core, server.admin, cmd, ROWS)
        worker = Worker(server, patience=60.0)

        def work() -> None:
            worker.evaluate(0.75)
            worker.train()
            worker.train()

        given = {"url": server.url, "key": server.key, "rows": ROWS}
        with meanwhile(work):
            story = subprocess.run(
                [str(PYTHON), str(Path(__file__).with_name("story.py"))],
                input=json.dumps(given), capture_output=True, text=True, timeout=90, check=False,
            )  # fmt: skip
            assert story.returncode == 0, story.stderr[-3000:]
    assert story.stdout.strip().endswith("done")
