"""The file server under `/files`: uploads, downloads with ranges, deletion. Its answers have no envelope."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Awaitable, Callable
from urllib.parse import quote

import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from quintet.app import files
from quintet.app.core import Core
from quintet.dialects.clearml import multipart
from quintet.dialects.clearml.auth import authenticate
from quintet.dialects.clearml.errors import row_of
from quintet.dialects.kit.body import decode_json, read_body
from quintet.dialects.kit.errors import as_family
from quintet.dialects.kit.rest import Route, RouteHandler
from quintet.domain.errors import QuintetError
from quintet.ports.blobs import BlobInfo

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_SAFE = {
    # Files are of users and lie on the console's own origin: none of them may run as a part of it.
    "content-security-policy": "sandbox allow-scripts",
    "x-content-type-options": "nosniff",
    "accept-ranges": "bytes",
}

Handler = Callable[[Request, Core, str], Awaitable[Response]]


def routes() -> list[Route]:
    return [
        Route("GET", "/files", _handled(_hello)),
        Route("HEAD", "/files", _handled(_hello)),
        Route("POST", "/files", _handled(_upload)),
        Route("PUT", "/files", _handled(_upload)),
        Route("POST", "/files/delete_many", _handled(_delete_many)),
        Route("GET", "/files/{path:path}", _handled(_download)),
        Route("HEAD", "/files/{path:path}", _handled(_download)),
        Route("DELETE", "/files/{path:path}", _handled(_delete)),
    ]


def show_error(error: QuintetError, request_id: str) -> Response:
    """`{"error": …}` with the status of the error."""
    row = row_of(error)
    body: dict[str, object] = {"error": error.message, "request_id": request_id}
    if error.field:
        body["field"] = error.field
    return JSONResponse(body, status_code=row.code)


def _handled(handler: Handler) -> RouteHandler:
    async def handle(request: Request, core: Core, request_id: str, params: dict[str, str]) -> Response:
        try:
            return await handler(request, core, params.get("path", ""))
        except Exception as error:
            return show_error(as_family(error, request_id), request_id)

    return handle


async def _hello(request: Request, core: Core, path: str) -> Response:
    return PlainTextResponse("OK")


async def _upload(request: Request, core: Core, path: str) -> Response:
    """Stores each part of the body under its name and lists the names."""
    actor = await authenticate(request, core)
    stored: list[str] = []
    source = multipart.events(request)
    async for event in source:
        if isinstance(event, multipart.Begin):
            key = files.writable_key(actor, event.name)
            await core.ports.blobs.write_stream(key, multipart.content(source))
            stored.append(event.name.lstrip("/"))
    return JSONResponse(stored)


async def _download(request: Request, core: Core, path: str) -> Response:
    actor = await authenticate(request, core)
    info = await anyio.to_thread.run_sync(files.readable_file, actor, core.ports, path)
    name = path.rsplit("/", 1)[-1]
    headers = dict(_SAFE)
    if request.query_params.get("download"):
        headers["content-disposition"] = f"attachment; filename*=utf-8''{quote(name)}"
    media = mimetypes.guess_type(name)[0] or "application/octet-stream"
    span = _span(request.headers.get("range", ""), info)
    if span is None:
        return Response(status_code=416, headers={**headers, "content-range": f"bytes */{info.size}"})
    start, end = span
    status = 200 if (start, end) == (0, info.size) else 206
    if status == 206:
        headers["content-range"] = f"bytes {start}-{end - 1}/{info.size}"
    headers["content-length"] = str(end - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media)
    body = core.ports.blobs.read_stream(info.key, start, end)
    return StreamingResponse(body, status_code=status, headers=headers, media_type=media)


def _span(header: str, info: BlobInfo) -> tuple[int, int] | None:
    """Start and end (not included) of what was asked for; None where it lies outside the file.

    Several ranges, and units that are not bytes, are answered with the whole file, as the protocol allows.
    """
    found = _RANGE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return 0, info.size
    if not found[1]:
        length = int(found[2])
        return (max(0, info.size - length), info.size) if length and info.size else None
    start = int(found[1])
    end = min(int(found[2]) + 1, info.size) if found[2] else info.size
    return (start, end) if start < end else None


async def _delete(request: Request, core: Core, path: str) -> Response:
    actor = await authenticate(request, core)
    await anyio.to_thread.run_sync(files.delete_file, actor, core.ports, path)
    return JSONResponse({})


class DeleteMany(msgspec.Struct):
    files: list[str]


async def _delete_many(request: Request, core: Core, path: str) -> Response:
    actor = await authenticate(request, core)
    body = decode_json(await read_body(request), DeleteMany)
    done = await anyio.to_thread.run_sync(files.delete_files, actor, core.ports, body.files)
    return JSONResponse({"deleted": done.deleted, "errors": done.errors})
