"""The models that may be called, in a shape that Llama Stack's and OpenAI's clients of all versions read."""

from __future__ import annotations

from typing import Any

from quintet.app.serving.callables import CallableModel, find_callable, list_callable
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.times import to_seconds
from quintet.dialects.llama_stack.binder import binder
from quintet.domain.models import ModelKind

OWNER = "quintet"
LOCAL = "local"
"""The provider of models that this server loads itself."""


@binder.op("GET /v1/models")
async def list_models(call: Call) -> dict[str, Any]:
    found = await call.read(list_callable)
    return {"object": "list", "data": [from_callable(item) for item in found]}


@binder.op("GET /v1/models/{model_id}")
async def get_model(call: Call) -> dict[str, Any]:
    return from_callable(await call.read(find_callable, call.path["model_id"]))


def from_callable(item: CallableModel) -> dict[str, Any]:
    """Older clients read `identifier` and `model_type`, newer ones and OpenAI's `id` and `custom_metadata`."""
    deployment = item.deployment
    provider = deployment.provider if deployment is not None and deployment.provider else LOCAL
    resource = deployment.upstream_model if deployment is not None and deployment.upstream_model else item.key
    about: dict[str, Any] = {"deployed": deployment is not None}
    if item.projects:
        about["projects"] = list(item.projects)
    kind = model_type(item)
    return {
        "id": item.key,
        "object": "model",
        "created": to_seconds(item.created_at),
        "owned_by": OWNER,
        "identifier": item.key,
        "provider_id": provider,
        "provider_resource_id": resource,
        "type": "model",
        "model_type": kind,
        "metadata": about,
        "custom_metadata": {
            "model_type": kind, "provider_id": provider, "provider_resource_id": resource, **about,
        },
    }  # fmt: skip


def model_type(item: CallableModel) -> str:
    if item.deployment is not None:
        return "embedding" if item.deployment.task == "embedding" else "llm"
    return "embedding" if item.model is not None and item.model.kind is ModelKind.EMBEDDING else "llm"
