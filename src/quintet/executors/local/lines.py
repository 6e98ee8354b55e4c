"""From the bytes that a process prints to lines of a log, whatever it prints."""

from __future__ import annotations

import time

from quintet.ports.executor import LogLine

MAX_LINE = 8_192
"""Characters of one line: more is noise in a log (a dumped tensor, a base64 image) and is cut with a note."""


class LineSplitter:
    """Cuts chunks into lines. Of a line that a progress bar rewrote, what it said last counts."""

    def __init__(self, level: str) -> None:
        self._level = level
        self._rest = bytearray()
        self._dropped = 0
        self.last = ""

    def feed(self, chunk: bytes) -> list[LogLine]:
        """The lines that are complete now."""
        *whole, rest = chunk.split(b"\n")
        lines = []
        for part in whole:
            self._add(part)
            if (line := self._take()) is not None:
                lines.append(line)
        self._add(rest)
        return lines

    def flush(self) -> list[LogLine]:
        """What is left at the end, a line without its newline."""
        line = self._take()
        return [] if line is None else [line]

    def _add(self, part: bytes) -> None:
        if b"\r" in part.rstrip(b"\r"):
            # Only after the last return is anything still to be seen on the line.
            part = part.rstrip(b"\r").rpartition(b"\r")[2]
            self._rest.clear()
            self._dropped = 0
        room = MAX_LINE * 4 - len(self._rest)
        self._rest += part[:room]
        self._dropped += max(0, len(part) - room)

    def _take(self) -> LogLine | None:
        text = self._rest.decode("utf-8", "replace").rstrip().replace("\x00", "")
        more = max(0, len(text) - MAX_LINE) + self._dropped
        self._rest.clear()
        self._dropped = 0
        if not text:
            return None
        if more:
            text = f"{text[:MAX_LINE]} … ({more} more)"
        self.last = text
        return LogLine(time.time_ns() // 1_000_000, self._level, text)
