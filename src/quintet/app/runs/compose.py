"""Several changes of a run in one transaction, for requests that are one act in a client's eyes.

`change` is a pure function over what one dialect keeps of the run (`Run.detail[dialect]`); the core stores what
it returns and reads nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from quintet.app.context import Ctx
from quintet.app.projects.manage import ensure_project
from quintet.app.runs.create import CloneRun, CreateRun, clone_run, create_run
from quintet.app.runs.edit import edit_run
from quintet.app.runs.parts import NewArtifact, add_artifacts
from quintet.app.runs.read import get_run, locked_run
from quintet.app.runs.state import Reset, reset_run
from quintet.domain.errors import Precondition
from quintet.domain.ids import Id, new_id
from quintet.domain.projects import check_name
from quintet.domain.runs import Artifact, JsonObject, Run, RunState
from quintet.storage import runs as store
from quintet.storage.tx import WriteTx

DetailChange = Callable[[JsonObject], JsonObject]


def edit_detail(
    ctx: Ctx[WriteTx],
    run_id: Id,
    dialect: str,
    change: DetailChange,
    *,
    states: Collection[RunState] | None = None,
) -> Run:
    """Replaces what `dialect` keeps of the run by what `change` makes of it; Precondition outside `states`."""
    run = locked_run(ctx, run_id)
    if states is not None and run.state not in states:
        raise Precondition(
            f"a run that is {run.state} cannot be changed like this", field="status", current_status=str(run.state)
        )
    fresh = change(dict(run.detail.get(dialect, {})))
    return edit_run(ctx, run_id, {"detail": {**run.detail, dialect: fresh}}, force=True)


@dataclass(frozen=True, slots=True)
class RunEdit:
    """Changes of fields (those in `merge` keep their other keys), of a dialect's detail, and all artifacts."""

    changes: Mapping[str, Any]
    merge: frozenset[str] = frozenset()
    states: frozenset[RunState] | None = None
    force: bool = False
    change: DetailChange | None = None
    artifacts: Sequence[NewArtifact] | None = None


def edit_whole(ctx: Ctx[WriteTx], run_id: Id, dialect: str, edit: RunEdit) -> Run:
    """Applies an edit at once. With `artifacts` they replace all that the run has."""
    run = locked_run(ctx, run_id)
    changes = dict(edit.changes)
    if edit.change is not None:
        changes["detail"] = {**run.detail, dialect: edit.change(dict(run.detail.get(dialect, {})))}
    run = edit_run(ctx, run_id, changes, merge=edit.merge, states=edit.states, force=edit.force)
    if edit.artifacts is not None:
        _replace_artifacts(ctx, run, edit.artifacts)
    return run


def _replace_artifacts(ctx: Ctx[WriteTx], run: Run, artifacts: Sequence[NewArtifact]) -> None:
    store.delete_artifacts(ctx.tx, run.id)
    fresh = [
        Artifact(
            id=new_id(), run_id=run.id, key=check_name(a.key, field="artifacts.key"), mode=a.mode, type=a.type,
            uri=a.uri, created_at=a.created_at or ctx.now, size=a.size, hash=a.hash, blob=a.blob, detail=a.detail,
        )
        for a in artifacts
    ]  # fmt: skip
    store.put_artifacts(ctx.tx, fresh)


def create_whole(ctx: Ctx[WriteTx], cmd: CreateRun, artifacts: Sequence[NewArtifact]) -> Run:
    """A new run with artifacts from the start."""
    run = create_run(ctx, cmd)
    if artifacts:
        add_artifacts(ctx, run.id, artifacts)
    return run


class Cloned(NamedTuple):
    """A copy, and the project that it was put into where one was asked for by name."""

    run: Run
    project_id: Id | None


def clone_whole(
    ctx: Ctx[WriteTx], cmd: CloneRun, dialect: str, change: DetailChange, project_name: str | None = None
) -> Cloned:
    """A copy of a run whose detail `change` has gone over; into the project of a name, made if missing."""
    source = get_run(ctx, cmd.source_id)
    project_id = ensure_project(ctx, project_name).id if project_name else None
    detail = {**source.detail, dialect: change(dict(source.detail.get(dialect, {})))}
    cmd = replace(cmd, project_id=project_id or cmd.project_id, changes={**cmd.changes, "detail": detail})
    return Cloned(clone_run(ctx, cmd), project_id)


def reset_whole(
    ctx: Ctx[WriteTx], run_id: Id, dialect: str, change: DetailChange, *, clear_all: bool, force: bool
) -> Reset:
    """A reset that also goes over a dialect's detail, in which results may be named."""
    done = reset_run(ctx, run_id, clear_all=clear_all, force=force)
    return Reset(edit_detail(ctx, run_id, dialect, change), done.dequeued, done.deleted_models)
