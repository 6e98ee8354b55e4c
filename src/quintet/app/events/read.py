"""What runs reported: roll-ups, charts, points, log, plots and images. None of it reads more than it shows."""

from __future__ import annotations

from collections.abc import Sequence

from quintet.app.authz import authorize_run
from quintet.app.context import Ctx, ReadTx
from quintet.domain.errors import Invalid, NotFound
from quintet.domain.events import EventKey, EventType, LogLine, LogPage, NearEvents, RunEvent
from quintet.domain.identity import Permission
from quintet.domain.ids import Id
from quintet.domain.page import Page
from quintet.domain.series import Curve, MetricFilter, PointPage, RawPage, RollUp, SingleValue
from quintet.storage import logs, reports, run_events, series_read
from quintet.storage.series_read import Axis

MAX_CHART_RUNS = 100
"""Runs in one chart: what a person can tell apart is far below, what clients ask for is not above."""

MAX_RUNS = 1_000
"""Runs in one question for roll-ups or events: the largest page of runs."""

ALL_TYPES = tuple(EventType)


# -- scalars -----------------------------------------------------------------------------------------------------


def get_rollups(ctx: Ctx[ReadTx], run_ids: Sequence[Id]) -> dict[Id, list[RollUp]]:
    """The roll-ups of each run's series, in the order in which they were first reported, 2,000 at most each."""
    _readable(ctx, run_ids)
    found: dict[Id, list[RollUp]] = {run_id: [] for run_id in run_ids}
    for rollup in series_read.rollups(ctx.tx, run_ids):
        found[rollup.run_id].append(rollup)
    return found


def get_single_values(ctx: Ctx[ReadTx], run_ids: Sequence[Id]) -> list[SingleValue]:
    """The values that runs reported once for the whole run."""
    _readable(ctx, run_ids)
    return series_read.single_values(ctx.tx, run_ids)


def sample_curves(
    ctx: Ctx[ReadTx],
    run_ids: Sequence[Id],
    metrics: Sequence[MetricFilter] = (),
    *,
    samples: int = 2_000,
    axis: Axis = "iter",
) -> list[Curve]:
    """Curves with at most about `samples` (1 to 6,000) points each, means of aligned buckets where they had more."""
    _readable(ctx, run_ids, MAX_CHART_RUNS)
    return series_read.sample(ctx.tx, run_ids, metrics, samples=samples, axis=axis)


def chart_curves(
    ctx: Ctx[ReadTx],
    run_ids: Sequence[Id],
    metrics: Sequence[MetricFilter] = (),
    *,
    points: int = 1_000,
    first: int | None = None,
    last: int | None = None,
    axis: Axis = "iter",
) -> list[Curve]:
    """Curves with mean, minimum and maximum of each bucket, within `first`…`last` of the axis."""
    _readable(ctx, run_ids, MAX_CHART_RUNS)
    return series_read.chart(ctx.tx, run_ids, metrics, points=points, first=first, last=last, axis=axis)


def raw_points(
    ctx: Ctx[ReadTx],
    run_id: Id,
    metrics: Sequence[MetricFilter] = (),
    *,
    limit: int = 10_000,
    cursor: str | None = None,
) -> RawPage:
    """Points as they were reported, one series after the other."""
    _readable(ctx, [run_id])
    return series_read.raw(ctx.tx, run_id, metrics, limit=limit, cursor=cursor)


def points_in_order(
    ctx: Ctx[ReadTx],
    run_id: Id,
    metrics: Sequence[MetricFilter] = (),
    *,
    limit: int = 500,
    after: int | None = None,
    newest_first: bool = False,
) -> PointPage:
    """Points of all series of a run by iteration, beyond the iteration `after`."""
    _readable(ctx, [run_id])
    return series_read.points_in_order(ctx.tx, run_id, metrics, limit=limit, after=after, newest_first=newest_first)


# -- log ---------------------------------------------------------------------------------------------------------


def read_log(
    ctx: Ctx[ReadTx], run_id: Id, *, limit: int = 5_000, beyond: int | None = None, earlier: bool = True
) -> LogPage:
    """The lines nearest before the time `beyond` in µs (with `earlier` off: after it); from the end (the start)
    where it is None. Oldest line first; lines that share the time of the furthest one are all there.
    """
    _readable(ctx, [run_id])
    return logs.log_page(ctx.tx, run_id, limit=limit, beyond=beyond, earlier=earlier)


