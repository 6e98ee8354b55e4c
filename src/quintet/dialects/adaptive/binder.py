"""The two binders of this dialect: the schema is the contract of GraphQL, the table below that of REST."""

from __future__ import annotations

from quintet.dialects.adaptive.auth import authenticate
from quintet.dialects.adaptive.contract import sdl
from quintet.dialects.adaptive.errors import message, respond
from quintet.dialects.adaptive.scalars import bind_scalars
from quintet.dialects.kit.graphql import GraphqlBinder, Limits
from quintet.dialects.kit.query import Param
from quintet.dialects.kit.rest import Operation, RestBinder, RestContract

API = "/api/v1"
GRAPHQL = "/api/graphql"

LIMITS = Limits(cost=1_000_000)
"""The official client reads groups as 100 groups of 100 interactions with some 45 fields each."""

REST = RestContract(
    [
        Operation("chatCompletions", "POST", f"{API}/chat/completions", body_required=True),
        Operation("embeddings", "POST", f"{API}/embeddings", body_required=True),
        Operation("addInteractions", "POST", f"{API}/interactions", body_required=True),
        Operation("addFeedback", "POST", f"{API}/feedback", body_required=True),
        Operation("addComparison", "POST", f"{API}/comparison", body_required=True),
        Operation("addOutcome", "POST", f"{API}/outcome", body_required=True),
        Operation("uploadInit", "POST", f"{API}/upload/init", body_required=True),
        Operation(
            "uploadPart", "POST", f"{API}/upload/part",
            query=(Param("session_id", required=True), Param("part_number", required=True, type="integer")),
        ),
        Operation("uploadStatus", "POST", f"{API}/upload/status", body_required=True),
        Operation("uploadAbort", "DELETE", f"{API}/upload/abort", body_required=True),
        Operation("downloadArtifact", "GET", f"{API}/artifacts/{{artifact_id}}/download"),
        Operation("downloadDataset", "GET", f"{API}/datasets/{{dataset_id}}/download"),
    ]
)  # fmt: skip

rest = RestBinder("adaptive", REST, errors=respond, authenticate=authenticate)
graph = GraphqlBinder(sdl(), authenticate=authenticate, message=message, limits=LIMITS)
bind_scalars(graph)
