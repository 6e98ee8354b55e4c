"""Who speaks on the runner wire: a worker with a key, the server's own worker, or a run with its token."""

from __future__ import annotations

from starlette.requests import Request

from quintet.app.core import Core
from quintet.app.identity.authenticate import Credentials
from quintet.app.services import authenticator
from quintet.app.work.leases import check_attempt
from quintet.app.work.tokens import WORKER_PREFIX, worker_actor
from quintet.dialects.kit.call import Call
from quintet.domain.errors import Forbidden, Unauthenticated
from quintet.domain.identity import Actor
from quintet.domain.ids import Id


async def authenticate(request: Request, core: Core) -> Actor:
    """The actor behind the bearer token.

    The token of a run counts only while the lease it was made for lasts. That is checked anew on each call,
    and not as seldom as keys are, because a worker that was taken for dead may still be going.
    """
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise Unauthenticated("a bearer token is needed")
    auth = authenticator(core)
    if key.startswith(WORKER_PREFIX):
        return worker_actor(auth, key)
    actor = await auth.authenticate(Credentials(key=key))
    if actor.run_id is not None:
        digest = auth.read_token(key).get("lease")
        await core.read(actor, check_attempt, actor.run_id, str(digest))
    return actor


def own_run(call: Call) -> Id:
    """The run whose token this is; Forbidden for everybody else."""
    if call.actor.run_id is None:
        raise Forbidden("this needs the token of a run")
    return call.actor.run_id
