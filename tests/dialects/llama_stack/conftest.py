"""One server for all tests of this dialect, with models that answer without weights."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.dialects.llama_stack.support import serving_server
from tests.support.servers import ServerHandle


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerHandle]:
    with serving_server(tmp_path_factory.mktemp("llama-stack")) as handle:
        yield handle
