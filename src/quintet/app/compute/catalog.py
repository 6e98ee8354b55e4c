"""Hardware tiers and environments: entries that administrators keep and runs name.

The server itself allots no hardware; a tier says what a run is taken to use, so that its hours have a price.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx, WriteTx
from quintet.app.documents import (
    Document,
    create_document,
    delete_document,
    edit_document,
    get_document,
    list_documents,
)
from quintet.domain.errors import Invalid
from quintet.domain.identity import Permission
from quintet.domain.projects import check_name

OWNER = "core"
TIER = "hardware tier"
ENVIRONMENT = "environment"

DataChange = Callable[[dict[str, Any]], dict[str, Any]]


def list_entries(ctx: Ctx[ReadTx], kind: str, limit: int, offset: int = 0) -> tuple[list[Document], int]:
    """A page of one kind, oldest first, and how many there are."""
    return list_documents(ctx, OWNER, kind, limit, offset=offset)


def get_entry(ctx: Ctx[ReadTx], kind: str, ref: str) -> Document:
    """By id or key; NotFound otherwise."""
    return get_document(ctx, OWNER, kind, ref)


def put_tier(ctx: Ctx[WriteTx], key: str, data: dict[str, Any]) -> Document:
    """Makes a tier under a key of its own; Conflict where there is one."""
    authorize(ctx, Permission.ADMIN)
    _check_tier(data)
    name = check_name(key, field="id")
    if len(name) > 200:
        raise Invalid("an id has at most 200 characters", field="id")
    return create_document(ctx, OWNER, TIER, data, name)


def change_tier(ctx: Ctx[WriteTx], key: str, data: dict[str, Any]) -> Document:
    """Replaces the given entries of a tier."""
    authorize(ctx, Permission.ADMIN)
    _check_tier(data)
    return edit_document(ctx, OWNER, TIER, key, data)


def drop_tier(ctx: Ctx[WriteTx], key: str) -> Document:
    authorize(ctx, Permission.ADMIN)
    return delete_document(ctx, OWNER, TIER, key)


def _check_tier(data: dict[str, Any]) -> None:
    price = data.get("centsPerMinute")
    if price is not None and (isinstance(price, bool) or not isinstance(price, int | float) or price < 0):
        raise Invalid("a price is a number of at least 0", field="centsPerMinute")


def hardware_of(ctx: Ctx[ReadTx], key: str) -> dict[str, Any]:
    """What a run on this tier is taken to use: `{"tier", "cores", "gpus", "hour_price"}`, the last where set."""
    data = get_entry(ctx, TIER, key).data
    cores = (data.get("resources") or {}).get("cores")
    gpus = (data.get("gpuConfiguration") or {}).get("numberOfGpus")
    hardware: dict[str, Any] = {"tier": key, "cores": cores if cores is not None else 1, "gpus": gpus or 0}
    cents = data.get("centsPerMinute")
    if cents is not None:
        hardware["hour_price"] = cents * 60 / 100
    return hardware


def put_environment(ctx: Ctx[WriteTx], data: dict[str, Any]) -> Document:
    """A new environment."""
    authorize(ctx, Permission.PROJECT_WRITE)
    return create_document(ctx, OWNER, ENVIRONMENT, {**data, "name": check_name(data.get("name", ""))})


def change_environment(ctx: Ctx[WriteTx], ref: str, change: DataChange) -> Document:
    """Sets the entries that `change` makes of the present ones; only who made it, or an administrator, may."""
    return edit_document(ctx, OWNER, ENVIRONMENT, ref, change(_own(ctx, ref).data))


def drop_environment(ctx: Ctx[WriteTx], ref: str) -> Document:
    _own(ctx, ref)
    return delete_document(ctx, OWNER, ENVIRONMENT, ref)


def _own(ctx: Ctx[WriteTx], ref: str) -> Document:
    found = get_entry(ctx, ENVIRONMENT, ref)
    if found.created_by != ctx.actor.user_id:
        authorize(ctx, Permission.ADMIN)
    return found
