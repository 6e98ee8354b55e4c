"""Datasets with their rows in one call: write the blobs, then the transaction, and clean up what it refused.

These functions block and are for worker threads (`await run_in_thread(create_with_rows, core, ...)`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from quintet.app import leftovers
from quintet.app.core import Core
from quintet.app.datasets.manage import (
    CreateDataset,
    append_rows,
    check_append,
    check_new,
    create_dataset,
    locate_rows,
)
from quintet.app.datasets.rows import StoredRows, blob_chunks, load_rows, parse_lines, prepare_rows
from quintet.domain.data import Dataset, DatasetKind
from quintet.domain.errors import Conflict
from quintet.domain.identity import Actor
from quintet.domain.ids import Id, new_id

BATCH = 500
"""How many rows `iterate_rows` reads at a time: bounds memory, and the age of the view that it reads from."""


def create_with_rows(
    core: Core,
    actor: Actor,
    cmd: CreateDataset,
    rows: Iterable[Mapping[str, Any]],
    *,
    canonical: bool = True,
    strict: bool = False,
) -> tuple[Dataset, StoredRows]:
    """A new dataset of these rows, and what was found in them (its metrics). Errors as of its two halves.

    With a kind in `cmd` each row must be of it; `canonical` and `strict` as in `prepare_rows`.
    """
    core.read_now(actor, check_new, cmd)
    stored = prepare_rows(
        core.ports.blobs, new_id(), rows, kind=cmd.kind, canonical=canonical, strict=strict
    )
    try:
        return core.write_now(actor, create_dataset, cmd, stored), stored
    except BaseException:
        leftovers.remove(core.ports.blobs, keys=stored.keys)
        raise


def create_from_blob(
    core: Core, actor: Actor, cmd: CreateDataset, key: str, *, canonical: bool = True, strict: bool = False
) -> tuple[Dataset, StoredRows]:
    """As `create_with_rows`, of a JSON-lines blob that was uploaded before; the blob itself stays."""
    rows = parse_lines(blob_chunks(core.ports.blobs, key))
    return create_with_rows(core, actor, cmd, rows, canonical=canonical, strict=strict)


def append_with_rows(
    core: Core,
    actor: Actor,
    ref: str,
    rows: Iterable[Mapping[str, Any]],
    *,
    kind: DatasetKind | None = None,
    canonical: bool = True,
    strict: bool = False,
    project_id: Id | None = None,
) -> Dataset:
    """Adds rows at the end of a dataset and returns it as it is then.

    When others add at the same time, folding small segments may have to be given up; the rows never are.
    """
    dataset, last = core.read_now(actor, check_append, ref, project_id)
    kept = list(rows)
    for before in (last, ()):
        stored = prepare_rows(
            core.ports.blobs, dataset.id, kept, kind=kind, canonical=canonical, strict=strict, before=before
        )
        try:
            return core.write_now(actor, append_rows, stored)
        except BaseException as error:
            leftovers.remove(core.ports.blobs, keys=stored.keys)
            if not isinstance(error, Conflict) or not stored.folded:
                raise
    raise Conflict("other rows were added at the same time; try again", dataset=dataset.id)


def iterate_rows(
    core: Core, actor: Actor, ref: str, start: int = 0, end: int | None = None
) -> Iterator[dict[str, Any]]:
    """The rows from `start` up to and without `end`, read as they are asked for."""
    while end is None or start < end:
        limit = BATCH if end is None else min(BATCH, end - start)
        _, segments, stop = core.read_now(actor, locate_rows, ref, start, limit)
        rows = load_rows(core.ports.blobs, segments, start, stop)
        if not rows:
            return
        yield from rows
        start += len(rows)
