"""A server with this dialect alone, for all of its tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.servers import ServerHandle, running_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerHandle]:
    # The other dialects have no part in this, and take seconds to load.
    with running_server(tmp_path_factory.mktemp("domino"), dialects=("domino",)) as handle:
        yield handle
