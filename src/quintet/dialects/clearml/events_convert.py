"""What runs reported, as the events and charts that clients expect."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any, Literal

import msgspec

from quintet.dialects.clearml import ids
from quintet.dialects.kit.times import to_ms, to_rfc3339
from quintet.domain.errors import Invalid
from quintet.domain.events import EventType, LogLine, RunEvent
from quintet.domain.ids import Id
from quintet.domain.runs import JsonObject
from quintet.domain.series import Curve, MetricFilter, PointRow, SingleValue

ScalarKey = Literal["iter", "timestamp", "iso_time"]


class MetricVariants(msgspec.Struct):
    metric: str
    variants: list[str] | None = None


TYPES: dict[str, EventType] = {
    "plot": EventType.PLOT,
    "training_debug_image": EventType.IMAGE,
    "training_stats_vector": EventType.VECTOR,
}
NAMES = {type_: name for name, type_ in TYPES.items()}


def filters(given: Sequence[MetricVariants] | None) -> list[MetricFilter]:
    return [MetricFilter(one.metric, tuple(one.variants or ())) for one in given or ()]


def event_type(name: str | None) -> EventType | None:
    """None for scalars and logs, which are kept apart. Invalid for a word that is no type of event."""
    found = TYPES.get((name or "").replace(" ", "_"))
    if found is None and name not in ("training_stats_scalar", "log"):
        raise Invalid(f"'{name}' is no type of event", field="event_type")
    return found


def event_document(event: RunEvent) -> JsonObject:
    out: JsonObject = {
        "task": ids.task_id(event.run_id), "type": NAMES[event.type], "iter": event.iter, "metric": event.metric,
        "variant": event.variant, "timestamp": to_ms(event.ts), "worker": "",
    }  # fmt: skip
    match event.type:
        case EventType.PLOT:
            out["plot_str"] = event.data
        case EventType.IMAGE:
            out |= {"key": event.key, "url": event.url}
        case EventType.VECTOR:
            out["values"] = msgspec.json.decode(event.data or "[]")
    return out


def log_document(run_id: Id, line: LogLine) -> JsonObject:
    return {
        "task": ids.task_id(run_id), "type": "log", "timestamp": to_ms(line.ts), "level": line.level,
        "worker": line.worker, "msg": line.msg,
    }  # fmt: skip


def scalar_document(run_id: Id, row: PointRow) -> JsonObject:
    metric, variant, iteration, ts, value = row
    return {
        "task": ids.task_id(run_id), "type": "training_stats_scalar", "metric": metric, "variant": variant,
        "iter": iteration, "timestamp": to_ms(ts), "value": finite(value),
    }  # fmt: skip


def finite(value: float) -> float | str:
    """Numbers that JSON lacks as the words that clients read them by."""
    if isfinite(value):
        return value
    return "NaN" if value != value else ("Infinity" if value > 0 else "-Infinity")


def x_axis(curve: Curve, key: ScalarKey) -> list[Any]:
    match key:
        case "iter":
            return list(curve.x)
        case "timestamp":
            return [to_ms(x) for x in curve.x]
        case "iso_time":
            return [to_rfc3339(x, digits=3) for x in curve.x]


def histogram(curves: Iterable[Curve], key: ScalarKey) -> JsonObject:
    """`{metric: {variant: {name, x, y}}}`."""
    out: dict[str, dict[str, Any]] = {}
    for curve in curves:
        line: JsonObject = {"name": curve.variant, "x": x_axis(curve, key), "y": list(curve.y)}
        if curve.x_label:
            line["x_axis_label"] = curve.x_label
        out.setdefault(curve.metric, {})[curve.variant] = line
    return out


def single_document(value: SingleValue) -> JsonObject:
    return {
        "metric": value.metric, "variant": value.variant, "value": finite(value.value), "timestamp": to_ms(value.ts)
    }  # fmt: skip
