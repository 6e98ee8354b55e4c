"""What was spent, on what: tokens of calls and hours of runs, split by billing tag, project or model.

Calls come from the hourly roll-ups under the tag they were booked on; runs by their own times, under the tag
that their project has now. Hours are the roll-ups' grain: a window that begins within an hour has all of its calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from quintet.app.authz import authorize
from quintet.app.billing.usage import prices
from quintet.app.context import Ctx, ReadTx
from quintet.domain.errors import Invalid, Quota
from quintet.domain.identity import Permission
from quintet.domain.ids import Id
from quintet.domain.projects import Project
from quintet.storage import identity as identity_store
from quintet.storage import interactions as interaction_store
from quintet.storage import projects as project_store
from quintet.storage import run_times as times

HOUR_US = 3_600_000_000
MAX_WINDOWS = 400
"""Steps of one question: a year of days."""

UNALLOCATED = "__unallocated__"
"""The group of what belongs to no tag, project or model."""

CLUSTER = "cluster"
DIMENSIONS = (CLUSTER, "billing-tag", "project-id", "project-name", "organization-name", "model")
"""What costs are split by, alone or several at once."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One group in one window. Money is in the space's currency, `since`/`until` in µs."""

    group: tuple[str, ...]
    since: int
    until: int
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    token_cost: float = 0.0
    run_hours: float = 0.0
    core_hours: float = 0.0
    gpu_hours: float = 0.0
    run_cost: float = 0.0

    @property
    def total(self) -> float:
        return self.token_cost + self.run_cost


Values = Mapping[str, str]
"""The value of every dimension for one thing that cost something."""


def allocate(
    ctx: Ctx[ReadTx],
    windows: Sequence[tuple[int, int]],
    by: Sequence[str] = (CLUSTER,),
    keep: Callable[[Values], bool] = lambda values: True,
) -> list[list[Cost]]:
    """For each window (which must not overlap, in order) the cost of each group, sorted by group.

    `keep` leaves things out by their dimensions. Invalid for an unknown dimension, Quota for too many windows.
    """
    authorize(ctx, Permission.COST_READ)
    for dimension in by:
        if dimension not in DIMENSIONS:
            raise Invalid(f"costs are split by: {', '.join(DIMENSIONS)}", field="aggregate")
    if len(windows) > MAX_WINDOWS:
        raise Quota(f"at most {MAX_WINDOWS} steps at once; ask for them accumulated", field="window")
    if not windows:
        return []
    book = _Book(ctx, tuple(by), keep)
    return [book.window(since, until, first=number == 0) for number, (since, until) in enumerate(windows)]


class _Book:
    """The cost of one question, window by window."""

    def __init__(self, ctx: Ctx[ReadTx], by: tuple[str, ...], keep: Callable[[Values], bool]) -> None:
        self.ctx = ctx
        self.by = by
        self.keep = keep
        self.price = prices(ctx)
        space = ctx.actor.space_id
        found = identity_store.find_space(ctx.tx, space)
        self.space_name = found.name if found is not None else str(space)
        listed = project_store.list_projects(ctx.tx, space, project_store.ProjectFilter())
        self.projects: dict[Id, Project] = {p.id: p for p in listed}

    def window(self, since: int, until: int, *, first: bool) -> list[Cost]:
        """`first` also counts the hour that it begins in; a later window leaves that hour to the one before."""
        groups: dict[tuple[str, ...], dict[str, float]] = {}
        start = since if first else -(-since // HOUR_US) * HOUR_US
        for row in interaction_store.usage_rows(self.ctx.tx, self.ctx.actor.space_id, start, until):
            cost = (
                row.prompt_tokens * self.price["prompt_per_million"]
                + row.completion_tokens * self.price["completion_per_million"]
            ) / 1e6
            self._add(
                groups, self._values(row.project_id, row.billing_tag, row.model_name), calls=row.calls,
                prompt_tokens=row.prompt_tokens, completion_tokens=row.completion_tokens, token_cost=cost,
            )  # fmt: skip
        for run in times.run_times(self.ctx.tx, self.ctx.actor.space_id, since, until):
            end = min(run.ended_at if run.ended_at is not None else self.ctx.now, until)
            hours = max(end - max(run.started_at, since), 0) / HOUR_US
            project = self.projects.get(run.project_id) if run.project_id else None
            tag = project.billing_tag if project is not None else None
            self._add(
                groups, self._values(run.project_id, tag or "", ""), run_hours=hours,
                core_hours=hours * _number(run.hardware.get("cores"), 1.0),
                gpu_hours=hours * _number(run.hardware.get("gpus"), 0.0),
                run_cost=hours * _number(run.hardware.get("hour_price"), self.price["run_hour"]),
            )  # fmt: skip
        return [_cost(group, since, until, sums) for group, sums in sorted(groups.items())]

    def _values(self, project_id: Id | None, tag: str, model: str) -> Values:
        project = self.projects.get(project_id) if project_id else None
        return {
            CLUSTER: "quintet",
            "billing-tag": tag or UNALLOCATED,
            "project-id": project_id or UNALLOCATED,
            "project-name": project.name if project is not None else UNALLOCATED,
            "organization-name": self.space_name,
            "model": model or UNALLOCATED,
        }

    def _add(self, groups: dict[tuple[str, ...], dict[str, float]], values: Values, **amounts: float) -> None:
        if not self.keep(values):
            return
        sums = groups.setdefault(tuple(values[d] for d in self.by), {})
        for name, amount in amounts.items():
            sums[name] = sums.get(name, 0) + amount


def _cost(group: tuple[str, ...], since: int, until: int, sums: Mapping[str, float]) -> Cost:
    return Cost(
        group, since, until, int(sums.get("calls", 0)), int(sums.get("prompt_tokens", 0)),
        int(sums.get("completion_tokens", 0)), sums.get("token_cost", 0.0), sums.get("run_hours", 0.0),
        sums.get("core_hours", 0.0), sums.get("gpu_hours", 0.0), sums.get("run_cost", 0.0),
    )  # fmt: skip


def _number(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else default
