"""The real ClearML SDK, unmodified, does a whole story on a live server."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.support.clearml_sdk import settings_in
from tests.support.servers import ServerHandle, running_server

HERE = Path(__file__).parent
PYTHON = HERE.parents[2] / ".venv-clients" / "bin" / "python"


def run(server: ServerHandle, folder: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a script as a user of this server, whose caches and settings stay in `folder`."""
    if not PYTHON.exists():
        pytest.skip("there are no clients; `make clients` installs them")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "CLEARML_API_HOST": server.url,
        "CLEARML_WEB_HOST": server.url,
        "CLEARML_FILES_HOST": f"{server.url}/files",
        "CLEARML_API_ACCESS_KEY": server.access_key,
        "CLEARML_API_SECRET_KEY": server.secret_key,
        "CLEARML_CACHE_DIR": str(folder / "cache"),
        "CLEARML_SUPPRESS_UPDATE_MESSAGE": "1",
        **settings_in(folder),
    }
    return subprocess.run(
        [str(PYTHON), str(HERE / script), *arguments],
        env=environment, cwd=folder, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


@pytest.mark.clients
@pytest.mark.slow  # the SDK sleeps a few seconds in each of its close() calls, and imports scikit-learn
def test_the_sdk_does_its_story(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        done = run(server, tmp_path, "story.py", str(tmp_path))
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-1000:]
    assert done.stdout.strip().endswith("done")
    # Three trainings begin at once in a project that is not there yet: who is late is told so, and goes on.
    late = "projects.create/v1.0 (Value combination already exists"
    failed = [line for line in (done.stdout + done.stderr).splitlines() if "Action failed" in line and late not in line]
    assert failed == []


@pytest.mark.clients
def test_a_script_that_raises_leaves_a_failed_task_that_says_why(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        done = run(server, tmp_path, "crash.py")
        task = next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("id "))
        found = server.call("GET", "/v2.23/tasks.get_by_id", {"task": task}).json["data"]["task"]
        log = server.call("GET", "/v2.23/events.get_task_log", {"task": task}).json["data"]["events"]
    assert found["status"] == "failed"
    assert "the loss is gone" in found["status_reason"]
    assert any("the loss is gone" in line["msg"] for line in log)
