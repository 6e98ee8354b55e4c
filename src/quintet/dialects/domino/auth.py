"""Who asks: Domino's own header, a bearer token, or (as MLflow clients send it) a pair of keys as Basic."""

from __future__ import annotations

import base64
import binascii

from starlette.requests import Request

from quintet.app.core import Core
from quintet.app.identity.authenticate import Credentials
from quintet.app.services import authenticator
from quintet.domain.errors import Unauthenticated
from quintet.domain.identity import Actor

KEY_HEADER = "x-domino-api-key"


async def authenticate(request: Request, core: Core) -> Actor:
    """The actor behind the key; Unauthenticated where there is none or it is wrong."""
    return await authenticator(core).authenticate(credentials(request))


def credentials(request: Request) -> Credentials:
    """What the request presents; Domino's header counts before `Authorization`."""
    key = request.headers.get(KEY_HEADER, "").strip()
    if key:
        return Credentials(key=key)
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
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
