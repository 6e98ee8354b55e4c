"""Blobs over obstore: the same code for a folder and for the object stores.

What obstore already gives: a write is staged and becomes visible as a whole, an upload that fails leaves
nothing under its key. What is added here: the key rule, hashes, our errors, and flat memory for any size.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import AsyncIterator, Generator, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread
import obstore
from obstore import exceptions as oe

from quintet.blobs.keys import check_key, check_prefix
from quintet.domain.errors import Conflict, Invalid, NotFound, QuintetError, Unavailable
from quintet.ports.blobs import BlobInfo

if TYPE_CHECKING:
    from obstore.store import ObjectStore

# The size of one part of a long write or read. S3 allows 10,000 parts of at least 5 MiB: 8 MiB parts carry
# blobs of up to 78 GiB, and with the number of parts in flight bound the memory of one transfer to 32 MiB.
PART_BYTES = 8 * 1024 * 1024
PARTS_IN_FLIGHT = 3

# What a reader gets at a time from a folder: large enough to make hand-over cheap, small enough to stream.
CHUNK_BYTES = 1024 * 1024


class ObstoreBlobs:
    """`ports.blobs.Blobs`. `root` is the folder of a local store; `durable` forces its writes to disk."""

    def __init__(self, store: ObjectStore, *, root: Path | None, durable: bool) -> None:
        self._store = store
        self._root = root
        self._durable = durable and root is not None

    def put(self, key: str, data: bytes) -> BlobInfo:
        """Stores `data` as a whole, replacing what was there. Conflict where `key` is a folder of others."""
        self._check_writable(key)
        with _translated(key):
            obstore.put(self._store, key, data, chunk_size=PART_BYTES, max_concurrency=PARTS_IN_FLIGHT)
        if self._durable:
            self._force_to_disk(key)
        return _written(key, len(data), hashlib.sha256(data).hexdigest())

    def get(self, key: str) -> bytes:
        with _translated(check_key(key)):
            return bytes(obstore.get(self._store, key).bytes())

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Up to `length` bytes from `start`; fewer at the end, none past it. NotFound, Invalid if negative."""
        if start < 0 or length < 0:
            raise Invalid("a range must not be negative", field="start" if start < 0 else "length")
        info = self.info(key)
        if info is None:
            raise NotFound.of("blob", key)
        wanted = min(length, info.size - start)
        if wanted <= 0:
            return b""
        with _translated(key):
            return bytes(obstore.get_range(self._store, key, start=start, length=wanted))

    def info(self, key: str) -> BlobInfo | None:
        """Size and time; `sha256` is empty, since no store keeps it: whoever wrote the blob was told."""
        try:
            with _translated(check_key(key)):
                meta = obstore.head(self._store, key)
        except NotFound:
            return None
        return BlobInfo(key=key, size=meta["size"], modified_at=_micros(meta["last_modified"]))

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """Everything below the folder `prefix` (with or without its last slash), in the store's own order."""
        return self._listed(check_prefix(prefix))

    def delete(self, key: str) -> bool:
        # Object stores answer the same for what is gone already, so existence has to be asked for.
        if self.info(key) is None:
            return False
        try:
            with _translated(key):
                obstore.delete(self._store, key)
        except NotFound:
            return False
        return True

    def local_path(self, key: str) -> Path | None:
        """The path of the file or folder in a local store, whether or not it exists; else None."""
        check_key(key.rstrip("/"))
        return None if self._root is None else self._root / key

    async def write_stream(self, key: str, chunks: AsyncIterator[bytes]) -> BlobInfo:
        """As `put`, part by part. If `chunks` raises or the task is cancelled, the old blob stays as it was."""
        await anyio.to_thread.run_sync(self._check_writable, key)
        tally = _Tally()
        counted = tally.watch(chunks)
        head = await _first_part(counted)
        if len(head) < PART_BYTES:
            with _translated(key):
                await obstore.put_async(self._store, key, head, use_multipart=False)
        else:
            await self._store_parts(key, head, counted)
        if self._durable:
            await anyio.to_thread.run_sync(self._force_to_disk, key)
        return _written(key, tally.size, tally.digest.hexdigest())

    async def read_stream(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to and without `end`, in pieces of at most a part; nothing past the end.

        NotFound and Invalid come with the first piece. Conflict if the blob is replaced in the middle.
        """
        if start < 0 or (end is not None and end < 0):
            raise Invalid("a range must not be negative", field="start" if start < 0 else "end")
        with _translated(check_key(key)):
            meta = await obstore.head_async(self._store, key)
        stop = meta["size"] if end is None else min(end, meta["size"])
        if start >= stop:
            return
        if self._root is not None:
            with _translated(key):
                # One open file: a replacement in the middle does not disturb this reader.
                found = await obstore.get_async(self._store, key, options={"range": (start, stop)})
                async for piece in found.stream(min_chunk_size=CHUNK_BYTES):
                    yield bytes(piece)
            return
        # Ranges instead of one long reply: a slow consumer would run into the client's time limit for a whole
        # reply, and the entity tag proves that all parts are of one blob.
        for at in range(start, stop, PART_BYTES):
            with _translated(key):
                part = await obstore.get_async(
                    self._store,
                    key,
                    options={"range": (at, min(at + PART_BYTES, stop)), "if_match": meta["e_tag"]},
                )
                yield bytes(await part.bytes_async())

    async def _store_parts(self, key: str, head: bytes, rest: AsyncIterator[bytes]) -> None:
        """A multipart upload that is told when its source fails or its task is cancelled: only then does it take
        back the parts that it has sent. Dropped in the middle, it would leave them in the bucket, unseen and paid.
        """
        handover: asyncio.Queue[bytes | _SourceGone | None] = asyncio.Queue(1)

        async def upload() -> None:
            body = _handed_over(head, handover)
            await obstore.put_async(self._store, key, body, chunk_size=PART_BYTES, max_concurrency=PARTS_IN_FLIGHT)

        task = asyncio.create_task(upload())
        try:
            async for chunk in rest:
                await _hand(handover, chunk, task)
                if task.done():
                    break
            await _hand(handover, None, task)
            with _translated(key):
                await asyncio.shield(task)
        except BaseException:
            if not task.done():
                while not handover.empty():
                    handover.get_nowait()
                handover.put_nowait(_SourceGone())
                await asyncio.wait([task])
            # Retrieved, so that the loop does not report an error that has been dealt with.
            _ = task.cancelled() or task.exception()
            raise

    def _listed(self, prefix: str) -> Iterator[BlobInfo]:
        with _translated(prefix):
            for batch in obstore.list(self._store, prefix or None, chunk_size=1000):
                for meta in batch:
                    yield BlobInfo(meta["path"], meta["size"], modified_at=_micros(meta["last_modified"]))

    def _check_writable(self, key: str) -> None:
        """Object stores let `a` and `a/b` live side by side, a folder cannot: one clear error for it."""
        check_key(key)
        if self._root is None:
            return
        path = self._root / key
        if path.is_dir():
            raise Conflict(f"'{key}' is a folder of other blobs", field="key")
        for parent in path.relative_to(self._root).parents:
            if (self._root / parent).is_file():
                raise Conflict(f"'{parent}' is a blob, so nothing can be stored below it", field="key")

    def _force_to_disk(self, key: str) -> None:
        """An acknowledged blob survives a power cut: its bytes first, then the name in its folder."""
        assert self._root is not None
        path = self._root / key
        for each in (path, path.parent):
            # Whoever deleted it meanwhile has answered the question of durability.
            with contextlib.suppress(FileNotFoundError):
                handle = os.open(each, os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)


class _Tally:
    """Counts and hashes what flows through."""

    def __init__(self) -> None:
        self.size = 0
        self.digest = hashlib.sha256()

    async def watch(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            self.size += len(chunk)
            self.digest.update(chunk)
            if chunk:
                yield chunk


class _SourceGone(Exception):
    """Thrown into an upload so that it takes itself back."""


async def _first_part(chunks: AsyncIterator[bytes]) -> bytes:
    """Enough to know whether one plain request will do, which it does for nearly all blobs."""
    pieces: list[bytes] = []
    size = 0
    async for chunk in chunks:
        pieces.append(chunk)
        size += len(chunk)
        if size >= PART_BYTES:
            break
    return b"".join(pieces)


async def _handed_over(head: bytes, handover: asyncio.Queue[bytes | _SourceGone | None]) -> AsyncIterator[bytes]:
    yield head
    while (item := await handover.get()) is not None:
        if isinstance(item, _SourceGone):
            raise item
        yield item


async def _hand(
    handover: asyncio.Queue[bytes | _SourceGone | None], item: bytes | None, task: asyncio.Task[None]
) -> None:
    """Waits until there is room for the item, or the upload has ended early and will never take it."""
    put = asyncio.ensure_future(handover.put(item))
    try:
        await asyncio.wait([put, task], return_when=asyncio.FIRST_COMPLETED)
    finally:
        put.cancel()


@contextlib.contextmanager
def _translated(key: str) -> Generator[None]:
    """Turns obstore's errors into ours. Their texts name paths, hosts and buckets, so they stay in `__cause__`."""
    try:
        yield
    except QuintetError:
        raise
    except FileNotFoundError as exc:
        raise NotFound.of("blob", key) from exc
    except oe.PreconditionError as exc:
        raise Conflict(f"blob '{key}' was replaced while it was read", key=key) from exc
    except (oe.PermissionDeniedError, oe.UnauthenticatedError) as exc:
        raise Unavailable("the blob store refused our credentials") from exc
    except oe.InvalidPathError as exc:
        raise Invalid("the store does not take this blob key", field="key") from exc
    except oe.BaseError as exc:
        raise Unavailable("the blob store did not answer as it should") from exc


def _written(key: str, size: int, sha256: str) -> BlobInfo:
    return BlobInfo(key=key, size=size, sha256=sha256, modified_at=time.time_ns() // 1000)


def _micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)
