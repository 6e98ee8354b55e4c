"""Who is asking: Basic with a key pair, a bearer token, or the cookie that a login left."""

from __future__ import annotations

import base64
import binascii

from starlette.requests import Request

from quintet.app.core import Core
from quintet.app.identity.authenticate import Credentials
from quintet.app.services import authenticator
from quintet.dialects.clearml.errors import BadToken, NoCredentials, UnknownScheme, UnreadableCredentials
from quintet.domain.errors import Invalid, Unauthenticated
from quintet.domain.identity import Actor

COOKIE = "clearml_token_basic"
IMPERSONATION = ("x-clearml-impersonate-as", "x-clearml-act-as", "x-trains-impersonate-as", "x-trains-act-as")


async def authenticate(request: Request, core: Core) -> Actor:
    """The actor of a request. Unauthenticated in four kinds, by which clients decide whether to log in again."""
    for header in IMPERSONATION:
        if header in request.headers:
            # Doing it as oneself instead would silently do something else than was asked for.
            raise Invalid("acting as another user is not possible here", field=header)
    given = credentials(request)
    try:
        return await authenticator(core).authenticate(given)
    except Unauthenticated as error:
        if given.key is None and given.access_key is None:
            raise NoCredentials("a key is needed") from error
        if given.key is not None:
            raise BadToken(error.message) from error
        raise


def credentials(request: Request) -> Credentials:
    """What the request presents: its Authorization header, else its cookie."""
    header = request.headers.get("authorization", "")
    if not header:
        return Credentials(key=request.cookies.get(COOKIE))
    scheme, _, value = header.partition(" ")
    match scheme.lower():
        case "basic":
            return _pair(value.strip())
        case "bearer":
            return Credentials(key=value.strip())
        case _:
            raise UnknownScheme(f"'{scheme[:20]}' is not served; use Basic or Bearer")


def _pair(value: str) -> Credentials:
    try:
        access, colon, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise UnreadableCredentials("Basic credentials are base64 of key:secret") from error
    if not colon:
        raise UnreadableCredentials("Basic credentials are base64 of key:secret")
    return Credentials(access_key=access, secret_key=secret)
