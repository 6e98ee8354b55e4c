"""Runs report what happens in them. A run that is published takes no more, unless the caller insists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from quintet.app.authz import authorize, authorize_run
from quintet.app.context import Ctx, WriteTx
from quintet.domain.errors import Forbidden, Invalid, NotFound, Precondition, QuintetError
from quintet.domain.events import LogLine, NewEvent, event_fault, line_fault
from quintet.domain.identity import Permission
from quintet.domain.ids import Id
from quintet.domain.runs import RunState
from quintet.domain.series import MONITOR_METRICS, AppendResult, PointBatch, PointRow, SeriesKey
from quintet.storage import logs, reports, run_events, series

LOCKED = frozenset({RunState.PUBLISHING, RunState.PUBLISHED})


@dataclass(frozen=True, slots=True)
class RunReport:
    """What one run reports at once, as it came: what cannot be stored is counted and left out."""

    points: Sequence[PointRow] = ()
    lines: Sequence[LogLine] = ()
    events: Sequence[NewEvent] = ()
    x_labels: Mapping[SeriesKey, str] = field(default_factory=dict)
    allow_locked: bool = False

    def __len__(self) -> int:
        return len(self.points) + len(self.lines) + len(self.events)


@dataclass(frozen=True, slots=True)
class ReportResult:
    """How many were stored, how many not, and how often for each reason."""

    added: int
    errors: int
    reasons: Mapping[str, int]


def report_points(ctx: Ctx[WriteTx], run_id: Id, batch: PointBatch, *, allow_locked: bool = False) -> AppendResult:
    """Adds points to the series of a run; a point at a known iteration replaces the earlier one.

    Raises NotFound for a run of another space, Precondition for one that is published.
    """
    target = _reporter(ctx, run_id, allow_locked)
    result = series.append_points(ctx.tx, run_id, batch, ctx.now)
    _mark(ctx, run_id, target, result.last_iter)
    return result


def report_logs(ctx: Ctx[WriteTx], run_id: Id, lines: Iterable[LogLine], *, allow_locked: bool = False) -> int:
    """Adds lines to the log of a run and says how many; raises as `report_points`, and Invalid for a bad line."""
    target = _reporter(ctx, run_id, allow_locked)
    good = list(lines)
    for line in good:
        _refuse(line_fault(line), "lines")
    added = logs.append_log(ctx.tx, run_id, good)
    _mark(ctx, run_id, target, None)
    return added


def report_events(ctx: Ctx[WriteTx], run_id: Id, events: Iterable[NewEvent], *, allow_locked: bool = False) -> int:
    """Stores plots, images and vectors of a run and says how many; raises as `report_logs`."""
    target = _reporter(ctx, run_id, allow_locked)
    good = list(events)
    for event in good:
        _refuse(event_fault(event), "events")
    added = run_events.put_events(ctx.tx, run_id, good)
    _mark(ctx, run_id, target, _last_iteration(good))
    return added


def report_many(ctx: Ctx[WriteTx], reports_by_run: Mapping[Id, RunReport]) -> ReportResult:
    """Stores what several runs report, in one transaction: what is valid is kept, the rest counted by reason.

    Raises only where the actor may not report at all.
    """
    authorize(ctx, Permission.RUN_WRITE)
    added = 0
    reasons: dict[str, int] = {}
    # In one order everywhere, so that two batches over the same runs wait for each other and never deadlock.
    for run_id in sorted(reports_by_run):
        report = reports_by_run[run_id]
        try:
            target = _reporter(ctx, run_id, report.allow_locked)
        except (NotFound, Precondition, Forbidden) as refused:
            _count(reasons, refused, len(report))
            continue
        added += _store(ctx, run_id, report, target, reasons)
    return ReportResult(added, sum(reasons.values()), reasons)


def clear_log(ctx: Ctx[WriteTx], run_id: Id, *, before: int | None = None, allow_locked: bool = False) -> int:
    """Deletes the log of a run, or its lines before a time (µs); how many lines that were."""
    target = _reporter(ctx, run_id, allow_locked)
    removed = logs.clear_log(ctx.tx, run_id, before)
    _mark(ctx, run_id, target, None)
    return removed


def delete_reports(ctx: Ctx[WriteTx], run_id: Id, *, allow_locked: bool = False) -> list[str]:
    """Deletes all that a run reported; the URLs of files that its images pointed to."""
    target = _reporter(ctx, run_id, allow_locked)
    series.delete_series(ctx.tx, run_id)
    logs.clear_log(ctx.tx, run_id)
    urls = run_events.delete_events(ctx.tx, run_id)
    reports.mark_reported(ctx.tx, run_id, ctx.now, target.last_iteration)
    return urls


def _store(ctx: Ctx[WriteTx], run_id: Id, report: RunReport, target: reports.Reporter, reasons: dict[str, int]) -> int:
    batch, faults = PointBatch.collect(report.points, report.x_labels)
    for reason, count in faults.items():
        reasons[reason] = reasons.get(reason, 0) + count
    lines: list[LogLine] = []
    for line in report.lines:
        if fault := line_fault(line):
            reasons[fault] = reasons.get(fault, 0) + 1
        else:
            lines.append(line)
    events: list[NewEvent] = []
    for event in report.events:
        if fault := event_fault(event):
            reasons[fault] = reasons.get(fault, 0) + 1
        else:
            events.append(event)
    added = len(batch) + len(lines) + len(events)
    if added == 0:
        return 0
    last = series.append_points(ctx.tx, run_id, batch, ctx.now).last_iter if len(batch) else None
    logs.append_log(ctx.tx, run_id, lines)
    run_events.put_events(ctx.tx, run_id, events)
    _mark(ctx, run_id, target, last, _last_iteration(events))
    return added


def _reporter(ctx: Ctx[WriteTx], run_id: Id, allow_locked: bool) -> reports.Reporter:
    """The run, held, if the actor may report to it and it still takes reports."""
    authorize_run(ctx, run_id, Permission.RUN_WRITE)
    target = reports.lock_reporter(ctx.tx, run_id)
    if target is None or target.space_id != ctx.actor.space_id:
        raise NotFound.of("run", run_id)
    if target.state in LOCKED and not allow_locked:
        raise Precondition(f"a run that is {target.state} takes no more reports", field="run", status=str(target.state))
    return target


def _mark(ctx: Ctx[WriteTx], run_id: Id, target: reports.Reporter, *iterations: int | None) -> None:
    """The run was heard of now, and is as far as the furthest iteration it ever reported."""
    last = max([target.last_iteration, *(i for i in iterations if i is not None)])
    reports.mark_reported(ctx.tx, run_id, ctx.now, last)


def _last_iteration(events: Sequence[NewEvent]) -> int | None:
    return max((e.iter for e in events if e.metric not in MONITOR_METRICS), default=None)


def _refuse(fault: str | None, field_name: str) -> None:
    if fault:
        raise Invalid(fault, field=field_name)


def _count(reasons: dict[str, int], refused: QuintetError, count: int) -> None:
    if count:
        reasons[refused.message] = reasons.get(refused.message, 0) + count
