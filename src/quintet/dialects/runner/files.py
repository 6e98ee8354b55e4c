"""What a run reads and keeps: its own files, models, rows of datasets. Streamed, with flat memory."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from quintet.app.datasets.manage import locate_rows
from quintet.app.datasets.rows import load_rows
from quintet.app.models.files import ModelFiles, model_files
from quintet.dialects.kit.call import Call
from quintet.dialects.runner.auth import own_run
from quintet.dialects.runner.binder import binder
from quintet.dialects.runner.reports import key_of
from quintet.domain.errors import Invalid, NotFound

MAX_ROWS = 10_000
"""Rows of one page: a run asks for the next when it needs it."""


@binder.op("putBlob", raw=True)
async def put_blob(call: Call) -> dict[str, Any]:
    """Keeps the raw bytes of the body under the run's path: `{"key", "size", "sha256"}`."""
    key = key_of(own_run(call), call.path["path"])
    try:
        info = await call.core.ports.blobs.write_stream(key, call.request.stream())
    except ClientDisconnect as error:
        raise Invalid("the connection closed before the file was complete", field="body") from error
    return {"key": info.key, "size": info.size, "sha256": info.sha256}


@binder.op("getBlob")
async def get_blob(call: Call) -> Response:
    """The bytes of a file that this run put."""
    return await _stream(call, key_of(own_run(call), call.path["path"]), call.path["path"])


async def _stream(call: Call, key: str, name: str) -> Response:
    blobs = call.core.ports.blobs
    info = await asyncio.to_thread(blobs.info, key)
    if info is None:
        raise NotFound.of("file", name)
    headers = {"content-length": str(info.size)}
    return StreamingResponse(blobs.read_stream(key), media_type="application/octet-stream", headers=headers)


@binder.op("model")
async def model(call: Call) -> dict[str, Any]:
    """A model's files, and for an adapter those of its backbone under `backbone`."""
    own_run(call)
    return _shown(await call.read(model_files, call.path["ref"], call.query.get("version")))


def _shown(found: ModelFiles) -> dict[str, Any]:
    return {
        "model_id": found.model.id,
        "key": found.model.key,
        "name": found.model.name,
        "version": found.version.number,
        "format": str(found.format),
        "backbone": None if found.backbone is None else _shown(found.backbone),
        "local_path": None if found.path is None else str(found.path),
        "files": [{"path": path, "size": info["size"]} for path, info in found.files.items()],
    }


@binder.op("modelFile")
async def model_file(call: Call) -> Response:
    own_run(call)
    found = await call.read(model_files, call.path["ref"], call.query.get("version"))
    key = found.keys.get(call.path["path"])
    if key is None:
        raise NotFound.of("file", call.path["path"])
    return await _stream(call, key, call.path["path"])


@binder.op("rows")
async def rows(call: Call) -> dict[str, Any]:
    """`{"rows", "next"}`: up to `limit` rows from number `start`, and where to go on, null at the end."""
    own_run(call)
    start, limit = call.query.get("start") or 0, call.query.get("limit")
    limit = MAX_ROWS if limit is None else limit
    if not 1 <= limit <= MAX_ROWS:
        raise Invalid(f"'limit' is 1 to {MAX_ROWS}", field="limit")
    dataset, segments, end = await call.read(locate_rows, call.path["ref"], start, limit)
    found = await asyncio.to_thread(load_rows, call.core.ports.blobs, segments, start, end) if end > start else []
    return {"rows": found, "next": end if start < end < dataset.records else None}
