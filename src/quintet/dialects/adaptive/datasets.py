"""Datasets: uploaded in one piece or in parts, or made of recorded completions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

import msgspec

from quintet.app.datasets.from_interactions import FromInteractions, Sample, dataset_from_interactions, preview_rows
from quintet.app.datasets.manage import CreateDataset, DatasetFilter, delete_dataset, find_dataset, list_datasets
from quintet.app.datasets.metrics import create_with_metrics
from quintet.app.datasets.rows import parse_lines
from quintet.app.feedback.lookup import metrics_by_key
from quintet.app.interactions.query import InteractionQuery
from quintet.app.projects.manage import find_project
from quintet.app.uploads.sessions import end_upload, upload_chunks, whole_upload
from quintet.dialects.adaptive import enums, ids, views
from quintet.dialects.adaptive.binder import graph
from quintet.dialects.adaptive.query_convert import to_labels, to_query
from quintet.dialects.adaptive.views import View
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.graphql import UploadedFile, load
from quintet.domain.data import Dataset, DatasetKind, DatasetSource
from quintet.domain.errors import Invalid, NotFound
from quintet.domain.page import MAX_PAGE, PageRequest

KINDS: dict[str, DatasetKind] = {
    "PROMPT": DatasetKind.PROMPT,
    "PROMPT_COMPLETION": DatasetKind.PROMPT_COMPLETION,
    "PROMPT_COMPLETION_FEEDBACK": DatasetKind.PROMPT_COMPLETION_FEEDBACK,
    "PREFERENCE": DatasetKind.PREFERENCE,
}
SOURCES: dict[str, DatasetSource] = {
    "UPLOADED": DatasetSource.UPLOADED,
    "GENERATED": DatasetSource.GENERATED,
    "GENERATING": DatasetSource.GENERATED,
    "FILTERED": DatasetSource.FILTERED,
}
SHOWN = tuple(enums.DATASET_KIND)
PIECE = 1 << 20
PREVIEW = 20
"""How many rows a preview shows; arbitrary, a screen full."""


@graph.query("datasets")
async def datasets(call: Call, _obj: object, *, useCase: str) -> list[View]:
    """Every dataset of the use case that has rows, newest first."""
    project = await call.read(find_project, ids.ref(useCase, ids.USE_CASE))
    wanted = DatasetFilter(project_ids=(project.id,), kinds=SHOWN)
    found: list[Dataset] = []
    after: str | None = None
    while True:
        page = await call.read(list_datasets, wanted, PageRequest(limit=MAX_PAGE, after=after), descending=True)
        found += page.items
        after = page.next_cursor
        if after is None:
            return [views.dataset(d) for d in found]


@graph.query("dataset")
async def dataset(call: Call, _obj: object, *, idOrKey: str, useCase: str) -> View | None:
    try:
        found = await _find(call, idOrKey, useCase)
    except NotFound:
        return None
    return views.dataset(found) if found.kind in SHOWN else None


async def _find(call: Call, ref: str, use_case: str) -> Dataset:
    """A dataset of that use case; NotFound for one of another."""
    project = await call.read(find_project, ids.ref(use_case, ids.USE_CASE))
    found = await call.read(find_dataset, ref, project.id)
    if found.project_id != project.id:
        raise NotFound.of("dataset", ref)
    return found


@graph.mutation("deleteDataset")
async def delete(call: Call, _obj: object, *, idOrKey: str, useCase: str) -> bool:
    await call.write(delete_dataset, (await _find(call, idOrKey, useCase)).id)
    return True


@graph.mutation("createDataset")
async def create(call: Call, _obj: object, *, input: Mapping[str, Any], file: object) -> View:
    if not isinstance(file, UploadedFile):
        raise Invalid("a file must be sent as a part of a multipart request", field="file")
    return await _create(call, input, _pieces(file.file))


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(PIECE):
        yield chunk


@graph.mutation("createDatasetFromMultipartUpload")
async def create_from_upload(call: Call, _obj: object, *, input: Mapping[str, Any]) -> View:
    upload = await call.read(whole_upload, input["uploadSessionId"])
    made = await _create(call, input, upload_chunks(call.core.ports.blobs, upload))
    await call.write(end_upload, upload.id)
    return made


async def _create(call: Call, input: Mapping[str, Any], chunks: Iterable[bytes]) -> View:
    project = await call.read(find_project, ids.ref(input["useCase"], ids.USE_CASE))
    source = input.get("source")
    wanted = CreateDataset(
        name=input["name"], key=input.get("key"), project_id=project.id,
        source=SOURCES[source] if source else DatasetSource.UPLOADED,
    )  # fmt: skip
    made = await asyncio.to_thread(create_with_metrics, call.core, call.actor, wanted, parse_lines(chunks))
    return views.dataset(made)


@graph.mutation("createDatasetFromFilters")
async def create_from_filters(call: Call, _obj: object, *, input: Mapping[str, Any]) -> View:
    made = await asyncio.to_thread(dataset_from_interactions, call.core, call.actor, to_selection(input))
    return views.dataset(made)


@graph.query("previewDatasetFromFilters")
async def preview(call: Call, _obj: object, *, input: Mapping[str, Any]) -> str:
    """The first rows as JSON lines."""
    rows = await asyncio.to_thread(preview_rows, call.core, call.actor, to_selection(input), PREVIEW)
    return "\n".join(to_json(row) for row in rows)


def to_json(row: Mapping[str, Any]) -> str:
    return msgspec.json.encode(row).decode()


def to_selection(input: Mapping[str, Any]) -> FromInteractions:
    """A DatasetCreateFromFilters; the use case of the dataset is that of its completions."""
    use_case = ids.ref(input["useCase"], ids.USE_CASE)
    sample = input.get("sampleConfig") or {}
    metrics = input.get("metrics")
    return FromInteractions(
        name=input["name"],
        key=input.get("key"),
        kind=KINDS[input["kind"]],
        project=use_case,
        chosen=_chosen(input["completionQuery"], use_case),
        sample=Sample(sample.get("selectionType", "ALL").lower()),
        size=sample.get("sampleSize"),
        metrics=None if metrics is None else tuple(metrics),
        feedback_labels=to_labels((input.get("feedbackFilters") or {}).get("labels")),
    )


def _chosen(given: Mapping[str, Any], use_case: str) -> Sequence[InteractionQuery]:
    if (selection := given.get("fromSelection")) is not None:
        return [InteractionQuery(use_case, ids=_completions(selection["include"]))]
    if (filters := given.get("fromFilters")) is not None:
        return [replace(_own(filters["filters"], use_case), excluded=_completions(filters["exclude"]))]
    groups = given["fromGroups"]
    base = _own(groups["filters"], use_case)
    return [_group(base, groups["grouping"], g["groupId"], g["selection"]) for g in groups["groups"]]


def _own(filters: Mapping[str, Any], use_case: str) -> InteractionQuery:
    """The filter, which may not reach into another use case than the dataset's."""
    query = to_query(filters)
    if query.project != use_case:
        raise Invalid("the completions and the dataset are of the same use case", field="useCase")
    return query


def _group(base: InteractionQuery, grouping: str, group: str, selection: Mapping[str, Any]) -> InteractionQuery:
    one = replace(base, prompt_hash=group) if grouping == "PROMPT" else replace(base, models=(group,))
    if (only := selection.get("selectOnly")) is not None:
        return replace(one, ids=_completions(only))
    return replace(one, excluded=_completions(selection.get("exclude") or ()))


def _completions(given: Iterable[str]) -> tuple[Any, ...]:
    return tuple(ids.known(text, ids.COMPLETION) for text in given)


# -- what a dataset shows -------------------------------------------------------------------------------------


@graph.field("Dataset", "metricsUsage")
async def metrics_usage(call: Call, obj: View) -> list[View]:
    shown: list[View] = []
    for key, counts in sorted(obj["self"].metrics_usage.items()):
        metric = await load(call, metrics_by_key, key)
        if metric is not None:
            shown.append(
                {
                    "metric": views.metric(metric),
                    "feedbackCount": counts.get("feedbacks", 0),
                    "comparisonCount": counts.get("comparisons", 0),
                }
            )
    return shown
