"""Model engines behind the capability protocols of `ports.engine`: specs are data, code is loaded when asked for."""

from quintet.engines.catalog import ENGINES, installed_engines, load_engine
from quintet.engines.services import EngineServices

__all__ = ["ENGINES", "EngineServices", "installed_engines", "load_engine"]
