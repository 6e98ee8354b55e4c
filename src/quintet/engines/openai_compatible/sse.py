"""Server-sent events out of bytes that arrive cut anywhere."""

from __future__ import annotations

from collections.abc import Iterator

from quintet.domain.errors import Unavailable

# No single event of a chat stream comes near this; a stream without line ends must not fill our memory.
MAX_EVENT_BYTES = 8 * 1024 * 1024


class SseParser:
    """Feeds on pieces, gives the `data` of each event that has become complete. Comments are dropped."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The data of the events that `piece` completes, several `data` lines joined by line ends."""
        buffer = self._rest + piece
        if len(buffer) > MAX_EVENT_BYTES:
            raise Unavailable("the upstream sent an event that is too large")
        # A lone CR may be the first half of CRLF, so it waits for what follows. No upstream uses it alone.
        *lines, self._rest = buffer.split(b"\n")
        for line in lines:
            line = line.removesuffix(b"\r")
            if not line:
                if self._data:
                    data, self._data = b"\n".join(self._data), []
                    yield data
            elif line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))

    def end(self) -> Iterator[bytes]:
        """The last event of a stream that ended without its blank line."""
        yield from self.feed(b"\n\n")
