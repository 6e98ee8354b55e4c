"""Multipart bodies as a stream: files go through memory in pieces, never to a temporary file and never whole."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.message import Message
from email.utils import collapse_rfc2231_value

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser
from starlette.requests import ClientDisconnect, Request

from quintet.domain.errors import Invalid

MAX_HEADER = 16 * 1024
"""Bytes of one header of a part: a path of 4,096 characters, each spelt with three bytes."""


@dataclass(frozen=True, slots=True)
class Begin:
    """A part begins; `name` is its file name, or else the name of its field."""

    name: str


@dataclass(frozen=True, slots=True)
class End:
    """The part that began last is complete."""


Event = Begin | End | bytes


async def events(request: Request) -> AsyncIterator[Event]:
    """What a multipart request holds, as it comes. Invalid where it is none, or ends in the middle."""
    boundary = _boundary(request.headers.get("content-type", ""))
    reader = _Reader()
    parser = MultipartParser(boundary, reader.callbacks(), max_header_size=MAX_HEADER)  # type: ignore[arg-type]
    try:
        async for chunk in request.stream():
            if chunk:
                parser.write(chunk)
            while reader.ready:
                yield reader.ready.popleft()
    except MultipartParseError as error:
        raise Invalid("the body is not valid multipart", field="body") from error
    except ClientDisconnect as error:
        raise Invalid("the connection closed before the body was complete", field="body") from error
    if not reader.complete:
        raise Invalid("the body ends before its last boundary", field="body")


async def content(source: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    """The bytes of the part that began last; `source` goes on after its end."""
    async for event in source:
        match event:
            case bytes():
                yield event
            case End():
                return
            case Begin():
                raise Invalid("a part begins inside another", field="body")


def _boundary(content_type: str) -> bytes:
    message = Message()
    message["content-type"] = content_type
    boundary = message.get_param("boundary")
    if message.get_content_type() != "multipart/form-data" or not isinstance(boundary, str) or not boundary:
        raise Invalid("a file is sent as multipart/form-data", field="body")
    return boundary.encode("latin-1", "replace")


class _Reader:
    """Collects what the parser tells into events."""

    def __init__(self) -> None:
        self.ready: deque[Event] = deque()
        self.complete = False
        self._name = bytearray()
        self._value = bytearray()
        self._disposition = ""

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": lambda: self.ready.append(End()),
            "on_end": self._end,
        }

    def _part_begin(self) -> None:
        self._disposition = ""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value.decode("utf-8", "replace")
        self._name.clear()
        self._value.clear()

    def _headers_finished(self) -> None:
        self.ready.append(Begin(_name_in(self._disposition)))

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self.ready.append(data[start:end])

    def _end(self) -> None:
        self.complete = True


def _name_in(disposition: str) -> str:
    """The file name, else the field's name; both may be percent-encoded as `name*=utf-8''…`."""
    message = Message()
    message["content-disposition"] = disposition
    for parameter in ("filename", "name"):
        found = message.get_param(parameter, header="content-disposition")
        if found:
            return collapse_rfc2231_value(found)
    raise Invalid("a part has no name", field="body")
