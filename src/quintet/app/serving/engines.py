"""The engines that are running, and which deployment each model is loaded for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from quintet.app.context import Ports
from quintet.app.core import Core
from quintet.app.identity.accounts import SYSTEM
from quintet.app.models.files import ModelFiles, model_files
from quintet.domain.errors import NotFound, QuintetError, Unavailable
from quintet.domain.ids import Id
from quintet.domain.models import Deployment, DeploymentState
from quintet.ports.engine import Engine, LoadsAdapters, ModelRef

log = logging.getLogger("quintet.engines")


class EngineLoader(Protocol):
    """Makes an engine by name; given by the composition root, so that use cases import no engine."""

    def __call__(self, name: str, config: Mapping[str, Any]) -> Engine: ...


@dataclass(slots=True)
class _Loaded:
    """A deployment's engine and model; `key` changes when the deployment must be loaded anew."""

    engine: Engine
    ref: ModelRef
    stamp: tuple[Any, ...]


class EnginePool:
    """One engine for each kind and configuration; models are loaded at the first call, or by `warm`."""

    def __init__(self, core: Core, load: EngineLoader, materialise: Callable[[ModelFiles, Ports], Path]) -> None:
        self._core = core
        self._load = load
        self._materialise = materialise
        self._engines: dict[str, Engine] = {}
        self._ready: dict[Id, _Loaded] = {}
        self._locks: dict[Id, asyncio.Lock] = {}
        self._states: dict[Id, tuple[DeploymentState, str]] = {}

    def state(self, deployment: Deployment) -> DeploymentState:
        """What this process knows of a deployment: loaded here, loading, failed, or not asked for yet."""
        if deployment.engine != "transformers":
            return DeploymentState.ONLINE if deployment.attached else DeploymentState.OFFLINE
        known = self._states.get(deployment.id)
        if known is not None:
            return known[0]
        return (
            DeploymentState.PENDING if deployment.attached and deployment.desired_online else DeploymentState.OFFLINE
        )

    def error(self, deployment: Deployment) -> str:
        return self._states.get(deployment.id, (None, ""))[1]

    async def ready(self, deployment: Deployment) -> tuple[Engine, ModelRef]:
        """The engine and the model of a deployment, loaded; a failed load is tried again at the next call."""
        found = self._ready.get(deployment.id)
        if found is not None and found.stamp == _stamp(deployment):
            return found.engine, found.ref
        async with self._locks.setdefault(deployment.id, asyncio.Lock()):
            found = self._ready.get(deployment.id)
            if found is None or found.stamp != _stamp(deployment):
                found = await self._prepare(deployment)
                self._ready[deployment.id] = found
        return found.engine, found.ref

    async def _prepare(self, deployment: Deployment) -> _Loaded:
        self._states[deployment.id] = (DeploymentState.PENDING, "")
        try:
            if deployment.engine == "transformers":
                engine, ref = await self._prepare_local(deployment)
            else:
                config = _unsealed(deployment.config, self._core.ports)
                engine = self._load(deployment.engine, config)
                ref = ModelRef(key=deployment.id, name=deployment.upstream_model)
                await engine.load(ref)
        except QuintetError as error:
            self._states[deployment.id] = (DeploymentState.ERROR, error.message)
            raise
        except Exception as error:
            log.exception("loading %s failed", deployment.key)
            self._states[deployment.id] = (
                DeploymentState.ERROR,
                "the model could not be loaded; see the server's log",
            )
            raise Unavailable(f"'{deployment.key}' could not be loaded") from error
        self._states[deployment.id] = (DeploymentState.ONLINE, "")
        return _Loaded(engine, ref, _stamp(deployment))

    async def _prepare_local(self, deployment: Deployment) -> tuple[Engine, ModelRef]:
        if deployment.model_id is None:
            raise NotFound.of("model", deployment.key)
        files = await self._core.read(_in_space(deployment), model_files, deployment.model_id, deployment.version)
        engine = self._engines.get(deployment.engine)
        if engine is None:
            engine = self._engines.setdefault(deployment.engine, self._load(deployment.engine, deployment.config))
        path = await asyncio.to_thread(self._materialise, files, self._core.ports)
        if files.backbone is None:
            ref = ModelRef(key=files.weights, path=str(path))
            await engine.load(ref)
            return engine, ref
        base = await asyncio.to_thread(self._materialise, files.backbone, self._core.ports)
        ref = ModelRef(files.backbone.weights, str(base), files.weights, str(path))
        await engine.load(ModelRef(files.backbone.weights, str(base)))
        if not isinstance(engine, LoadsAdapters):
            raise Unavailable(f"the engine '{deployment.engine}' cannot load adapters")
        await engine.load_adapter(ref)
        return engine, ref

    async def warm(self, deployment: Deployment) -> DeploymentState:
        """Loads a deployment now; the state it ended in, never an exception."""
        try:
            await self.ready(deployment)
        except QuintetError as error:
            log.warning("%s is not online: %s", deployment.key, error.message)
        return self.state(deployment)

    async def unload(self, deployment: Deployment) -> None:
        """Frees a deployment's memory, unless another deployment uses the same weights."""
        found = self._ready.pop(deployment.id, None)
        self._states[deployment.id] = (DeploymentState.OFFLINE, "")
        if found is not None and not any(o.ref.key == found.ref.key for o in self._ready.values()):
            await found.engine.unload(found.ref)

    async def close(self) -> None:
        engines = {id(f.engine): f.engine for f in self._ready.values()} | {id(e): e for e in self._engines.values()}
        await asyncio.gather(*(e.close() for e in engines.values()), return_exceptions=True)
        self._ready.clear()
        self._engines.clear()


def _stamp(d: Deployment) -> tuple[Any, ...]:
    """Changes when the engine must be asked for again: another version, upstream, or configuration."""
    return (d.engine, d.model_id, d.version, d.upstream_model, repr(d.config))


def _unsealed(config: Mapping[str, Any], ports: Ports) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            plain[name] = (
                ports.sealer.unseal(value["sealed"]) if set(value) == {"sealed"} else _unsealed(value, ports)
            )
        else:
            plain[name] = value
    return plain


def _in_space(deployment: Deployment) -> Any:
    return replace(SYSTEM, space_id=deployment.space_id)

