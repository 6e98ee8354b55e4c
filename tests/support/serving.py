"""A core with a call path over fake engines, on an empty database."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quintet.app.core import Core
from quintet.app.serving.callpath import CallPath
from quintet.app.serving.engines import EnginePool
from quintet.engines.catalog import load_engine
from quintet.engines.services import EngineServices
from quintet.ports.engine import Engine
from quintet.server.composition import materialise
from quintet.storage.database import Database
from tests.support.factories import make_ports


def serving_core(db: Database, cache: Path) -> Core:
    """`core.services["callpath"]` answers through engines named "fake"."""
    core = Core(db, make_ports())
    services = EngineServices(core.ports.egress, cache)

    def load(name: str, config: Mapping[str, Any]) -> Engine:
        return load_engine(name, config, services)

    core.services["callpath"] = CallPath(core, EnginePool(core, load, materialise))
    return core
