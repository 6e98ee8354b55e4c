"""What a feedback does to the experiment that it belongs to, in the transaction that stores the feedback.

Only feedback of the experiment's own kind and metric counts, and only on interactions that the experiment
routed. When the evidence suffices the experiment ends by itself and, if asked to, its winner becomes the
project's default.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from quintet.app.context import Ctx, Effect, WriteTx
from quintet.domain.ids import Id
from quintet.domain.interactions import (
    Direction,
    Experiment,
    ExperimentState,
    Feedback,
    FeedbackKind,
    Interaction,
    Metric,
    MetricKind,
)
from quintet.domain.statistics import ComparisonTest, DirectTest, SampleRatioAlarm, Tie
from quintet.storage import deployments as store
from quintet.storage import projects as project_store

ALPHA = 0.05
"""The level of every experiment: at most one A/A test in twenty ends with a winner, however often one looks."""


def new_statistics(metric: Metric, kind: FeedbackKind, variants: tuple[Id, ...]) -> dict[str, Any]:
    """The state of the tests before any feedback."""
    names = list(variants)
    ratio = SampleRatioAlarm({v: 1 / len(names) for v in names})
    test: DirectTest | ComparisonTest
    if kind is FeedbackKind.COMPARISON:
        test = ComparisonTest(names)
    else:
        direction = Direction(metric.direction)
        test = DirectTest(names, bounds=_bounds(metric), direction=direction)
    return {"test": test.to_dict(), "ratio": ratio.to_dict()}


def _bounds(metric: Metric) -> tuple[float, float] | None:
    if metric.kind is MetricKind.BOOL:
        return (0.0, 1.0)
    return (metric.lower, metric.upper) if metric.lower is not None and metric.upper is not None else None


def count_direct(ctx: Ctx[WriteTx], given: Feedback, about: Interaction, metric: Metric) -> None:
    """Moves the experiment of `about`, if it has one that counts this metric."""
    experiment = _counting(ctx, about, metric, FeedbackKind.DIRECT)
    if experiment is None or about.deployment_id is None or given.value is None:
        return
    test = DirectTest.from_dict(experiment.statistics["test"])
    ratio = SampleRatioAlarm.from_dict(experiment.statistics["ratio"])
    test.update(about.deployment_id, given.value)
    ratio.update(about.deployment_id)
    report = test.report(ALPHA)
    _settle(ctx, experiment, test.to_dict(), ratio, asdict(report))


def count_comparison(
    ctx: Ctx[WriteTx], given: Feedback, preferred: Interaction, other: Interaction, metric: Metric
) -> None:
    """Moves the experiment that both interactions belong to."""
    experiment = _counting(ctx, preferred, metric, FeedbackKind.COMPARISON)
    first, second = preferred.deployment_id, other.deployment_id
    if experiment is None or first is None or second is None or first == second:
        return
    if second not in experiment.deployments:
        return
    test = ComparisonTest.from_dict(experiment.statistics["test"])
    ratio = SampleRatioAlarm.from_dict(experiment.statistics["ratio"])
    test.update(first, second, _tie(given.tied))
    report = test.report(ALPHA)
    _settle(ctx, experiment, test.to_dict(), ratio, asdict(report))


def _tie(tied: str | None) -> Tie | None:
    match tied:
        case "good":
            return "good"
        case "bad":
            return "bad"
        case _:
            return None


def _counting(ctx: Ctx[WriteTx], about: Interaction, metric: Metric, kind: FeedbackKind) -> Experiment | None:
    """The running experiment that counts this kind of feedback on this interaction."""
    if about.experiment_id is None:
        return None
    found = store.get_experiment(ctx.tx, ctx.actor.space_id, about.experiment_id)
    if found is None or found.state in (ExperimentState.DONE, ExperimentState.CANCELLED):
        return None
    if found.metric_id != metric.id or found.feedback is not kind or about.deployment_id not in found.deployments:
        return None
    return found


def _settle(
    ctx: Ctx[WriteTx], experiment: Experiment, test: dict[str, Any], ratio: SampleRatioAlarm, report: dict[str, Any]
) -> None:
    report["sample_ratio_p"] = ratio.p_value
    state = ExperimentState.RUNNING if report["enough"] else ExperimentState.WARMUP
    ended = None
    winner = Id(report["winner"]) if report["winner"] else None
    if report["decided"] and winner is not None:
        state, ended = ExperimentState.DONE, ctx.now
    changed = replace(
        experiment, state=state, ended_at=ended, winner_id=winner if ended else None, p_value=report["p_value"],
        feedbacks=experiment.feedbacks + 1, statistics={"test": test, "ratio": ratio.to_dict()}, report=report,
    )  # fmt: skip
    store.save_experiment(ctx.tx, changed)
    if ended is not None:
        if experiment.auto_deploy and winner is not None:
            _deploy(ctx, experiment, winner)
        ctx.after_commit(Effect("routes", experiment.id))


def _deploy(ctx: Ctx[WriteTx], experiment: Experiment, winner: Id) -> None:
    project = project_store.get(ctx.tx, experiment.space_id, experiment.project_id)
    if project is not None:
        changed = replace(project, default_deployment_id=winner, updated_at=ctx.now)
        project_store.save_project(ctx.tx, changed)