def tail_log(ctx: Ctx[ReadTx], run_id: Id, lines: int = 100) -> list[LogLine]:
    """The newest lines, oldest of them first."""
    _readable(ctx, [run_id])
    return logs.log_tail(ctx.tx, run_id, lines)


# -- plots, images, vectors --------------------------------------------------------------------------------------


def last_events(
    ctx: Ctx[ReadTx],
    run_ids: Sequence[Id],
    types: Sequence[EventType] = ALL_TYPES,
    metrics: Sequence[MetricFilter] = (),
    *,
    iterations: int = 1,
    per_run: bool = True,
) -> list[RunEvent]:
    """The events of the last `iterations` iterations of each metric and variant, newest first."""
    _readable(ctx, run_ids)
    return run_events.last_events(ctx.tx, run_ids, types, metrics, iterations=iterations, per_run=per_run)


def event_keys(
    ctx: Ctx[ReadTx],
    run_id: Id,
    types: Sequence[EventType] = ALL_TYPES,
    metrics: Sequence[MetricFilter] = (),
    *,
    current_only: bool = False,
) -> list[EventKey]:
    """Where a run has events, newest iteration first; `current_only` leaves out images whose file was rewritten."""
    _readable(ctx, [run_id])
    return run_events.event_keys(ctx.tx, run_id, types, metrics, current_only=current_only)


def events_by_iteration(
    ctx: Ctx[ReadTx],
    run_id: Id,
    types: Sequence[EventType],
    metrics: Sequence[MetricFilter] = (),
    *,
    iterations: int = 1,
    beyond: int | None = None,
    newer: bool = False,
) -> list[RunEvent]:
    """The events of the `iterations` iterations nearest below `beyond` (with `newer` above it), newest first.

    Images whose file was written again later are left out.
    """
    _readable(ctx, [run_id])
    iters = run_events.iterations(ctx.tx, run_id, types, metrics, beyond=beyond, newer=newer, limit=iterations)
    return run_events.events_at(ctx.tx, run_id, types, metrics, iters=iters) if iters else []


def page_events(
    ctx: Ctx[ReadTx],
    run_id: Id,
    types: Sequence[EventType] = ALL_TYPES,
    metrics: Sequence[MetricFilter] = (),
    *,
    limit: int = 500,
    after: int | None = None,
    newest_first: bool = True,
) -> tuple[Page[RunEvent], int | None]:
    """Events by iteration, and the iteration to continue after; None at the end."""
    _readable(ctx, [run_id])
    return run_events.page_events(ctx.tx, run_id, types, metrics, limit=limit, after=after, newest_first=newest_first)


def events_near(
    ctx: Ctx[ReadTx], run_id: Id, type_: EventType, metric: str, variant: str, iteration: int | None = None
) -> NearEvents | None:
    """The events at the newest iteration that is not above `iteration`; None where there is none at all."""
    _readable(ctx, [run_id])
    wanted = [MetricFilter(metric, (variant,))]
    keys = run_events.event_keys(ctx.tx, run_id, [type_], wanted, current_only=True)
    if not keys:
        return None
    chosen = next((key.iter for key in keys if iteration is None or key.iter <= iteration), None)
    events = [] if chosen is None else run_events.events_at(ctx.tx, run_id, [type_], wanted, iters=[chosen])
    return NearEvents(events, keys[-1].iter, keys[0].iter)


def stored_bytes(ctx: Ctx[ReadTx], run_ids: Sequence[Id]) -> dict[Id, int]:
    """The bytes that the reports of each run take in the database."""
    _readable(ctx, run_ids)
    sizes = series_read.stored_bytes(ctx.tx, run_ids)
    return {run_id: sizes.get(run_id, 0) for run_id in run_ids}


def _readable(ctx: Ctx[ReadTx], run_ids: Sequence[Id], most: int = MAX_RUNS) -> None:
    """NotFound where one of the runs is not in the actor's space; Invalid where there are too many."""
    if len(run_ids) > most:
        raise Invalid(f"at most {most} runs at once, not {len(run_ids)}", field="runs")
    for run_id in run_ids:
        authorize_run(ctx, run_id, Permission.RUN_READ)
    missing = set(run_ids) - reports.in_space(ctx.tx, ctx.actor.space_id, run_ids)
    if missing:
        raise NotFound.of("run", min(missing))
