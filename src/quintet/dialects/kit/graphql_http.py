"""GraphQL requests as they come over HTTP: JSON, or multipart with files (the multipart request convention)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import msgspec
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from quintet.dialects.kit.body import decode_json, read_body, read_form
from quintet.dialects.kit.graphql_limits import Limits
from quintet.domain.errors import Invalid

MAX_FILES = 100


class GraphqlRequest(msgspec.Struct, frozen=True, rename="camel"):
    """What is to be run. A null stands for "none", as clients send it."""

    query: str
    operation_name: str | None = None
    variables: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file of a multipart request, open for the time of the request; large ones lie on disk."""

    filename: str
    content_type: str
    file: BinaryIO


@asynccontextmanager
async def read_request(request: Request, limits: Limits) -> AsyncIterator[GraphqlRequest]:
    """The request; its files are closed on leaving. Invalid where it is malformed, BodyTooLarge past a limit."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "multipart/form-data":
        yield decode_json(await read_body(request, limits.body), GraphqlRequest)
        return
    async with read_form(request, limits.upload, max_files=MAX_FILES) as form:
        operations = _text(form, "operations")
        places = decode_json(_text(form, "map").encode(), dict[str, list[str]])
        document = decode_json(operations.encode(), dict[str, Any])
        for part, paths in places.items():
            upload = form.get(part)
            if not isinstance(upload, UploadFile):
                raise Invalid("the map names a part that is not a file of this request", field=part[:100])
            file = UploadedFile(upload.filename or "", upload.content_type or "", upload.file)
            for path in paths:
                _put(document, path, file)
        # The files sit in the variables, which the struct takes as they are.
        yield _from_document(document)


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    if not isinstance(value, str):
        raise Invalid("a multipart request has the text parts operations and map", field=name)
    return value


def _from_document(document: dict[str, Any]) -> GraphqlRequest:
    query, operation, variables = (document.get(name) for name in ("query", "operationName", "variables"))
    if not isinstance(query, str):
        raise Invalid("expected a string", field="query")
    if operation is not None and not isinstance(operation, str):
        raise Invalid("expected a string or null", field="operationName")
    if variables is not None and not isinstance(variables, dict):
        raise Invalid("expected an object or null", field="variables")
    return GraphqlRequest(query, operation, variables)


def _put(document: Any, path: str, file: UploadedFile) -> None:
    """Puts a file at `variables.input.files.0`, where the document must hold a null."""
    if not path.startswith("variables."):
        raise Invalid("a file can only be a variable", field=path[:100])
    *parents, last = path.split(".")
    place = document
    try:
        for key in parents:
            place = place[int(key)] if isinstance(place, list) else place[key]
        key_of_last: Any = int(last) if isinstance(place, list) else last
        if place[key_of_last] is not None:
            raise Invalid("a file must stand in for a null", field=path[:100])
        place[key_of_last] = file
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise Invalid("the map names a place that the variables do not have", field=path[:100]) from error
