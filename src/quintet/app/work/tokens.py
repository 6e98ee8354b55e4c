"""The signed tokens of work: what a run says itself with, and what the server's own workers do."""

from __future__ import annotations

import time

from quintet.app.identity.accounts import SYSTEM
from quintet.app.identity.authenticate import Authenticator
from quintet.app.work.leases import LeasedRun
from quintet.domain.errors import Unauthenticated
from quintet.domain.identity import Actor

RUN_TOKEN_SECONDS = 30 * 24 * 3600
"""How long a run may go on; the token ends with its lease anyway."""

WORKER_PREFIX = "work."
WORKER_TOKEN_SECONDS = 10 * 365 * 24 * 3600
"""The token lives in the environment of a process that the server started, and no longer than that."""


def run_token(authenticator: Authenticator, leased: LeasedRun) -> str:
    """A token that acts for whoever made the run, within that run, while this lease lasts."""
    run = leased.run
    claims: dict[str, object] = {
        "run": run.id,
        "user": run.created_by,
        "space": run.space_id,
        "lease": leased.lease.digest,
        "exp": int(time.time()) + RUN_TOKEN_SECONDS,
    }
    return authenticator.sign_token(claims, kind="run")


def worker_token(authenticator: Authenticator) -> str:
    """A token for a worker that the server itself starts: it serves the queues of every space.

    Never give it to anybody else: whoever has it gets the token of every run that is executed.
    """
    claims: dict[str, object] = {"worker": True, "exp": int(time.time()) + WORKER_TOKEN_SECONDS}
    return WORKER_PREFIX + authenticator.sign_token(claims)


def worker_actor(authenticator: Authenticator, token: str) -> Actor:
    """The server itself, where `token` is one of `worker_token`; Unauthenticated otherwise."""
    claims = authenticator.read_token(token.removeprefix(WORKER_PREFIX))
    if claims.get("worker") is not True:
        raise Unauthenticated("the token is not one of a worker")
    return SYSTEM
