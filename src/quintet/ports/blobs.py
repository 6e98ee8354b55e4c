"""Where large bytes live: a folder by default, S3, GCS or Azure by URL.

Keys are `/`-separated relative paths; an implementation refuses `..`, a leading `/` and empty parts with
Invalid, so that no key can leave the store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class BlobInfo:
    key: str
    size: int
    sha256: str = ""
    modified_at: int = 0


class Blobs(Protocol):
    """Blocking methods are for worker threads; the two coroutines stream without holding one."""

    def put(self, key: str, data: bytes) -> BlobInfo: ...

    def get(self, key: str) -> bytes:
        """The whole blob; NotFound where there is none."""
        ...

    def get_range(self, key: str, start: int, length: int) -> bytes: ...

    def info(self, key: str) -> BlobInfo | None: ...

    def list(self, prefix: str) -> Iterator[BlobInfo]: ...

    def delete(self, key: str) -> bool:
        """False where it was gone already."""
        ...

    def local_path(self, key: str) -> Path | None:
        """The file or folder itself where the store is a local folder, else None."""
        ...

    async def write_stream(self, key: str, chunks: AsyncIterator[bytes]) -> BlobInfo:
        """Stores a stream with flat memory; what was there is replaced only when the stream has ended well."""
        ...

    def read_stream(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]: ...
