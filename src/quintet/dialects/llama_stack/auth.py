"""Who asks: a bearer token, as both clients send their `api_key`."""

from __future__ import annotations

import base64
import binascii
import time

from starlette.requests import Request

from quintet.app.core import Core
from quintet.app.identity.authenticate import Credentials
from quintet.app.services import authenticator
from quintet.dialects.kit.call import Call
from quintet.domain.errors import Unauthenticated
from quintet.domain.identity import Actor

_BEGUN = "quintet.begun"


async def authenticate(request: Request, core: Core) -> Actor:
    """The actor behind `Authorization: Bearer <key>`; a pair of keys may come as Basic."""
    request.scope[_BEGUN] = time.perf_counter_ns()
    return await authenticator(core).authenticate(_credentials(request.headers.get("authorization", "")))


def _credentials(header: str) -> Credentials:
    scheme, _, value = header.partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer":
        return Credentials(key=value)
    if scheme.lower() != "basic":
        return Credentials()
    try:
        access, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Unauthenticated("the Basic credentials cannot be read") from error
    return Credentials(access_key=access, secret_key=secret)


def microseconds(call: Call) -> int:
    """How long this request has been going on."""
    return int(time.perf_counter_ns() - call.request.scope[_BEGUN]) // 1_000


def speaks_llama_stack(request: Request) -> bool:
    """Whether a Llama Stack client asks. Up to 0.4.7 they parse every event as JSON, so `[DONE]` breaks them."""
    headers = request.headers
    return "x-llamastack-client-version" in headers or "LlamaStackClient/" in headers.get("user-agent", "")
