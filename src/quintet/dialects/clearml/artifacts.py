"""Artifacts of tasks: documents, and the endpoints that add and remove them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from quintet.app.files import blob_of_url
from quintet.app.runs import parts
from quintet.app.runs.parts import NewArtifact
from quintet.dialects.clearml import ids
from quintet.dialects.clearml.binder import endpoint
from quintet.dialects.kit.body import convert
from quintet.dialects.kit.call import Call
from quintet.domain.errors import Invalid
from quintet.domain.ids import Id, Kind
from quintet.domain.runs import Artifact, JsonObject


class ArtifactBody(msgspec.Struct, omit_defaults=True):
    key: str
    type: str | None = None
    mode: str | None = None
    uri: str | None = None
    content_size: int | None = None
    hash: str | None = None
    timestamp: int | float | None = None
    type_data: dict[str, Any] | None = None
    display_data: list[Any] | None = None


def artifact_document(artifact: Artifact) -> JsonObject:
    out: JsonObject = {
        "key": artifact.key, "type": artifact.type, "mode": artifact.mode, "uri": artifact.uri, "hash": artifact.hash,
        "timestamp": artifact.created_at // 1_000_000, **artifact.detail,
    }  # fmt: skip
    if artifact.size is not None:
        out["content_size"] = artifact.size
    return out


def new_artifact(item: ArtifactBody | Mapping[str, Any], space: str, own: Collection[str]) -> NewArtifact:
    """An artifact to add; `own` are the URLs under which this server's files are reached."""
    body = item if isinstance(item, ArtifactBody) else convert(item, ArtifactBody, strict=False)
    detail: JsonObject = {}
    if body.type_data is not None:
        detail["type_data"] = body.type_data
    if body.display_data is not None:
        detail["display_data"] = body.display_data
    uri = body.uri or ""
    return NewArtifact(
        key=body.key,
        mode=body.mode or "output",
        type=body.type or "",
        uri=uri,
        size=body.content_size,
        hash=body.hash or "",
        blob=blob_of_url(Id(space), uri, own),
        created_at=int(body.timestamp * 1_000_000) if body.timestamp else None,
        detail=detail,
    )


def own_urls(call: Call) -> tuple[str, ...]:
    """Under which URLs this server's files are reached: the one of the settings, and the one of this request."""
    configured = str(call.core.ports.settings.get("url", ""))
    return tuple(f"{base.rstrip('/')}/files/" for base in (str(call.request.base_url), configured) if base)


def artifacts_in(body: Mapping[str, Any], space: str, own: Collection[str]) -> list[NewArtifact] | None:
    """The artifacts of a task's `execution`, None where it names none."""
    given = (body.get("execution") or {}).get("artifacts")
    if given is None:
        return None
    if not isinstance(given, list | tuple | dict):
        raise Invalid("artifacts are a list", field="execution.artifacts")
    items = given.values() if isinstance(given, dict) else given
    return [new_artifact(item, space, own) for item in items]


class AddArtifacts(msgspec.Struct):
    task: str
    artifacts: list[ArtifactBody]
    force: bool | None = None


@endpoint("tasks.add_or_update_artifacts", body=AddArtifacts)
async def add_or_update_artifacts(call: Call) -> dict[str, int]:
    run_id = ids.parse(call.body.task, Kind.RUN)
    given = [new_artifact(a, call.actor.space_id, own_urls(call)) for a in call.body.artifacts]
    await call.write(parts.add_artifacts, run_id, given)
    return {"updated": 1}


class ArtifactKey(msgspec.Struct):
    key: str
    mode: str | None = None


class DeleteArtifacts(msgspec.Struct):
    task: str
    artifacts: list[ArtifactKey]
    force: bool | None = None


@endpoint("tasks.delete_artifacts", body=DeleteArtifacts)
async def delete_artifacts(call: Call) -> dict[str, int]:
    run_id = ids.parse(call.body.task, Kind.RUN)
    keys = [(a.key, a.mode or "output") for a in call.body.artifacts]
    await call.write(parts.delete_artifacts, run_id, keys)
    return {"deleted": 1}
