"""A bearer key; the space is the key's own, and `X-Space-Id` may name it but no other."""

from __future__ import annotations

from starlette.requests import Request

from quintet.app.core import Core
from quintet.app.identity.authenticate import Credentials
from quintet.app.services import authenticator
from quintet.domain.errors import Forbidden
from quintet.domain.identity import Actor


async def authenticate(request: Request, core: Core) -> Actor:
    """The actor behind the bearer key."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    actor = await authenticator(core).authenticate(Credentials(key=key.strip() if scheme.lower() == "bearer" else None))
    space = request.headers.get("x-space-id")
    if space and space != actor.space_id:
        raise Forbidden("this key belongs to another space", space=space)
    return actor
