"""Datasets and their rows: those registered here, and those that any other dialect has made."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

from msgspec import Struct
from starlette.responses import Response

from quintet.app.datasets.fill import append_with_rows, create_with_rows
from quintet.app.datasets.manage import (
    CreateDataset,
    DatasetFilter,
    check_new,
    delete_dataset,
    find_dataset,
    list_datasets,
    locate_rows,
)
from quintet.app.datasets.rows import load_rows
from quintet.app.datasets.uri import rows_of
from quintet.app.projects.manage import ensure_project
from quintet.dialects.kit.call import Call
from quintet.dialects.llama_stack.binder import binder, null
from quintet.dialects.llama_stack.datasets_convert import PURPOSES, from_dataset
from quintet.domain.data import Dataset, DatasetKind, DatasetSource, Segment
from quintet.domain.errors import Conflict, Invalid, NotFound
from quintet.domain.ids import new_id
from quintet.domain.page import MAX_PAGE, PageRequest

SHOWN_ROWS = 100
"""The most rows that `retrieve` shows in the dataset's source; `iterrows` has all of them."""

WITH_ROWS = tuple(kind for kind in DatasetKind if kind is not DatasetKind.FILES)


class Source(Struct):
    type: str
    rows: list[dict[str, Any]] | None = None
    uri: str | None = None


class RegisterDataset(Struct):
    """`metadata` may be JSON in a string, as an early version of the document had it."""

    purpose: str
    source: Source
    dataset_id: str | None = None
    metadata: dict[str, Any] | str | None = None


class AppendRows(Struct):
    rows: list[dict[str, Any]]


@binder.op("GET /v1beta/datasets")
async def list_all(call: Call) -> dict[str, Any]:
    found: list[Dataset] = []
    after: str | None = None
    while True:
        page = await call.read(list_datasets, DatasetFilter(kinds=WITH_ROWS), PageRequest(MAX_PAGE, after))
        found += page.items
        after = page.next_cursor
        if after is None:
            return {"data": [from_dataset(dataset, []) for dataset in found]}


@binder.op("POST /v1beta/datasets", body=RegisterDataset)
async def register(call: Call) -> dict[str, Any]:
    """Registering the very same dataset again gives the one that is there, with whatever rows it has by now."""
    body: RegisterDataset = call.body
    if body.purpose not in PURPOSES:
        raise Invalid(f"expected one of {', '.join(PURPOSES)}", field="purpose")
    key = body.dataset_id if body.dataset_id is not None else f"dataset-{new_id()}"
    metadata = _metadata(body.metadata)
    origin = await asyncio.to_thread(_origin, body.source)
    there = await _there(call, key)
    if there is not None:
        if (there.purpose, there.origin, there.metadata) != (body.purpose, origin, metadata):
            raise Conflict(f"another dataset '{key}' is there already", field="dataset_id", key=key)
        return await _shown(call, there)
    project = await call.write(ensure_project)
    cmd = CreateDataset(
        name=key, key=key, project_id=project.id, purpose=body.purpose, origin=origin, metadata=metadata,
        source=DatasetSource.URI if body.source.type == "uri" else DatasetSource.ROWS,
    )  # fmt: skip
    # Asked first: nobody has the server fetch anything who may not make a dataset of it.
    await call.read(check_new, cmd)
    rows = await _rows(call, body.source)
    # Rows stay as they came: clients read them back by the names that they wrote.
    made, _ = await asyncio.to_thread(create_with_rows, call.core, call.actor, cmd, rows, canonical=False)
    return await _shown(call, made)


def _metadata(given: dict[str, Any] | str | None) -> dict[str, Any]:
    if not isinstance(given, str):
        return given or {}
    try:
        decoded = json.loads(given)
    except ValueError as error:
        raise Invalid("expected an object", field="metadata") from error
    if not isinstance(decoded, dict):
        raise Invalid("expected an object", field="metadata")
    return decoded


def _origin(source: Source) -> dict[str, Any]:
    """What is remembered of the source: enough to know it again, and no second copy of the rows."""
    if source.type == "rows":
        if source.rows is None:
            raise Invalid("this field is required", field="source.rows")
        return {"type": "rows", "sha256": _digest(json.dumps(source.rows, sort_keys=True))}
    if source.type != "uri":
        raise Invalid("expected rows or uri", field="source.type")
    if not source.uri:
        raise Invalid("this field is required", field="source.uri")
    if source.uri.startswith("data:"):
        return {"type": "uri", "uri": source.uri.partition(",")[0] + ",...", "sha256": _digest(source.uri)}
    return {"type": "uri", "uri": source.uri}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


async def _rows(call: Call, source: Source) -> list[dict[str, Any]]:
    if source.rows is not None:
        return source.rows
    return await rows_of(call.core.ports, source.uri or "")


async def _there(call: Call, key: str) -> Dataset | None:
    """The dataset that this id would mean, in any project."""
    try:
        return await call.read(find_dataset, key)
    except NotFound:
        return None


@binder.op("GET /v1beta/datasets/{dataset_id}")
async def retrieve(call: Call) -> dict[str, Any]:
    return await _shown(call, await call.read(find_dataset, call.path["dataset_id"]))


async def _shown(call: Call, dataset: Dataset) -> dict[str, Any]:
    if dataset.origin.get("type") == "uri" or dataset.kind is DatasetKind.FILES:
        return from_dataset(dataset, [])
    _, segments, end = await call.read(locate_rows, dataset.id, 0, SHOWN_ROWS)
    return from_dataset(dataset, await _load(call, segments, 0, end))


async def _load(call: Call, segments: list[Segment], start: int, end: int) -> list[dict[str, Any]]:
    # Reads blobs: in a thread, and after the transaction that found them.
    return await asyncio.to_thread(load_rows, call.core.ports.blobs, segments, start, end) if segments else []


@binder.op("DELETE /v1beta/datasets/{dataset_id}", status=204)
async def unregister(call: Call) -> None:
    await call.write(delete_dataset, call.path["dataset_id"])


@binder.op("GET /v1beta/datasetio/iterrows/{dataset_id}")
async def iterrows(call: Call) -> dict[str, Any]:
    """Rows from `start_index` on, at most `limit`; all of them where the limit is missing or -1."""
    given = call.path["dataset_id"]
    start, limit = call.query["start_index"] or 0, call.query["limit"]
    if start < 0:
        raise Invalid("rows are numbered from 0", field="start_index")
    if limit is not None and limit < -1:
        raise Invalid("a number of rows is never negative", field="limit")
    dataset, segments, end = await call.read(locate_rows, given, start, None if limit == -1 else limit)
    rows = await _load(call, segments, start, end)
    return {"data": rows, "has_more": end < dataset.records, "url": f"/v1beta/datasetio/iterrows/{given}"}


@binder.op("POST /v1beta/datasetio/append-rows/{dataset_id}", body=AppendRows)
async def append(call: Call) -> Response:
    body: AppendRows = call.body
    dataset_id = call.path["dataset_id"]
    await asyncio.to_thread(append_with_rows, call.core, call.actor, dataset_id, body.rows, canonical=False)
    return null()
