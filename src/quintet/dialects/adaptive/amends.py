"""One amendment to the letter of GraphQL, for the official client of this schema's time (adaptive-sdk 0.1.6).

After an upload in parts it asks for the new dataset without `metricsUsage`, and then refuses the answer because
that field is missing: the dataset is there, the caller sees an error, and trying again meets a taken key. So that
client, and no other, is given the field with the answer to that one operation.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from quintet.app.core import Core
from quintet.dialects.adaptive.binder import GRAPHQL, graph
from quintet.dialects.kit.rest import Route

AGENT = "adaptive_sdk/"
FIELD = "createDatasetFromMultipartUpload"


async def handle(request: Request, core: Core, request_id: str, params: Mapping[str, str]) -> Response:
    """As the binder answers, amended where it must be."""
    response = await graph.handle(request, core, request_id, params)
    body = bytes(response.body)
    if FIELD.encode() not in body or not request.headers.get("user-agent", "").startswith(AGENT):
        return response
    document = msgspec.json.decode(body)
    made = (document.get("data") or {}).get(FIELD)
    if not isinstance(made, dict) or "metricsUsage" in made:
        return response
    made["metricsUsage"] = []
    return Response(msgspec.json.encode(document), status_code=response.status_code, media_type="application/json")


def routes() -> list[Route]:
    """The one route of GraphQL; builds the schema."""
    graph.build()
    return [Route("POST", GRAPHQL, handle)]
