"""The AI gateway: its endpoints and who may call them."""

from __future__ import annotations

from typing import Any

from quintet.app.serving.deployments import list_deployments
from quintet.app.serving.gateway import (
    EndpointChanges,
    NewEndpoint,
    change_endpoint,
    close_endpoint,
    find_endpoint,
    given_config,
    open_endpoint,
    open_to,
    set_access,
)
from quintet.dialects.domino.binder import binder
from quintet.dialects.domino.envelope import Body, chosen, metadata, own_id
from quintet.dialects.kit.call import Call
from quintet.domain.ids import Id
from quintet.domain.models import Deployment

ROOT = "/api/aigateway/v1/endpoints"
ONE = f"{ROOT}/{{endpointName}}"
TYPES = {"llm/v1/chat": "chat", "llm/v1/completions": "completion", "llm/v1/embeddings": "embedding"}
TYPE_NAMES = {task: name for name, task in TYPES.items()}


def endpoint_shown(item: Deployment) -> dict[str, Any]:
    """EndpointEnvelopeV1; secrets are masked."""
    return {
        "endpointId": item.id,
        "endpointName": item.key,
        "endpointType": TYPE_NAMES[item.task],
        "modelProvider": item.provider,
        "modelName": item.upstream_model or item.name,
        "modelConfig": given_config(item),
    }


class Access(Body):
    is_everyone_allowed: bool | None = None
    user_ids: list[str] | None = None


def _users(given: list[str] | None) -> list[Id] | None:
    return None if given is None else [own_id(user, "user") for user in given]


class NewEndpointBody(Body):
    endpoint_name: str
    endpoint_type: str
    model_provider: str
    model_name: str
    model_config: dict[str, Any] = {}
    endpoint_permissions: Access | None = None


@binder.op(f"GET {ROOT}")
async def list_all(call: Call) -> object:
    """Those that the caller may call."""
    found = await call.read(list_deployments, endpoints_only=True, mine_only=True)
    return {"endpoints": [endpoint_shown(d) for d in found], "metadata": metadata(call)}


@binder.op(f"POST {ROOT}", body=NewEndpointBody)
async def create(call: Call) -> object:
    body: NewEndpointBody = call.body
    access = body.endpoint_permissions or Access()
    users = _users(access.user_ids)
    everyone = access.is_everyone_allowed if access.is_everyone_allowed is not None else not users
    cmd = NewEndpoint(
        body.endpoint_name, chosen(body.endpoint_type, TYPES, "endpointType"), body.model_provider, body.model_name,
        body.model_config, everyone, users or [],
    )  # fmt: skip
    return endpoint_shown(await call.write(open_endpoint, cmd))


@binder.op(f"GET {ONE}")
async def get(call: Call) -> object:
    return endpoint_shown(await call.read(find_endpoint, call.path["endpointName"]))


class ChangedEndpoint(Body):
    endpoint_name: str | None = None
    endpoint_type: str | None = None
    model_provider: str | None = None
    model_name: str | None = None
    model_config: dict[str, Any] | None = None


@binder.op(f"PATCH {ONE}", body=ChangedEndpoint)
async def change(call: Call) -> object:
    body: ChangedEndpoint = call.body
    task = chosen(body.endpoint_type, TYPES, "endpointType") if body.endpoint_type is not None else None
    cmd = EndpointChanges(body.endpoint_name, task, body.model_provider, body.model_name, body.model_config)
    return endpoint_shown(await call.write(change_endpoint, call.path["endpointName"], cmd))


@binder.op(f"DELETE {ONE}")
async def delete(call: Call) -> object:
    return endpoint_shown(await call.write(close_endpoint, call.path["endpointName"]))


def _access(item: Deployment) -> dict[str, Any]:
    everyone, users = open_to(item)
    return {"isEveryoneAllowed": everyone, "userIds": list(users)}


@binder.op(f"GET {ONE}/permissions")
async def permissions(call: Call) -> object:
    return _access(await call.read(find_endpoint, call.path["endpointName"]))


@binder.op(f"PATCH {ONE}/permissions", body=Access)
async def set_permissions(call: Call) -> object:
    body: Access = call.body
    name = call.path["endpointName"]
    return _access(await call.write(set_access, name, body.is_everyone_allowed, _users(body.user_ids)))
