"""The engines as data: listing them imports none of them, and a missing package names its install line."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from quintet.domain.errors import Invalid, Unsupported
from quintet.engines.services import EngineServices
from quintet.ports.engine import Engine, EngineSpec

GROUP = "quintet.engines"

ENGINES: dict[str, EngineSpec] = {
    spec.name: spec
    for spec in (
        EngineSpec(
            name="fake",
            module="quintet.engines.fake.engine",
            extra=None,
            capabilities=frozenset({"Generates", "Streams", "Embeds", "LoadsAdapters"}),
            summary="Answers by fixed rules without a model, for tests and for trying out a server.",
        ),
        EngineSpec(
            name="transformers",
            module="quintet.engines.transformers.engine",
            extra="local",
            capabilities=frozenset({"Generates", "Streams", "Embeds", "LoadsAdapters"}),
            summary="Runs Hugging Face model folders with PEFT adapters in a process of its own.",
        ),
        EngineSpec(
            name="openai_compatible",
            module="quintet.engines.openai_compatible.engine",
            extra=None,
            capabilities=frozenset({"Generates", "Streams", "Embeds"}),
            summary="Calls an upstream that speaks OpenAI's chat completions and embeddings.",
        ),
    )
}


def installed_engines() -> dict[str, EngineSpec]:
    """Ours and those of installed third parties (entry point group `quintet.engines`); ours win a name.

    Each entry point names an EngineSpec; loading it imports the third party's spec module, not its engine.
    """
    found: dict[str, EngineSpec] = {}
    for entry in entry_points(group=GROUP):
        spec = entry.load()
        if isinstance(spec, EngineSpec):
            found[spec.name] = spec
    return {**found, **ENGINES}


def load_engine(name: str, config: Mapping[str, Any], services: EngineServices) -> Engine:
    """Imports and makes the engine. Invalid for an unknown name or bad settings, Unsupported where a package
    is missing, with the line that installs it.
    """
    spec = ENGINES.get(name) or installed_engines().get(name)
    if spec is None:
        raise Invalid(f"'{name}' is not an engine; there are {', '.join(sorted(ENGINES))}", field="engine")
    try:
        engine: Engine = import_module(spec.module).create(config, services)
    except ModuleNotFoundError as exc:
        if exc.name is not None and exc.name.split(".")[0] == "quintet":
            raise
        raise Unsupported(_install_hint(spec, exc.name), package=exc.name or "") from exc
    return engine


def _install_hint(spec: EngineSpec, package: str | None) -> str:
    missing = f"engine '{spec.name}' needs the package '{package}', which is not installed"
    return f"{missing}: pip install 'quintet[{spec.extra}]'" if spec.extra else missing
