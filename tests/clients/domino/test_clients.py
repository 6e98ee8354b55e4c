"""The unmodified MLflow and Domino clients against a live server."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.support.servers import running_server

from quintet.app.projects.manage import CreateProject, create_project
from quintet.app.serving.deployments import CreateEndpoint, create_endpoint

CLIENTS = Path(os.environ.get("QUINTET_CLIENTS", Path(__file__).resolve().parents[3] / ".venv-clients/bin/python"))


def needs(module: str) -> None:
    """Skips where the client is not installed in the environment of the clients."""
    asked = [str(CLIENTS), "-c", f"import {module}"]
    if not CLIENTS.exists() or subprocess.run(asked, capture_output=True, check=False).returncode:
        pytest.skip(f"the real client '{module}' is not installed ({CLIENTS})")


@pytest.mark.clients
@pytest.mark.parametrize(("story", "module"), [("mlflow_story.py", "mlflow"), ("domino_story.py", "domino")])
def test_the_official_client_lives_the_whole_story(tmp_path: Path, story: str, module: str) -> None:
    needs(module)
    with running_server(tmp_path) as server:
        gate = CreateEndpoint("gate", "test", "fake-1", engine="fake")
        server.core.write_now(server.admin, create_endpoint, gate)
        project = server.core.write_now(server.admin, create_project, CreateProject("dates"))
        settings = {
            "MLFLOW_TRACKING_URI": server.url, "MLFLOW_TRACKING_TOKEN": server.key, "DOMINO_API_HOST": server.url,
            "DOMINO_USER_API_KEY": server.key, "PROJECT_ID": project.id, "HOME": str(tmp_path),
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }  # fmt: skip
        path = os.environ.get("PATH", "")
        done = subprocess.run(
            [str(CLIENTS), str(Path(__file__).with_name(story))], env={"PATH": path, **settings},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    assert "all of the story happened" in done.stdout
