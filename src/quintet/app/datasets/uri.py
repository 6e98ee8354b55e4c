"""Rows behind a URI: a `data:` URI, or a file behind an http(s) URL, as CSV, JSON or JSON lines."""

from __future__ import annotations

import asyncio
import base64
import binascii
import csv
import io
import json
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from quintet.app.context import Ports
from quintet.app.datasets.rows import parse_lines
from quintet.domain.errors import Invalid, Unavailable, Unsupported

Row = dict[str, Any]

FETCH_SECONDS = 30.0
"""Below the minute after which the client that asked gives up."""

_BY_TYPE = {
    "text/csv": "csv",
    "application/csv": "csv",
    "application/json": "json",
    "application/jsonl": "jsonl",
    "application/x-ndjson": "jsonl",
    "application/x-jsonlines": "jsonl",
    "text/jsonl": "jsonl",
}
_BY_SUFFIX = {"csv": "csv", "json": "json", "jsonl": "jsonl", "ndjson": "jsonl"}


async def rows_of(ports: Ports, uri: str) -> list[Row]:
    """The rows; Invalid for what cannot be read as rows, Unsupported for a scheme that is not served."""
    if uri.startswith("data:"):
        kind, raw = _inline(uri)
    elif uri.startswith(("http://", "https://")):
        kind, raw = await _fetched(ports, uri)
    else:
        raise Unsupported(f"'{urlsplit(uri).scheme or uri[:40]}' is no source of rows; use data:, http: or https:")
    return await asyncio.to_thread(_read, kind, raw)


def _inline(uri: str) -> tuple[str, bytes]:
    head, comma, data = uri.removeprefix("data:").partition(",")
    if not comma:
        raise Invalid("the data: URI has no data", field="source.uri")
    media, *options = [part.strip().lower() for part in head.split(";")]
    raw = unquote_to_bytes(data)
    if "base64" in options:
        try:
            raw = base64.b64decode(raw, validate=True)
        except binascii.Error as error:
            raise Invalid("the data: URI is not valid base64", field="source.uri") from error
    return _kind(media, "", raw), raw


async def _fetched(ports: Ports, uri: str) -> tuple[str, bytes]:
    reply = await ports.egress.request("GET", uri, timeout=FETCH_SECONDS)
    if reply.status >= 400:
        raise Unavailable(f"the source answered with status {reply.status}", status=reply.status)
    named = next((value for name, value in reply.headers.items() if name.lower() == "content-type"), "")
    return _kind(named.partition(";")[0].strip().lower(), urlsplit(uri).path, reply.body), reply.body


def _kind(media: str, path: str, raw: bytes) -> str:
    """By the name of the file, else by its type, else by how it begins: servers call most files text."""
    suffix = path.rpartition(".")[2].lower()
    known = _BY_SUFFIX.get(suffix) or _BY_TYPE.get(media)
    if known is not None:
        return known
    start = raw.lstrip()[:1]
    return {b"[": "json", b"{": "jsonl"}.get(start, "csv")


def _read(kind: str, raw: bytes) -> list[Row]:
    if kind == "jsonl":
        return list(parse_lines([raw]))
    if kind == "json":
        return _json_rows(raw)
    return _csv_rows(raw)


def _json_rows(raw: bytes) -> list[Row]:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"the source is not JSON: {error}", field="source.uri") from error
    rows = found if isinstance(found, list) else [found]
    if not all(isinstance(row, dict) for row in rows):
        raise Invalid("the source is not a list of objects", field="source.uri")
    return rows


def _csv_rows(raw: bytes) -> list[Row]:
    """A column whose every cell is a number holds numbers; whole ones stay whole. An empty cell is null."""
    try:
        table = list(csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise Invalid(f"the source is not CSV: {error}", field="source.uri") from error
    if not table or not any(table[0]):
        raise Invalid("the source has no header line", field="source.uri")
    header, *lines = table
    lines = [line for line in lines if line]
    for number, line in enumerate(lines, start=2):
        if len(line) != len(header):
            raise Invalid(f"line {number} has {len(line)} cells, the header {len(header)}", field="source.uri")
    columns = [_typed([line[i] for line in lines]) for i in range(len(header))]
    return [dict(zip(header, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _typed(cells: list[str]) -> Iterable[Any]:
    for parse in (_whole, _number):
        found = _parsed(cells, parse)
        if found is not None:
            return found
    return [cell if cell else None for cell in cells]


def _parsed(cells: list[str], parse: Callable[[str], Any]) -> list[Any] | None:
    try:
        return [parse(cell) if cell else None for cell in cells]
    except ValueError:
        return None


def _whole(cell: str) -> int:
    # "007" and "1_000" are names, not numbers: they would not come back as they were.
    if str(int(cell)) != cell:
        raise ValueError(cell)
    return int(cell)


def _number(cell: str) -> float:
    if not cell[:1].isdigit() and cell[:1] not in "+-.":
        raise ValueError(cell)
    if "_" in cell or (len(cell) > 1 and cell[0] == "0" and cell[1].isdigit()):
        raise ValueError(cell)
    return float(cell)
