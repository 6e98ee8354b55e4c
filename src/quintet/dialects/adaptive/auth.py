"""Who asks: a bearer key, the only way of signing in that this contract's clients have."""

from __future__ import annotations

from starlette.requests import Request

from quintet.app.core import Core
from quintet.app.identity.authenticate import Credentials
from quintet.app.services import authenticator
from quintet.domain.identity import Actor


async def authenticate(request: Request, core: Core) -> Actor:
    """The actor of a request; Unauthenticated without a good key."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    given = key.strip() if scheme.lower() == "bearer" else ""
    return await authenticator(core).authenticate(Credentials(key=given or None))
