"""The cost allocation: what was spent in a window, split as asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from quintet.app.billing.cost import CLUSTER, DIMENSIONS, Cost, Values, allocate
from quintet.dialects.domino.binder import binder
from quintet.dialects.domino.envelope import when
from quintet.dialects.domino.windows import daily, parse_window
from quintet.dialects.kit.call import Call
from quintet.domain.errors import Invalid

LABEL = "dominodatalab.com/"
_FIELDS = {"projectid": "project-id", "projectname": "project-name", "billingtag": "billing-tag"}
_TERM = re.compile(r'\s*(?P<field>[A-Za-z]+(?:\[[^\]]+\])?)\s*(?P<not>!?):\s*(?P<values>"[^"]*"(?:\s*,\s*"[^"]*")*)\s*')


@binder.op("GET /api/cost/v1/allocation")
async def allocation(call: Call) -> object:
    """Without `accumulate` there is a row for each day and group."""
    query = call.query
    since, until = parse_window(query["window"], call.core.clock())
    by = parse_aggregate(query.get("aggregate") or CLUSTER)
    windows = [(since, until)] if query.get("accumulate") else daily(since, until)
    found = await call.read(allocate, windows, by, parse_filter(query.get("filter") or ""))
    return {"data": [row_shown(cost, by) for costs in found for cost in costs]}


def parse_aggregate(text: str) -> list[str]:
    """The dimensions that `aggregate` names, joined by commas."""
    return [_dimension(part.strip(), "aggregate") for part in text.split(",")]


def _dimension(text: str, field: str) -> str:
    name = text.removeprefix("label:").removeprefix(LABEL) if text.startswith("label:") else text
    name = _FIELDS.get(name.lower(), name)
    if name not in DIMENSIONS:
        labels = ", ".join(f"label:{LABEL}{d}" for d in DIMENSIONS if d not in (CLUSTER, "model"))
        raise Invalid(f"'{text[:100]}' is not known; there are: cluster, model, {labels}", field=field)
    return name


def parse_filter(text: str) -> Callable[[Values], bool]:
    """`field:"a","b"` terms joined by `+`, all of which must hold; `!:` turns one round. Invalid names `filter`."""
    terms: list[tuple[str, frozenset[str], bool]] = []
    for part in re.split(r'\+(?=(?:[^"]*"[^"]*")*[^"]*$)', text) if text.strip() else ():
        found = _TERM.fullmatch(part)
        if found is None:
            raise Invalid('a filter is field:"value", several are joined by +', field="filter")
        name = found["field"]
        if name.startswith("label["):
            name = f"label:{name[6:-1]}"
        values = frozenset(re.findall(r'"([^"]*)"', found["values"]))
        terms.append((_dimension(name, "filter"), values, bool(found["not"])))
    return lambda values: all((values[name] in wanted) != negated for name, wanted, negated in terms)


def row_shown(cost: Cost, by: Sequence[str]) -> dict[str, Any]:
    """CostAllocationV1. Tokens have no column of their own there: they are in `totalCost`, and in the labels."""
    hours = (cost.until - cost.since) / 3_600_000_000
    labels = {f"{LABEL}{name}": value for name, value in zip(by, cost.group, strict=True) if name != CLUSTER}
    cores, gpus = cost.core_hours / hours, cost.gpu_hours / hours
    return {
        "name": "/".join(cost.group),
        "window": {"start": when(cost.since), "end": when(cost.until)},
        "properties": {"cluster": "quintet", "labels": labels},
        "labels": {
            **labels,
            "calls": str(cost.calls),
            "promptTokens": str(cost.prompt_tokens),
            "completionTokens": str(cost.completion_tokens),
            "tokenCost": f"{cost.token_cost:.6f}",
        },
        "cpuCores": cores,
        "cpuCoreHours": cost.core_hours,
        "cpuCoreRequestAverage": cores,
        "cpuCoreUsageAverage": cores,
        "cpuCost": cost.run_cost,
        "cpuCostAdjustment": 0.0,
        "cpuEfficincy": 1.0 if cost.core_hours else 0.0,
        "discount": 0.0,
        "gpuCount": gpus,
        "gpuHours": cost.gpu_hours,
        "gpucost": 0.0,
        "gpucostAdjustment": 0.0,
        "loadBalancerCost": 0.0,
        "loadBalancerCostAdjustment": 0.0,
        "nodeType": "",
        "pv": {},
        "ramCost": 0.0,
        "ramCostAdjustment": 0.0,
        "totalCost": cost.total,
    }
