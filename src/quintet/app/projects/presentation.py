"""How a project shows itself: name, description, default metric, and what only pages read (emoji, widgets)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from quintet.app.context import Ctx, WriteTx
from quintet.app.feedback.manage import find_metric, link_metric
from quintet.app.projects.manage import edit_project, find_project
from quintet.domain.ids import Id
from quintet.domain.projects import Project

DEFAULT_METRIC = "default_metric"
"""The entry of `Project.settings` that holds the id of the metric that pages show first."""


@dataclass(frozen=True, slots=True)
class PresentProject:
    """None leaves what is. `detail` is put under the dialect's name, entry by entry."""

    name: str | None = None
    description: str | None = None
    archived: bool | None = None
    default_metric: str | None = None
    dialect: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


def present_project(ctx: Ctx[WriteTx], ref: str, cmd: PresentProject) -> Project:
    """Changes what is given; a default metric is linked to the project too."""
    project = find_project(ctx, ref)
    given = {"name": cmd.name, "description": cmd.description, "archived": cmd.archived}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if cmd.default_metric is not None:
        metric = link_metric(ctx, find_metric(ctx, cmd.default_metric).id, project.id)
        changes["settings"] = {**project.settings, DEFAULT_METRIC: metric.id}
    if cmd.detail:
        changes["detail"] = {**project.detail, cmd.dialect: {**project.detail.get(cmd.dialect, {}), **cmd.detail}}
    return edit_project(ctx, project.id, changes)


def default_metric(project: Project) -> Id | None:
    """The id of the metric that pages show first."""
    found = project.settings.get(DEFAULT_METRIC)
    return Id(found) if isinstance(found, str) else None
