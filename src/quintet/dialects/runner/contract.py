"""The operations of the runner wire. There is no document elsewhere: this list is the contract."""

from __future__ import annotations

from quintet.dialects.kit.query import Param
from quintet.dialects.kit.rest import Operation, RestContract

PREFIX = "/runner/v1"

_VERSION = (Param("version", type="integer"),)
_RANGE = (Param("start", type="integer"), Param("limit", type="integer"))

CONTRACT = RestContract(
    Operation(ident, method, PREFIX + path, query=query)
    for ident, method, path, query in (
        ("lease", "POST", "/lease", ()),
        ("heartbeat", "POST", "/heartbeat", ()),
        ("finish", "POST", "/finish", ()),
        ("logs", "POST", "/logs", ()),
        ("run", "GET", "/run", ()),
        ("progress", "POST", "/progress", ()),
        ("metrics", "POST", "/metrics", ()),
        ("putBlob", "PUT", "/blobs/{path:path}", ()),
        ("getBlob", "GET", "/blobs/{path:path}", ()),
        ("artifact", "POST", "/artifacts", ()),
        ("checkpoint", "POST", "/checkpoints", ()),
        ("registerModel", "POST", "/models", ()),
        ("model", "GET", "/models/{ref}", _VERSION),
        ("modelFile", "GET", "/models/{ref}/files/{path:path}", _VERSION),
        ("rows", "GET", "/datasets/{ref}/rows", _RANGE),
        ("complete", "POST", "/complete", ()),
        ("scores", "POST", "/scores", ()),
        ("result", "POST", "/result", ()),
    )
)
