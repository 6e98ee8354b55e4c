"""Upload sessions: a large file comes in numbered parts, then somebody takes the whole.

Parts lie in the blob store before the session says that they are there, so a part that was acknowledged can be
read. Sessions that nobody finished are collected when the next one starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx, WriteTx
from quintet.app.datasets.rows import blob_chunks
from quintet.app.leftovers import leave
from quintet.domain.data import Upload
from quintet.domain.errors import Invalid, NotFound, Precondition
from quintet.domain.identity import Permission
from quintet.domain.ids import Id, Kind, from_uuid, new_id, parse_id
from quintet.ports.blobs import Blobs
from quintet.storage import uploads as store

MAX_PARTS = 10_000
"""As object stores have it; clients choose the size of a part by it."""

STALE_US = 24 * 3_600 * 1_000_000
"""How long an unfinished upload is kept: clients that fail do not tell, and nobody uploads one file for a day."""


def start_upload(ctx: Ctx[WriteTx], parts: int, content_type: str = "") -> Upload:
    """A session for a file of `parts` parts."""
    authorize(ctx, Permission.DATASET_WRITE)
    if not 1 <= parts <= MAX_PARTS:
        raise Invalid(f"an upload has 1 to {MAX_PARTS} parts", field="total_parts_count")
    for stale in store.older_than(ctx.tx, ctx.actor.space_id, ctx.now - STALE_US):
        _forget(ctx, stale)
    item = Upload(new_id(), ctx.actor.space_id, ctx.actor.user_id, ctx.now, content_type[:200], parts)
    store.insert_upload(ctx.tx, item)
    return item


def find_upload(ctx: Ctx[ReadTx], ref: str) -> Upload:
    """A session of the actor by id in any spelling."""
    authorize(ctx, Permission.DATASET_WRITE)
    ident = parse_id(ref) or from_uuid(ref, Kind.UPLOAD)
    found = store.find_upload(ctx.tx, ctx.actor.space_id, ident) if ident else None
    return _own(ctx, found, ref)


def _own(ctx: Ctx[ReadTx], found: Upload | None, ref: str) -> Upload:
    if found is None or found.created_by != ctx.actor.user_id:
        raise NotFound.of("upload session", ref)
    return found


def check_part(ctx: Ctx[ReadTx], ref: str, number: int) -> str:
    """Where the bytes of a part go; Invalid for a number that the session does not have."""
    item = find_upload(ctx, ref)
    if not 1 <= number <= item.parts:
        raise Invalid(f"the parts of this upload are numbered 1 to {item.parts}", field="part_number")
    return part_key(item.id, number)


def part_key(upload_id: Id, number: int) -> str:
    return f"uploads/{upload_id}/{number:05d}"


def part_arrived(ctx: Ctx[WriteTx], ref: str, number: int) -> Upload:
    """Writes down that a part lies in the store; one that comes again replaces the first."""
    known = find_upload(ctx, ref)
    item = _own(ctx, store.find_upload(ctx.tx, ctx.actor.space_id, known.id, lock=True), ref)
    if number in item.done:
        return item
    changed = replace(item, done=tuple(sorted({*item.done, number})))
    store.save_upload(ctx.tx, changed)
    return changed


def whole_upload(ctx: Ctx[ReadTx], ref: str) -> Upload:
    """The session, if every part is there; Precondition names the first that is missing."""
    item = find_upload(ctx, ref)
    missing = next((n for n in range(1, item.parts + 1) if n not in set(item.done)), None)
    if missing is not None:
        raise Precondition(f"part {missing} of {item.parts} has not been uploaded", field="uploadSessionId")
    return item


def upload_chunks(blobs: Blobs, item: Upload) -> Iterator[bytes]:
    """The file, piece by piece, in the order of its parts."""
    for number in range(1, item.parts + 1):
        yield from blob_chunks(blobs, part_key(item.id, number))


def end_upload(ctx: Ctx[WriteTx], ref: str) -> bool:
    """Forgets a session and its parts; false where it was gone already."""
    try:
        item = find_upload(ctx, ref)
    except NotFound:
        return False
    _forget(ctx, item)
    return True


def _forget(ctx: Ctx[WriteTx], item: Upload) -> None:
    store.delete_upload(ctx.tx, item.id)
    leave(ctx, prefixes=[f"uploads/{item.id}"])
