"""The version that clients ask for first, and by which they decide what they may use."""

from __future__ import annotations

from starlette.responses import PlainTextResponse

from quintet import __version__
from quintet.dialects.domino.binder import binder
from quintet.dialects.kit.call import Call

DOMINO = "6.2.0"
"""Clients switch features on by this number: 5.11 has billing tags, 6.2 the newest that this server knows."""

MLFLOW = "3.2.0"
"""What the tracking part says it is, to MLflow's own clients."""


@binder.op("GET /version", public=True)
async def version(call: Call) -> object:
    if "mlflow" in call.request.headers.get("user-agent", "").lower():
        return PlainTextResponse(MLFLOW)
    return {
        "version": DOMINO,
        "buildId": __version__,
        "buildUrl": "",
        "commitId": "",
        "commitUrl": "",
        "timestamp": "",
    }
