"""Which metrics a project shows."""

from __future__ import annotations

from typing import NamedTuple

from quintet.app.context import Ctx, WriteTx
from quintet.app.feedback.manage import link_metric, unlink_metric
from quintet.app.projects.manage import find_project
from quintet.domain.interactions import Metric
from quintet.domain.projects import Project


class Link(NamedTuple):
    metric: Metric
    project: Project


def link_to_project(ctx: Ctx[WriteTx], project: str, metric: str) -> Link:
    """Shows the metric in the project; doing it twice is no error."""
    owner = find_project(ctx, project)
    return Link(link_metric(ctx, metric, owner.id), owner)


def unlink_from_project(ctx: Ctx[WriteTx], project: str, metric: str) -> Link:
    """Hides the metric in the project; feedback that was given stays."""
    owner = find_project(ctx, project)
    return Link(unlink_metric(ctx, metric, owner.id), owner)
