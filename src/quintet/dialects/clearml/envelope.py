"""The envelope around every answer: `meta` says what was asked and how it went, `data` is the answer."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from quintet.dialects.clearml.contract import NEWEST
from quintet.dialects.clearml.errors import row_of
from quintet.dialects.kit.rpc import CallInfo
from quintet.dialects.kit.times import to_rfc3339
from quintet.domain.errors import QuintetError
from quintet.domain.ids import Kind, parse_id, to_hex32

_encode = msgspec.json.Encoder().encode


def stamp(us: int | None) -> str | None:
    """A moment as this dialect writes it: `2025-01-01T00:00:00.123000+00:00`."""
    return None if us is None else to_rfc3339(us, digits=6, zone="+00:00")


def respond(info: CallInfo, data: object) -> Response:
    """200 with `data`; None is an empty object."""
    return _reply(info, _meta(info, 200, 0, "OK", {}), {} if data is None else data)


def fail(info: CallInfo, error: QuintetError) -> Response:
    """The status of the error, with its text, its field and its safe data."""
    row = row_of(error, info.name)
    shown = {name: value for name, value in error.data.items() if name != "subcode"}
    if error.field:
        shown["field"] = error.field
    named = f": {error.field}" if error.field and error.field not in error.message else ""
    text = f"{row.text} ({error.message}{named})" if row.text else error.message
    return _reply(info, _meta(info, row.code, row.subcode, text, shown), {})


def _reply(info: CallInfo, meta: Mapping[str, Any], data: object) -> Response:
    body = _encode({"meta": meta, "data": data})
    # The SDK forks its reporting process with the connections of its pool open: two processes then write into
    # one of them at once, and events are lost. A connection that is closed after its answer cannot be shared.
    headers = {"connection": "close"} if "x-clearml-client" in info.request.headers else None
    return Response(body, status_code=meta["result_code"], media_type="application/json", headers=headers)


def _meta(info: CallInfo, code: int, subcode: int, text: str, data: Mapping[str, Any]) -> dict[str, Any]:
    ident = call_id(info.request_id)
    return {
        "id": ident,
        "trx": info.request.headers.get("x-clearml-trx") or info.request.headers.get("x-trains-trx") or ident,
        "endpoint": {
            "name": info.name,
            "requested_version": info.requested or NEWEST,
            "actual_version": info.actual or None,
        },
        "result_code": code,
        "result_subcode": subcode,
        "result_msg": text,
        "error_stack": None,
        "error_data": data,
    }


def call_id(request_id: str) -> str:
    """The request id as 32 hex digits, so that an answer is found in the log; a fresh one where it is foreign."""
    ident = parse_id(request_id)
    return uuid.uuid4().hex if ident is None else to_hex32(ident, Kind.OTHER)
