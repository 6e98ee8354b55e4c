"""Rows between JSON lines and blobs: the half of a dataset's work that must not happen inside a transaction.

Rows lie in segments of about 4 MB, one JSON object a line, so the blobs one after the other are the dataset as
a file. Small additions are folded into the small segments before them, as long as those are not larger: each
byte is then rewritten a few times at most, and a dataset filled row by row still has few segments.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quintet.app import leftovers
from quintet.domain import rows as shapes
from quintet.domain.data import DatasetKind, Segment
from quintet.domain.errors import Invalid, NotFound, Quota
from quintet.domain.ids import Id, new_id
from quintet.ports.blobs import Blobs

SEGMENT_BYTES = 4 * 1024 * 1024
"""Where a segment ends: large enough that an object store serves it in one request, small enough that reading a
page out of its middle stays cheap."""

CHUNK_BYTES = 1024 * 1024
"""How much of a blob is read at a time: few requests for a segment, and little too much for a page of it."""

LINE_BYTES = 64 * 1024 * 1024
"""The longest row; an image as a data URI is at most 10 MB, so this leaves room for several."""


@dataclass(frozen=True, slots=True)
class StoredSegment:
    blob: str
    rows: int
    size: int


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Rows that lie in the blob store and that no dataset knows yet.

    `records` counts the new rows; the first segment also holds those of the `folded` segments, which it stands
    in for. `metric_types` says of each metric in the rows whether it was always a bool: "bool" or "scalar".
    """

    dataset_id: Id
    kind: DatasetKind
    records: int = 0
    segments: tuple[StoredSegment, ...] = ()
    folded: tuple[Segment, ...] = ()
    metrics_usage: dict[str, dict[str, int]] = field(default_factory=dict)
    metric_types: dict[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(s.blob for s in self.segments)


def prefix_of(dataset_id: Id) -> str:
    return f"datasets/{dataset_id}"


def parse_lines(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The objects of a JSON-lines stream; Invalid names the line. Empty lines are skipped."""
    for number, line in enumerate(_lines(chunks), start=1):
        text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if text.strip():
            yield _object(text, number)


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    begun: list[bytes] = []
    size = number = 0
    for chunk in chunks:
        head, *rest = chunk.split(b"\n")
        begun.append(head)
        size += len(head)
        if rest:
            *whole, tail = rest
            yield b"".join(begun)
            yield from whole
            number += 1 + len(whole)
            begun, size = [tail], len(tail)
        if size > LINE_BYTES:
            raise Quota(f"line {number + 1} is longer than {LINE_BYTES} bytes", field="rows", line=number + 1)
    if size:
        yield b"".join(begun)


def _object(text: bytes, number: int) -> dict[str, Any]:
    try:
        row = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = "too deeply nested" if isinstance(error, RecursionError) else str(error)
        raise Invalid(f"line {number} is not JSON: {reason}", field="rows", line=number) from error
    if not isinstance(row, dict):
        raise Invalid(f"line {number} is not a JSON object", field="rows", line=number)
    return row


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def blob_chunks(blobs: Blobs, key: str) -> Iterator[bytes]:
    """A blob piece by piece; NotFound where there is none."""
    start = 0
    while chunk := blobs.get_range(key, start, CHUNK_BYTES):
        yield chunk
        start += len(chunk)


def prepare_rows(
    blobs: Blobs,
    dataset_id: Id,
    rows: Iterable[Mapping[str, Any]],
    *,
    kind: DatasetKind | None = None,
    canonical: bool = True,
    strict: bool = False,
    before: Sequence[Segment] = (),
) -> StoredRows:
    """Checks rows and writes them to the blob store. On any failure nothing that was written stays.

    With `kind` every row must be of it; otherwise the kind is the richest that all rows are, which `strict`
    refuses to be ROWS. With `canonical` the aliases of chat rows are replaced, without it rows are kept as they
    came. `before` are the last segments of the dataset, the last one first: small ones may be folded in.
    """
    writer = _Writer(blobs, dataset_id)
    tally = _Tally(kind, canonical, strict)
    try:
        for number, row in enumerate(rows, start=1):
            writer.add(_line(tally.take(row, number), number))
        folded = writer.finish(before)
    except BaseException:
        leftovers.remove(blobs, keys=[s.blob for s in writer.segments])
        raise
    return StoredRows(
        dataset_id, tally.kind or DatasetKind.ROWS, tally.records, tuple(writer.segments), folded,
        tally.usage, {k: "bool" if v else "scalar" for k, v in tally.bools.items()},
    )  # fmt: skip


def _line(row: Mapping[str, Any], number: int) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    except (ValueError, TypeError, RecursionError) as error:
        raise Invalid(f"line {number} cannot be stored as JSON: {error}", field="rows", line=number) from error


class _Tally:
    """What all rows have in common: their kind, and how often they speak of which metric."""

    def __init__(self, kind: DatasetKind | None, canonical: bool, strict: bool) -> None:
        self._wanted = kind
        self._canonical = canonical
        # Rows that nobody declared a kind of may be anything; else a row of the wrong shape is an error.
        self._strict = strict or kind is not None
        self.kind = kind
        self.records = 0
        self.usage: dict[str, dict[str, int]] = {}
        self.bools: dict[str, bool] = {}

    def take(self, row: Mapping[str, Any], number: int) -> Mapping[str, Any]:
        if not isinstance(row, Mapping):
            raise Invalid(f"line {number} is not a JSON object", field="rows", line=number)
        taken = self._replaced(row, number) if self._canonical else row
        if self._wanted is not None:
            shapes.check(taken, self._wanted, number)
        else:
            self.kind = self._common_with(taken, number)
        self._count(taken)
        self.records += 1
        return taken

    def _replaced(self, row: Mapping[str, Any], number: int) -> Mapping[str, Any]:
        try:
            return shapes.canonical(row, number)
        except Invalid:
            if self._strict:
                raise
            return row

    def _common_with(self, row: Mapping[str, Any], number: int) -> DatasetKind:
        found = shapes.kind_of(row)
        try:
            shapes.check(row, found, number)
        except Invalid:
            if self._strict:
                raise
            found = DatasetKind.ROWS
        shared = found if self.kind is None else shapes.common(self.kind, found)
        if self._strict and shared is DatasetKind.ROWS:
            if found is DatasetKind.ROWS:
                raise Invalid(f"line {number}: 'messages' is missing", field="messages", line=number)
            said = f"line {number} is of the kind {found}, those before are {self.kind}"
            raise Invalid(said, field="rows", line=number)
        return shared

    def _count(self, row: Mapping[str, Any]) -> None:
        for metric, is_bool in shapes.metric_values(row).items():
            self._seen(metric, "feedbacks")
            self.bools[metric] = self.bools.get(metric, True) and is_bool
        compared = row.get("feedback_key")
        if isinstance(compared, str) and compared and "preferred_completion" in row:
            self._seen(compared, "comparisons")
            self.bools.setdefault(compared, False)

    def _seen(self, metric: str, what: str) -> None:
        counts = self.usage.setdefault(metric, {"feedbacks": 0, "comparisons": 0})
        counts[what] += 1


class _Writer:
    """Cuts lines into segments and stores each as soon as it is full."""

    def __init__(self, blobs: Blobs, dataset_id: Id) -> None:
        self._blobs = blobs
        self._dataset_id = dataset_id
        self._lines: list[bytes] = []
        self._size = 0
        self.segments: list[StoredSegment] = []

    def add(self, line: bytes) -> None:
        if self._lines and self._size + len(line) > SEGMENT_BYTES:
            self._store(b"".join(self._lines), len(self._lines))
            self._lines, self._size = [], 0
        self._lines.append(line)
        self._size += len(line)

    def finish(self, before: Sequence[Segment]) -> tuple[Segment, ...]:
        """Stores what is left and says which of `before` it now holds too, in their order."""
        if not self._lines:
            return ()
        folded: list[Segment] = []
        size = self._size
        for segment in () if self.segments else before:
            if segment.size > size or size + segment.size > SEGMENT_BYTES:
                break
            folded.insert(0, segment)
            size += segment.size
        try:
            data = b"".join([*(self._blobs.get(s.blob) for s in folded), *self._lines])
        except NotFound:
            # Somebody else has just folded them; the rows are then stored on their own.
            folded, data = [], b"".join(self._lines)
        self._store(data, len(self._lines) + sum(s.rows for s in folded))
        return tuple(folded)

    def _store(self, data: bytes, rows: int) -> None:
        key = f"{prefix_of(self._dataset_id)}/{new_id()}.jsonl"
        # Known before it is written: a write that fails half-way is then cleaned up with the others.
        self.segments.append(StoredSegment(key, rows, len(data)))
        self._blobs.put(key, data)


def load_rows(blobs: Blobs, segments: Sequence[Segment], start: int, end: int) -> list[dict[str, Any]]:
    """The rows from number `start` up to and without `end`, out of the segments that hold them."""
    found: list[dict[str, Any]] = []
    for segment in segments:
        first = max(start - segment.start, 0)
        last = min(end - segment.start, segment.rows)
        if first >= last:
            continue
        for at, line in enumerate(_lines(blob_chunks(blobs, segment.blob))):
            if at >= first:
                found.append(json.loads(line))
            if at + 1 >= last:
                break
    return found
