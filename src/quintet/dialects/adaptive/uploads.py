"""Large files in parts, and files of ours to download."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from quintet.app.datasets.manage import dataset_blobs
from quintet.app.runs.read import find_artifact
from quintet.app.uploads.sessions import check_part, end_upload, find_upload, part_arrived, start_upload
from quintet.dialects.adaptive import ids, wire
from quintet.dialects.adaptive.binder import rest
from quintet.dialects.kit.body import too_large
from quintet.dialects.kit.call import Call
from quintet.domain.errors import NotFound
from quintet.domain.ids import from_uuid, to_uuid

MAX_PART = 100 << 20
"""As large as clients make a part."""


@rest.op("uploadInit", body=wire.InitUpload)
async def upload_init(call: Call) -> object:
    body: wire.InitUpload = call.body
    made = await call.write(start_upload, body.total_parts_count, body.content_type or "")
    return {"session_id": to_uuid(made.id, ids.UPLOAD)}


@rest.op("uploadPart", raw=True)
async def upload_part(call: Call) -> object:
    session, number = str(call.query["session_id"]), int(call.query["part_number"])
    key = await call.read(check_part, session, number)
    await call.core.ports.blobs.write_stream(key, _limited(call))
    await call.write(part_arrived, session, number)
    return {}


async def _limited(call: Call) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in call.request.stream():
        size += len(chunk)
        if size > MAX_PART:
            raise too_large(MAX_PART)
        yield chunk


@rest.op("uploadStatus", body=wire.UploadSession)
async def upload_status(call: Call) -> object:
    item = await call.read(find_upload, call.body.session_id)
    return {"completed_parts": list(item.done), "total_parts_count": item.parts}


@rest.op("uploadAbort", body=wire.UploadSession)
async def upload_abort(call: Call) -> object:
    """No error for a session that is gone: clients abort after a dataset was made of it too."""
    await call.write(end_upload, call.body.session_id)
    return {}


@rest.op("downloadArtifact")
async def download_artifact(call: Call) -> Response:
    text = call.path["artifact_id"]
    ident = from_uuid(text, ids.ARTIFACT)
    artifact = await call.read(find_artifact, ident) if ident is not None else None
    if artifact is None or artifact.blob is None:
        raise NotFound.of("artifact", text)
    stream = call.core.ports.blobs.read_stream(artifact.blob)
    return StreamingResponse(stream, media_type="application/octet-stream")


@rest.op("downloadDataset")
async def download_dataset(call: Call) -> Response:
    """The dataset as JSON lines."""
    _, segments = await call.read(dataset_blobs, ids.ref(call.path["dataset_id"], ids.DATASET))
    blobs = call.core.ports.blobs

    async def lines() -> AsyncIterator[bytes]:
        for segment in segments:
            async for chunk in blobs.read_stream(segment.blob):
                yield chunk

    return StreamingResponse(lines(), media_type="application/x-ndjson")
