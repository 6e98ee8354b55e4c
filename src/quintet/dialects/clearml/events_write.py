"""Events in: the fastest way into the server, so a batch is decoded and grouped in as few passes as it takes.

A line is decoded into a struct of the fields that matter, and each scalar goes on as a plain row. Only where the
fast decoding of a batch fails are its lines looked at one by one, to say how many are wrong and to keep the rest.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import msgspec

from quintet.app.events.report import ReportResult, RunReport, report_many
from quintet.dialects.clearml import ids
from quintet.dialects.clearml.binder import endpoint
from quintet.dialects.kit.body import decode_json_lines, invalid
from quintet.dialects.kit.call import Call
from quintet.domain.errors import Invalid
from quintet.domain.events import EventType, LogLine, NewEvent
from quintet.domain.ids import Id, Kind, from_hex32
from quintet.domain.series import PointRow, SeriesKey

BODY_LIMIT = 64 << 20
"""64 MiB of events in one request: clients split at 15 MiB, importers need not."""

SCALAR = "training_stats_scalar"


class Event(msgspec.Struct, gc=False):
    """One line of a batch; what a kind of event has no use for is ignored."""

    type: str = ""
    task: str = ""
    iter: int | None = None
    metric: str | None = None
    variant: str | None = None
    value: float | None = None
    timestamp: int | float | None = None
    x_axis_label: str | None = None
    allow_locked: bool | None = None
    model_event: bool | None = None
    level: str | None = None
    msg: str | None = None
    worker: str | None = None
    plot_str: str | None = None
    key: str | None = None
    url: str | None = None
    values: list[float] | None = None
    ts: int | float | None = None


_event = msgspec.json.Decoder(Event)
_object = msgspec.json.Decoder(dict[str, Any])


@dataclass(slots=True)
class _Gathered:
    """What one task reports in a batch."""

    points: list[PointRow] = field(default_factory=list)
    lines: list[LogLine] = field(default_factory=list)
    events: list[NewEvent] = field(default_factory=list)
    x_labels: dict[SeriesKey, str] = field(default_factory=dict)
    allow_locked: bool = False


@dataclass(slots=True)
class Batch:
    """A decoded batch: what each run reports, and what was left out, by reason."""

    reports: dict[Id, RunReport] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)

    def miss(self, reason: str, count: int = 1) -> None:
        self.reasons[reason] = self.reasons.get(reason, 0) + count


@endpoint("events.add_batch", content="bytes", limit=BODY_LIMIT)
async def add_batch(call: Call) -> dict[str, Any]:
    batch = Batch()
    events = decode_events(call.body, batch)
    if not events and not batch.reasons:
        raise Invalid("the batch is empty", field="body", subcode=17)
    gather(events, batch, _worker(call))
    return _answer(batch, await _report(call, batch))


@endpoint("events.add", body=Event)
async def add(call: Call) -> dict[str, Any]:
    batch = Batch()
    gather([call.body], batch, _worker(call))
    return _answer(batch, await _report(call, batch))


def _worker(call: Call) -> str:
    headers = call.request.headers
    return headers.get("x-clearml-worker") or headers.get("x-trains-worker") or ""


async def _report(call: Call, batch: Batch) -> ReportResult:
    if not batch.reports:
        return ReportResult(0, 0, {})
    return await call.write(report_many, batch.reports)


def _answer(batch: Batch, done: ReportResult) -> dict[str, Any]:
    for reason, count in done.reasons.items():
        batch.miss(reason, count)
    errors = sum(batch.reasons.values())
    if errors and not done.added:
        raise Invalid("none of the events could be added", errors=errors, errors_info=batch.reasons, subcode=131)
    return {"added": done.added, "errors": errors, "errors_info": batch.reasons}


def decode_events(raw: bytes, batch: Batch) -> list[Event]:
    """The events of a batch; lines that are objects but no events are counted in `batch`.

    Invalid for a line that is not a JSON object: then the body is not what it claims to be.
    """
    if raw[:1] == b"[":
        return _array(raw)
    try:
        return decode_json_lines(raw, Event)
    except Invalid:
        pass
    events: list[Event] = []
    for line in raw.split(b"\n"):
        if not line.strip():
            continue
        try:
            events.append(_event.decode(line))
        except msgspec.ValidationError as error:
            _check_object(line)
            refused = invalid(error)
            batch.miss(f"'{refused.field}': {refused.message}")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Invalid("a line of the body is not valid JSON", field="body") from error
    return events


def _array(raw: bytes) -> list[Event]:
    """A batch as one JSON array, which plain JSON clients send."""
    try:
        return msgspec.json.decode(raw, type=list[Event])
    except msgspec.ValidationError as error:
        raise invalid(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("the body is not valid JSON", field="body") from error


def _check_object(line: bytes) -> None:
    try:
        _object.decode(line)
    except msgspec.DecodeError as error:
        raise Invalid("a line of the body is not a JSON object", field="body") from error


def gather(events: list[Event], batch: Batch, worker: str) -> None:
    """Sorts events by the task that they are of, in one pass."""
    found: dict[str, _Gathered | None] = {}
    now = time.time_ns() // 1_000
    last_task, target = "", None
    for event in events:
        task = event.task
        if task != last_task:
            if task not in found:
                found[task] = _Gathered() if from_hex32(task, Kind.RUN) is not None else None
            last_task, target = task, found[task]
        if target is None:
            batch.miss("'task' is not the id of a task" if task else "'task' is missing")
            continue
        stamp = event.timestamp
        if stamp is None:
            stamp = event.ts
        ts = now if stamp is None else int(stamp * 1_000)
        if event.type == SCALAR and event.value is not None and not (event.x_axis_label or event.model_event):
            # The usual event, and all that is done for it.
            target.points.append((event.metric or "", event.variant or "", event.iter or 0, ts, event.value))
        else:
            _other(event, ts, target, batch, worker)
        if event.allow_locked:
            target.allow_locked = True
    for task, one in found.items():
        if one is not None and (one.points or one.lines or one.events):
            run_id = ids.parse(task, Kind.RUN)
            batch.reports[run_id] = RunReport(one.points, one.lines, one.events, one.x_labels, one.allow_locked)


def _other(event: Event, ts: int, target: _Gathered, batch: Batch, worker: str) -> None:
    """Events that are not plain scalars."""
    if event.model_event:
        batch.miss("events of models are not kept")
        return
    metric, variant, iteration = event.metric or "", event.variant or "", event.iter or 0
    match event.type.replace(" ", "_"):
        case "training_stats_scalar":
            if event.value is None:
                batch.miss("'value' is missing")
                return
            target.points.append((metric, variant, iteration, ts, event.value))
            if event.x_axis_label:
                target.x_labels[metric, variant] = event.x_axis_label
        case "log":
            target.lines.append(LogLine(ts, event.level or "info", event.worker or worker, event.msg or ""))
        case "plot":
            data = event.plot_str or ""
            target.events.append(NewEvent(EventType.PLOT, metric, variant, iteration, ts, data=data))
        case "training_debug_image":
            key, url = event.key or "", event.url or ""
            target.events.append(NewEvent(EventType.IMAGE, metric, variant, iteration, ts, key=key, url=url))
        case "training_stats_vector":
            values = msgspec.json.encode(event.values or []).decode()
            target.events.append(NewEvent(EventType.VECTOR, metric, variant, iteration, ts, data=values))
        case _:
            batch.miss(f"'{event.type[:60]}' is no type of event")
