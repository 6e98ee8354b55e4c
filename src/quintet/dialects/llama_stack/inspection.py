"""Whether the server is well, what version it has, what it serves and by whom."""

from __future__ import annotations

import re
from typing import Any

from quintet import __version__
from quintet.app.serving.deployments import list_deployments, masked_config
from quintet.dialects.kit.call import Call
from quintet.dialects.llama_stack.binder import binder
from quintet.domain.errors import NotFound

OK = {"status": "OK", "message": "Healthy"}
OWN = "quintet"

_SERVED_BY_US = {
    "datasetio": "inline::quintet",
    "eval": "inline::quintet",
    "inference": "inline::quintet",
    "post_training": "inline::quintet",
    "scoring": "inline::basic",
}
"""The APIs that this server implements itself, and under which type of provider."""

_APIS = {"datasets": "datasetio", "benchmarks": "eval", "post-training": "post_training"}
"""Path segments whose provider is listed under another name."""


@binder.op("GET /v1/health", public=True)
async def health(call: Call) -> dict[str, Any]:
    return {"status": "OK"}


@binder.op("GET /v1/version", public=True)
async def version(call: Call) -> dict[str, Any]:
    return {"version": __version__}


@binder.op("GET /v1/inspect/routes")
async def routes(call: Call) -> dict[str, Any]:
    """Every route that does something; what is not implemented is left out."""
    unbound = set(binder.coverage()["unbound"])
    found = []
    for operation in binder.contract.operations.values():
        if operation.id not in unbound:
            for method, path in ((operation.method, operation.path), *operation.aliases):
                shown = re.sub(r":path\}", "}", path)
                found.append({"route": shown, "method": method, "provider_types": _types(shown)})
    return {"data": sorted(found, key=lambda r: (r["route"], r["method"]))}


def _types(path: str) -> list[str]:
    for segment in path.split("/"):
        api = _APIS.get(segment, segment)
        if api in _SERVED_BY_US:
            return [_SERVED_BY_US[api]]
    return [_SERVED_BY_US["inference"]] if "completions" in path or "embeddings" in path else []


@binder.op("GET /v1/providers")
async def list_providers(call: Call) -> dict[str, Any]:
    return {"data": await _providers(call)}


@binder.op("GET /v1/providers/{provider_id}")
async def get_provider(call: Call) -> dict[str, Any]:
    wanted = call.path["provider_id"]
    for item in await _providers(call):
        if item["provider_id"] == wanted:
            return item
    raise NotFound.of("provider", wanted)


async def _providers(call: Call) -> list[dict[str, Any]]:
    """Ourselves for each API, and every upstream that models are called at; secrets are masked."""
    found = [_provider(api, OWN, kind, {}) for api, kind in sorted(_SERVED_BY_US.items())]
    seen = {OWN}
    for item in await call.read(list_deployments, mine_only=True):
        if item.provider and item.provider not in seen and item.engine != "transformers":
            seen.add(item.provider)
            found.append(_provider("inference", item.provider, f"remote::{item.engine}", masked_config(item.config)))
    return found


def _provider(api: str, ident: str, kind: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"api": api, "provider_id": ident, "provider_type": kind, "config": config, "health": OK}
