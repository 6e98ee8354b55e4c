"""One server for all cross-dialect tests, with what every dialect needs to be able to work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from quintet.app.datasets.fill import create_with_rows
from quintet.app.datasets.manage import CreateDataset
from quintet.app.models.versions import RegisterVersion, register_version
from quintet.app.projects.manage import CreateProject, create_project
from quintet.app.serving.deployments import CreateEndpoint, create_endpoint
from quintet.domain.models import ModelFormat
from tests.cross.wires import ROWS
from tests.cross.world import World
from tests.support.servers import ServerHandle, running_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerHandle]:
    with running_server(tmp_path_factory.mktemp("cross")) as handle:
        yield handle


@pytest.fixture(scope="session")
def world(server: ServerHandle) -> World:
    core, admin = server.core, server.admin
    project = core.write_now(admin, create_project, CreateProject("shared"))
    core.write_now(admin, register_version, RegisterVersion("base", ModelFormat.TRANSFORMERS))
    create_with_rows(core, admin, CreateDataset("rows", "rows", project.id), ROWS)
    endpoint = CreateEndpoint("upper", "test", "upper", engine="fake", config={"mode": "upper"})
    core.write_now(admin, create_endpoint, endpoint)
    return World(server, project.id)
