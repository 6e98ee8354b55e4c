"""Benchmarks: a dataset and the scoring functions that are applied to answers to it."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from starlette.responses import Response

from quintet.app.datasets.manage import get_datasets
from quintet.app.evaluation.benchmarks import (
    CreateBenchmark,
    create_benchmark,
    delete_benchmark,
    find_benchmark,
    list_benchmarks,
)
from quintet.dialects.kit.call import Call
from quintet.dialects.llama_stack.binder import DIALECT, binder, null
from quintet.domain.data import Dataset
from quintet.domain.evaluation import Benchmark
from quintet.domain.ids import Id
from quintet.domain.page import MAX_PAGE, PageRequest

PROVIDER = "quintet"


class RegisterBenchmark(Struct):
    benchmark_id: str
    dataset_id: str
    scoring_functions: list[str]
    provider_benchmark_id: str | None = None
    provider_id: str | None = None
    metadata: dict[str, Any] | None = None


@binder.op("GET /v1alpha/eval/benchmarks")
async def list_all(call: Call) -> dict[str, Any]:
    found: list[Benchmark] = []
    after: str | None = None
    while True:
        page = await call.read(list_benchmarks, PageRequest(MAX_PAGE, after))
        found += page.items
        after = page.next_cursor
        if after is None:
            break
    datasets = await call.read(get_datasets, [b.dataset_id for b in found if b.dataset_id is not None])
    return {"data": [from_benchmark(b, datasets) for b in found]}


@binder.op("POST /v1alpha/eval/benchmarks", body=RegisterBenchmark)
async def register(call: Call) -> Response:
    """The very same benchmark may be registered again."""
    body: RegisterBenchmark = call.body
    given = {"provider_benchmark_id": body.provider_benchmark_id, "provider_id": body.provider_id}
    mine = {name: value for name, value in given.items() if value is not None}
    await call.write(
        create_benchmark,
        CreateBenchmark(
            name=body.benchmark_id, key=body.benchmark_id, dataset=body.dataset_id,
            scoring=tuple(body.scoring_functions), metadata=body.metadata or {},
            detail={DIALECT: mine} if mine else {},
        ),
    )  # fmt: skip
    return null()


@binder.op("GET /v1alpha/eval/benchmarks/{benchmark_id}")
async def retrieve(call: Call) -> dict[str, Any]:
    found = await call.read(find_benchmark, call.path["benchmark_id"])
    wanted = [found.dataset_id] if found.dataset_id is not None else []
    return from_benchmark(found, await call.read(get_datasets, wanted))


@binder.op("DELETE /v1alpha/eval/benchmarks/{benchmark_id}", status=204)
async def unregister(call: Call) -> None:
    await call.write(delete_benchmark, call.path["benchmark_id"])


def from_benchmark(item: Benchmark, datasets: dict[Id, Dataset]) -> dict[str, Any]:
    mine = item.detail.get(DIALECT, {})
    dataset = datasets.get(item.dataset_id) if item.dataset_id is not None else None
    return {
        "identifier": item.key,
        "provider_id": mine.get("provider_id", PROVIDER),
        "provider_resource_id": mine.get("provider_benchmark_id", item.key),
        "type": "benchmark",
        "dataset_id": dataset.key if dataset else "",
        "scoring_functions": list(item.scoring),
        "metadata": item.metadata,
    }
