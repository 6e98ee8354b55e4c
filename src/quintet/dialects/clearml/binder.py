"""The binder that the handlers of this dialect register with when they are imported."""

from __future__ import annotations

from quintet.dialects.clearml.auth import authenticate
from quintet.dialects.clearml.contract import NEWEST, endpoints
from quintet.dialects.clearml.envelope import fail, respond
from quintet.dialects.kit.rpc import RpcBinder

SERVER_VERSION = "2.3.0"
"""The release of ClearML's server whose protocol this is: clients switch features on by it."""

rpc = RpcBinder(
    "clearml", endpoints(), newest=NEWEST, authenticate=authenticate, respond=respond, fail=fail
)
endpoint = rpc.endpoint
