"""Events out: charts, points, logs, plots and images of tasks.

Clients page with a `scroll_id`. Ours is a cursor: it says where the next page begins, so nothing is kept for it
here and it never expires.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from quintet.app.events import read
from quintet.app.runs.read import get_runs
from quintet.dialects.clearml import ids
from quintet.dialects.clearml.binder import endpoint
from quintet.dialects.clearml.events_convert import (
    MetricVariants,
    ScalarKey,
    event_document,
    event_type,
    filters,
    histogram,
    log_document,
    scalar_document,
    single_document,
)
from quintet.dialects.clearml.tasks_convert import last_metrics
from quintet.dialects.kit.call import Call
from quintet.domain.errors import Invalid
from quintet.domain.events import EventType, RunEvent
from quintet.domain.ids import Id, Kind
from quintet.domain.page import decode_cursor, encode_cursor

LOG_BATCH, EVENT_BATCH = 5_000, 500
MAX_BATCH = 10_000
END = "end"
"""The cursor behind the last page: clients ask once more, and get an empty page."""


def _batch(given: int | None, usual: int) -> int:
    if given is not None and given < 1:
        raise Invalid("expected 1 or more", field="batch_size")
    return min(given or usual, MAX_BATCH)


# -- scalars ------------------------------------------------------------------------------------------------------


class Histogram(msgspec.Struct):
    task: str
    samples: int | None = None
    key: ScalarKey | None = None
    metrics: list[MetricVariants] | None = None
    model_events: bool | None = None


@endpoint("events.scalar_metrics_iter_histogram", body=Histogram)
async def scalar_metrics_iter_histogram(call: Call) -> dict[str, Any]:
    body: Histogram = call.body
    if body.model_events:
        return {}
    key: ScalarKey = body.key or "iter"
    curves = await call.read(
        read.sample_curves, [ids.parse(body.task, Kind.RUN)], filters(body.metrics),
        samples=body.samples or 2_000, axis="iter" if key == "iter" else "ts",
    )  # fmt: skip
    return histogram(curves, key)


class MultiHistogram(msgspec.Struct):
    tasks: list[str]
    samples: int | None = None
    key: ScalarKey | None = None
    metrics: list[MetricVariants] | None = None
    model_events: bool | None = None


@endpoint("events.multi_task_scalar_metrics_iter_histogram", body=MultiHistogram)
async def multi_task_histogram(call: Call) -> dict[str, Any]:
    body: MultiHistogram = call.body
    run_ids = [ids.parse(text, Kind.RUN) for text in dict.fromkeys(body.tasks)]
    key: ScalarKey = body.key or "iter"
    names = {run.id: run.name for run in (await call.read(get_runs, run_ids)).values()}
    curves = await call.read(
        read.sample_curves, run_ids, filters(body.metrics), samples=body.samples or 2_000,
        axis="iter" if key == "iter" else "ts",
    )  # fmt: skip
    out: dict[str, dict[str, dict[str, Any]]] = {}
    for curve in curves:
        line = histogram([curve], key)[curve.metric][curve.variant]
        place = out.setdefault(curve.metric, {}).setdefault(curve.variant, {})
        place[ids.task_id(curve.run_id)] = {**line, "name": names.get(curve.run_id, "")}
    return {"metrics": out}


class TaskIds(msgspec.Struct):
    tasks: list[str]
    metrics: list[MetricVariants] | None = None
    model_events: bool | None = None


@endpoint("events.get_task_single_value_metrics", body=TaskIds)
async def get_task_single_value_metrics(call: Call) -> dict[str, Any]:
    body: TaskIds = call.body
    run_ids = [ids.parse(text, Kind.RUN) for text in dict.fromkeys(body.tasks)]
    runs = await call.read(get_runs, run_ids)
    values = await call.read(read.get_single_values, run_ids)
    wanted = filters(body.metrics)
    kept = [v for v in values if not wanted or any(f.takes(v.metric, v.variant) for f in wanted)]
    return {
        "tasks": [
            {
                "task": ids.task_id(run_id),
                "task_name": runs[run_id].name if run_id in runs else "",
                "values": [single_document(v) for v in kept if v.run_id == run_id],
            }
            for run_id in run_ids
            if any(v.run_id == run_id for v in kept)
        ]
    }


class TaskId(msgspec.Struct):
    task: str


@endpoint("events.get_task_latest_scalar_values", body=TaskId)
async def get_task_latest_scalar_values(call: Call) -> dict[str, Any]:
    """The last value of each metric, grouped by metric."""
    run_id = ids.parse(call.body.task, Kind.RUN)
    rollups = (await call.read(read.get_rollups, [run_id]))[run_id]
    metrics = []
    for group in last_metrics(rollups).values():
        variants = list(group.values())
        metrics.append(
            {
                "name": variants[0]["metric"],
                "variants": [
                    {"name": v["variant"], "last_value": v["value"], "last_100_value": v["mean_value"]}
                    for v in variants
                ],
            }
        )
    return {"metrics": metrics, "last_iter": max((r.last_iter for r in rollups if not r.is_single), default=0)}


@endpoint("events.get_scalar_metrics_and_variants", body=TaskId)
async def get_scalar_metrics_and_variants(call: Call) -> dict[str, Any]:
    run_id = ids.parse(call.body.task, Kind.RUN)
    out: dict[str, list[str]] = {}
    for one in (await call.read(read.get_rollups, [run_id]))[run_id]:
        out.setdefault(one.metric, []).append(one.variant)
    return {"metrics": {metric: sorted(variants) for metric, variants in sorted(out.items())}}


# -- logs ---------------------------------------------------------------------------------------------------------


class TaskLog(msgspec.Struct):
    task: str
    batch_size: int | None = None
    navigate_earlier: bool | None = None
    from_timestamp: int | float | None = None
    order: Literal["asc", "desc"] | None = None


@endpoint("events.get_task_log", body=TaskLog)
async def get_task_log(call: Call) -> dict[str, Any]:
    """A page of the log, newest line first unless `order` is asc; pages go back in time unless told otherwise."""
    body: TaskLog = call.body
    run_id = ids.parse(body.task, Kind.RUN)
    earlier = body.navigate_earlier is not False
    beyond = _beyond(body.from_timestamp, earlier=earlier)
    page = await call.read(
        read.read_log, run_id, limit=_batch(body.batch_size, LOG_BATCH), beyond=beyond, earlier=earlier
    )
    lines = [log_document(run_id, line) for line in page.lines]
    # Newest first while going back, oldest first while going forward, unless the client says how.
    if (body.order or ("desc" if earlier else "asc")) == "desc":
        lines.reverse()
    return {"events": lines, "returned": len(lines), "total": page.total}


def _beyond(ms: float | None, *, earlier: bool) -> int | None:
    """The time in µs that lines must lie beyond. A millisecond is the finest that clients see, so all of the
    microseconds within it count as seen."""
    if ms is None:
        return None
    return int(ms) * 1_000 if earlier else int(ms) * 1_000 + 999


# -- events -------------------------------------------------------------------------------------------------------


class TaskEvents(msgspec.Struct):
    task: str
    event_type: str | None = None
    order: Literal["asc", "desc"] | None = None
    scroll_id: str | None = None
    batch_size: int | None = None
    metrics: list[MetricVariants] | None = None
    model_events: bool | None = None


@endpoint("events.get_task_events", body=TaskEvents)
async def get_task_events(call: Call) -> dict[str, Any]:
    """Events by iteration; all of the last iteration of a page are on it."""
    body: TaskEvents = call.body
    run_id = ids.parse(body.task, Kind.RUN)
    limit = _batch(body.batch_size, EVENT_BATCH)
    if body.scroll_id == END or body.model_events:
        return {"events": [], "returned": 0, "total": 0, "scroll_id": END}
    after = _after(body.scroll_id)
    newest_first = body.order == "desc"
    kind = event_type(body.event_type or "training_stats_scalar")
    if body.event_type == "log":
        return await _all_log(call, run_id, limit, after, newest_first=newest_first)
    if kind is None:
        points = await call.read(
            read.points_in_order, run_id, filters(body.metrics), limit=limit, after=after, newest_first=newest_first
        )
        found = [scalar_document(run_id, row) for row in points.rows]
        return _events(found, points.total, points.next_iter)
    page, following = await call.read(
        read.page_events, run_id, [kind], filters(body.metrics), limit=limit, after=after, newest_first=newest_first
    )
    return _events([event_document(e) for e in page.items], page.total or len(page.items), following)


async def _all_log(call: Call, run_id: Id, limit: int, after: int | None, *, newest_first: bool) -> dict[str, Any]:
    page = await call.read(read.read_log, run_id, limit=limit, beyond=after, earlier=newest_first)
    lines = list(reversed(page.lines)) if newest_first else list(page.lines)
    following = lines[-1].ts if lines and page.more else None
    return _events([log_document(run_id, line) for line in lines], page.total, following)


def _events(found: Sequence[dict[str, Any]], total: int, following: int | None) -> dict[str, Any]:
    cursor = END if following is None else encode_cursor(following)
    return {"events": found, "returned": len(found), "total": total, "scroll_id": cursor}


def _after(scroll_id: str | None) -> int | None:
    if not scroll_id:
        return None
    try:
        (after,) = decode_cursor(scroll_id, 1)
    except Invalid as error:
        raise Invalid("this scroll id is not one that this server gave", field="scroll_id", subcode=1104) from error
    if not isinstance(after, int):
        raise Invalid("this scroll id is not one that this server gave", field="scroll_id", subcode=1104)
    return after


# -- plots and images -----------------------------------------------------------------------------------------------


class TaskPlots(msgspec.Struct):
    task: str
    iters: int | None = None
    scroll_id: str | None = None
    metrics: list[MetricVariants] | None = None
    no_scroll: bool | None = None
    model_events: bool | None = None


@endpoint("events.get_task_plots", body=TaskPlots)
async def get_task_plots(call: Call) -> dict[str, Any]:
    """The plots of the last iterations of each metric and variant, all at once."""
    body: TaskPlots = call.body
    if body.model_events:
        return {"plots": [], "returned": 0, "total": 0, "scroll_id": None}
    found = await call.read(
        read.last_events, [ids.parse(body.task, Kind.RUN)], [EventType.PLOT], filters(body.metrics),
        iterations=_iterations(body.iters),
    )  # fmt: skip
    plots = [event_document(e) for e in found]
    return {"plots": plots, "returned": len(plots), "total": len(plots), "scroll_id": None}


def _iterations(given: int | None) -> int:
    if given is not None and given < 1:
        raise Invalid("expected 1 or more", field="iters")
    return min(given or 1, MAX_BATCH)


class TaskMetric(msgspec.Struct):
    task: str
    metric: str | None = None
    variants: list[str] | None = None


class Scroll(msgspec.Struct):
    metrics: list[TaskMetric]
    iters: int | None = None
    navigate_earlier: bool | None = None
    refresh: bool | None = None
    scroll_id: str | None = None
    model_events: bool | None = None


@endpoint("events.debug_images", min_version="2.7", body=Scroll)
async def debug_images(call: Call) -> dict[str, Any]:
    return await _scrolled(call, EventType.IMAGE)


@endpoint("events.plots", body=Scroll)
async def plots(call: Call) -> dict[str, Any]:
    return await _scrolled(call, EventType.PLOT)


async def _scrolled(call: Call, kind: EventType) -> dict[str, Any]:
    """The next iterations of each task; the cursor holds, in the order of the tasks, how far each one is."""
    body: Scroll = call.body
    by_task: dict[str, list[TaskMetric]] = {}
    for one in body.metrics:
        by_task.setdefault(one.task, []).append(one)
    reached: dict[str, int] = {} if body.refresh else _reached(body.scroll_id)
    newer = body.navigate_earlier is False
    out: list[dict[str, Any]] = []
    for task, wanted in by_task.items():
        run_id = ids.parse(task, Kind.RUN)
        chosen = filters([MetricVariants(m.metric, m.variants) for m in wanted if m.metric])
        found = await call.read(
            read.events_by_iteration, run_id, [kind], chosen, iterations=_iterations(body.iters),
            beyond=reached.get(task), newer=newer and task in reached,
        )  # fmt: skip
        if found:
            reached[task] = max(e.iter for e in found) if newer else min(e.iter for e in found)
        out.append({"task": task, "iterations": _by_iteration(found)})
    position = [part for task in by_task for part in (task, reached.get(task))]
    return {"metrics": out, "scroll_id": encode_cursor(*position)}


def _reached(scroll_id: str | None) -> dict[str, int]:
    if not scroll_id:
        return {}
    # A cursor of ours holds a task and an iteration in turn, so that it says itself how long it is.
    for pairs in range(1, 101):
        try:
            values = decode_cursor(scroll_id, 2 * pairs)
        except Invalid:
            continue
        steps = zip(values[::2], values[1::2], strict=True)
        return {task: at for task, at in steps if isinstance(task, str) and isinstance(at, int)}
    raise Invalid("this scroll id is not one that this server gave", field="scroll_id", subcode=1104)


def _by_iteration(found: Sequence[RunEvent]) -> list[dict[str, Any]]:
    groups: dict[int, list[dict[str, Any]]] = {}
    for event in found:
        groups.setdefault(event.iter, []).append(event_document(event))
    return [{"iter": at, "events": events} for at, events in sorted(groups.items(), reverse=True)]
