"""Request bodies: read up to a limit, decoded into declared types, and refused with the name of the field."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, TypeVar, cast

import msgspec
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from quintet.dialects.kit.errors import BodyTooLarge
from quintet.domain.errors import Invalid

T = TypeVar("T")

DEFAULT_LIMIT = 16 << 20
"""16 MiB: the largest JSON that real clients send in one piece is 15 MiB (a batch of events)."""

SERVER_LIMIT = "quintet.body_limit"
"""Where the server leaves the operator's limit in the scope of a request."""

_AT = re.compile(r" - at (?:`key` in )?`(?P<path>[^`]*)`$")
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]*)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`")


async def read_body(request: Request, limit: int = DEFAULT_LIMIT) -> bytes:
    """The whole body; BodyTooLarge past `limit` bytes (or the server's own limit), before the rest is read."""
    limit = min(limit, request.scope.get(SERVER_LIMIT, limit))
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > limit:
        raise too_large(limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise too_large(limit)
            chunks.append(chunk)
    except ClientDisconnect as error:
        raise Invalid("the connection closed before the body was complete", field="body") from error
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


@asynccontextmanager
async def read_form(request: Request, limit: int, *, max_files: int = 1_000) -> AsyncIterator[FormData]:
    """A form or multipart body of at most `limit` bytes in all; files are spooled and closed on leaving.

    BodyTooLarge past the limit, Invalid for a body that is not a form.
    """
    size = 0

    async def receive() -> Message:
        nonlocal size
        message = await request.receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise too_large(limit)
        return message

    # Starlette bounds the parts of a form and not their sum, and writes files to disk as they come.
    form_of = Request(request.scope, receive).form(max_files=max_files, max_fields=max_files, max_part_size=limit)
    try:
        form = await form_of
    except (MultiPartException, HTTPException, KeyError) as error:
        raise Invalid("the body is not a valid form", field="body") from error
    except ClientDisconnect as error:
        raise Invalid("the connection closed before the body was complete", field="body") from error
    try:
        yield form
    finally:
        await form.close()


def too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than {limit} bytes", field="body", limit=limit)


def decode_json(raw: bytes, into: type[T]) -> T:
    """JSON as `into`; Invalid names the field, or `body` where it is not JSON at all."""
    try:
        decoded: T = _decoder(cast(Hashable, into)).decode(raw)
    except msgspec.ValidationError as error:
        raise invalid(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("the body is not valid JSON", field="body") from error
    return decoded


def decode_json_lines(raw: bytes, item: type[T]) -> list[T]:
    """JSON objects on lines of their own; Invalid names the line, counted from 0, and the field."""
    try:
        decoded: list[T] = _decoder(cast(Hashable, item)).decode_lines(raw)
    except msgspec.ValidationError as error:
        raise invalid(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("a line of the body is not valid JSON", field="body") from error
    return decoded


def convert(value: object, into: type[T], *, strict: bool = True) -> T:
    """A decoded value as `into`, with the same errors as `decode_json`; not `strict` reads "12" as 12."""
    try:
        return msgspec.convert(value, into, strict=strict)
    except msgspec.ValidationError as error:
        raise invalid(error) from error


def invalid(error: msgspec.ValidationError) -> Invalid:
    """A msgspec error as Invalid: `Expected int, got str`, with the field `messages[0].role`."""
    text = str(error)
    path = ""
    at = _AT.search(text)
    if at is not None:
        path, text = at["path"], text[: at.start()]
    path = path.removeprefix("$").removeprefix(".")
    if (missing := _MISSING.match(text)) is not None:
        path, text = _join(path, missing["name"]), "this field is required"
    elif (unknown := _UNKNOWN.match(text)) is not None:
        path, text = _join(path, unknown["name"]), "this field is not known"
    return Invalid(text.replace("`", ""), field=path or "body")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


@cache
def _decoder(into: Hashable) -> msgspec.json.Decoder[Any]:
    # One per declared type, so the number of entries is bounded by the code; making one costs 100 decodes.
    return msgspec.json.Decoder(cast(Any, into))
