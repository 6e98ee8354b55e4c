"""Make runs, from nothing or from another run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from quintet.app.authz import authorize
from quintet.app.context import Ctx, Effect
from quintet.app.runs.edit import CHECKS, check_project
from quintet.app.runs.read import get_run
from quintet.domain.errors import Forbidden, Invalid, NotFound
from quintet.domain.identity import Permission
from quintet.domain.ids import Id, new_id
from quintet.domain.projects import check_name
from quintet.domain.runs import JsonObject, Run, RunKind, RunState
from quintet.storage import runs as store
from quintet.storage.tx import WriteTx

MAX_ATTEMPTS = 20
"""The most often a run is tried again after its worker died; arbitrary, 1 to 100 would do."""


@dataclass(frozen=True, slots=True)
class CreateRun:
    """A run to be. Fields mean what they mean in `Run`; `project_id` and `parent_id` must exist in the space."""

    name: str
    kind: RunKind = RunKind.TASK
    type: str = ""
    project_id: Id | None = None
    parent_id: Id | None = None
    recipe: str | None = None
    args: JsonObject = field(default_factory=dict)
    params: dict[str, dict[str, JsonObject]] = field(default_factory=dict)
    configuration: dict[str, JsonObject] = field(default_factory=dict)
    script: JsonObject = field(default_factory=dict)
    container: JsonObject = field(default_factory=dict)
    runtime: JsonObject = field(default_factory=dict)
    detail: JsonObject = field(default_factory=dict)
    comment: str = ""
    tags: tuple[str, ...] = ()
    system_tags: tuple[str, ...] = ()
    max_attempts: int = 3


def create_run(ctx: Ctx[WriteTx], cmd: CreateRun) -> Run:
    """A run in the state CREATED; NotFound for a project or parent that is not there."""
    authorize(ctx, Permission.RUN_WRITE)
    if ctx.actor.run_id is not None and cmd.parent_id != ctx.actor.run_id:
        raise Forbidden("the token of a run may make only children of that run")
    if not 1 <= cmd.max_attempts <= MAX_ATTEMPTS:
        raise Invalid(f"'max_attempts' is 1 to {MAX_ATTEMPTS}", field="max_attempts")
    for name in ("comment", "type", "params", "configuration", "script", "container", "tags", "system_tags"):
        CHECKS[name](name, getattr(cmd, name))
    check_project(ctx, cmd.project_id)
    if cmd.parent_id is not None:
        parent = store.find_run(ctx.tx, cmd.parent_id)
        if parent is None or parent.space_id != ctx.actor.space_id:
            raise NotFound(f"run '{cmd.parent_id}' was not found", field="parent", kind="run", id=cmd.parent_id)
    run = Run(
        id=new_id(), space_id=ctx.actor.space_id, project_id=cmd.project_id, name=check_name(cmd.name),
        kind=cmd.kind, type=cmd.type, state=RunState.CREATED, created_by=ctx.actor.user_id, created_at=ctx.now,
        updated_at=ctx.now, changed_at=ctx.now, status_changed_at=ctx.now, comment=cmd.comment,
        parent_id=cmd.parent_id, recipe=cmd.recipe, args=cmd.args, params=cmd.params,
        configuration=cmd.configuration, script=cmd.script, container=cmd.container, runtime=cmd.runtime,
        detail=cmd.detail, tags=tuple(dict.fromkeys(cmd.tags)), system_tags=tuple(dict.fromkeys(cmd.system_tags)),
        max_attempts=cmd.max_attempts,
    )  # fmt: skip
    _store(ctx, run)
    return run


def _store(ctx: Ctx[WriteTx], run: Run) -> None:
    store.insert_run(ctx.tx, run)
    if run.project_id is not None:
        store.touch_project(ctx.tx, run.project_id, ctx.now)
    ctx.after_commit(Effect("run", run.id, {"state": str(run.state), "previous": None, "space_id": run.space_id}))


@dataclass(frozen=True, slots=True)
class CloneRun:
    """A copy of `source_id`. What is None is the source's own; `changes` replaces further fields of the copy."""

    source_id: Id
    name: str | None = None
    project_id: Id | None = None
    parent_id: Id | None = None
    comment: str | None = None
    tags: tuple[str, ...] | None = None
    system_tags: tuple[str, ...] | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)


CLONE_CHANGES = frozenset({"type", "args", "params", "configuration", "script", "container", "detail", "recipe"})


def clone_run(ctx: Ctx[WriteTx], cmd: CloneRun) -> Run:
    """A new run in CREATED that will do the same work: its definition and inputs, none of its results.

    Its parent is the one given, else the source's parent, else the source.
    """
    source = get_run(ctx, cmd.source_id)
    unknown = set(cmd.changes) - CLONE_CHANGES
    if unknown:
        raise Invalid(f"'{min(unknown)}' of a copy cannot be chosen", field=min(unknown))
    dropped = {"development", "archived"}
    system_tags = cmd.system_tags if cmd.system_tags is not None else source.system_tags
    wanted = CreateRun(
        name=cmd.name or source.name,
        kind=source.kind,
        type=source.type,
        project_id=cmd.project_id or source.project_id,
        parent_id=cmd.parent_id or source.parent_id or source.id,
        recipe=source.recipe,
        args=source.args,
        params=source.params,
        configuration=source.configuration,
        script=source.script,
        container=source.container,
        detail=source.detail,
        comment=cmd.comment if cmd.comment is not None else source.comment,
        tags=cmd.tags if cmd.tags is not None else source.tags,
        system_tags=tuple(tag for tag in system_tags if tag not in dropped),
        max_attempts=source.max_attempts,
    )
    copy = create_run(ctx, replace(wanted, **cmd.changes))
    inputs = [a for a in store.artifacts_of(ctx.tx, source.id) if a.mode == "input"]
    store.put_artifacts(ctx.tx, [replace(a, id=new_id(), run_id=copy.id) for a in inputs])
    return copy
