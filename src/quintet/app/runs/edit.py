"""Change what a run says of itself: single fields, hyperparameters, configuration."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any

from quintet.app.context import Ctx
from quintet.app.runs.read import locked_run
from quintet.domain.errors import Invalid, NotFound, Precondition
from quintet.domain.ids import Id
from quintet.domain.projects import check_name
from quintet.domain.runs import JsonObject, Run, RunKind, RunState
from quintet.domain.series import storable
from quintet.storage import projects as project_store
from quintet.storage import runs as store
from quintet.storage.tx import ReadTx, WriteTx

OPEN_STATES = frozenset({RunState.CREATED, RunState.QUEUED, RunState.RUNNING})
"""States in which a run still takes artifacts and, where forced, other parameters."""

DEFINITION = frozenset({"kind", "type", "recipe", "args", "params", "configuration", "script", "container"})
"""Fields that say what the work is: once it has begun, changing them would make the record untrue."""

NESTED = frozenset({"params", "configuration", "detail"})
"""Objects of objects: merging them merges one level deeper."""


def _text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise Invalid(f"'{name}' must be text", field=name)
    if not storable(value):
        raise Invalid(f"'{name}' holds a character that cannot be stored", field=name)


def _object(name: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise Invalid(f"'{name}' must be an object", field=name)


def _objects(name: str, value: Any) -> None:
    _object(name, value)
    for key, inner in value.items():
        if not isinstance(inner, dict):
            raise Invalid(f"'{name}.{key}' must be an object", field=f"{name}.{key}")


def _tags(name: str, value: Any) -> None:
    if not isinstance(value, tuple | list) or not all(isinstance(tag, str) for tag in value):
        raise Invalid(f"'{name}' must be a list of texts", field=name)
    for tag in value:
        _text(name, tag)


def _optional(check: Callable[[str, Any], None]) -> Callable[[str, Any], None]:
    return lambda name, value: None if value is None else check(name, value)


def _number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Invalid(f"'{name}' must be a number", field=name)


def _kind(name: str, value: Any) -> None:
    if value not in list(RunKind):
        raise Invalid(f"'{name}' is none of {', '.join(RunKind)}", field=name)


CHECKS: dict[str, Callable[[str, Any], None]] = {
    "name": _text, "comment": _text, "kind": _kind, "type": _text, "recipe": _optional(_text), "args": _object,
    "params": _objects, "configuration": _objects, "script": _object, "container": _object, "runtime": _object,
    "detail": _object, "result": _object, "tags": _tags, "system_tags": _tags, "project_id": _optional(_text),
    "parent_id": _optional(_text), "queue_id": _optional(_text), "status_message": _text, "status_reason": _text,
    "created_at": _number, "last_iteration": _number, "progress": _optional(_number), "error": _optional(_text),
    "last_worker": _optional(_text), "last_worker_at": _optional(_number),
}  # fmt: skip
"""The fields that `edit_run` changes, and what each must be."""


def edit_run(
    ctx: Ctx[WriteTx],
    run_id: Id,
    changes: Mapping[str, Any],
    *,
    merge: Collection[str] = (),
    states: Collection[RunState] | None = None,
    force: bool = False,
    touch: bool = True,
) -> Run:
    """Replaces the given fields; those named in `merge` (objects) take the new keys and keep their others.

    Precondition where the run is in none of `states`, or, without `states`, where a field of its definition
    changes after it left CREATED; `force` skips both. With `touch=False` the times stay.
    """
    run = locked_run(ctx, run_id)
    for name, value in changes.items():
        if name not in CHECKS:
            raise Invalid(f"a run has no field '{name}' to change", field=name)
        CHECKS[name](name, value)
    if not force:
        if states is not None and run.state not in states:
            raise _not_now(run)
        if states is None and run.state is not RunState.CREATED and DEFINITION & set(changes):
            raise _not_now(run)
    fresh: dict[str, Any] = {}
    for name, value in changes.items():
        old = getattr(run, name)
        fresh[name] = _merged(old, value, deep=name in NESTED) if name in merge and isinstance(value, dict) else value
    return save_edited(ctx, run, fresh, touch=touch)


def save_edited(ctx: Ctx[WriteTx], run: Run, fresh: dict[str, Any], *, touch: bool = True) -> Run:
    """Stores changed fields of a run that is held, after checking what they refer to."""
    if "name" in fresh:
        fresh["name"] = check_name(fresh["name"])
    for name in ("tags", "system_tags"):
        if name in fresh:
            fresh[name] = tuple(dict.fromkeys(fresh[name]))
    if "kind" in fresh:
        fresh["kind"] = RunKind(fresh["kind"])
    if fresh.get("project_id") != run.project_id:
        check_project(ctx, fresh.get("project_id"))
    if fresh.get("parent_id") is not None:
        _check_parent(ctx, run, fresh["parent_id"])
    changed = replace(run, **fresh)
    if touch:
        changed = replace(changed, updated_at=ctx.now, changed_at=ctx.now)
    store.save_run(ctx.tx, run, changed)
    if touch and changed.project_id is not None:
        store.touch_project(ctx.tx, changed.project_id, ctx.now)
    return changed


def _merged(old: JsonObject, new: JsonObject, *, deep: bool) -> JsonObject:
    merged = {**old, **new}
    if deep:
        for key, value in new.items():
            if isinstance(value, dict) and isinstance(old.get(key), dict):
                merged[key] = {**old[key], **value}
    return merged


def _not_now(run: Run) -> Precondition:
    return Precondition(
        f"a run that is {run.state} cannot be changed like this", field="status", current_status=str(run.state)
    )


def check_project(ctx: Ctx[ReadTx], project_id: Id | None) -> None:
    """NotFound, naming the field, where the space has no such project."""
    if project_id is not None and project_store.get(ctx.tx, ctx.actor.space_id, project_id) is None:
        raise NotFound(f"project '{project_id}' was not found", field="project", kind="project", id=project_id)


def _check_parent(ctx: Ctx[ReadTx], run: Run, parent_id: Id) -> None:
    above: Id | None = parent_id
    seen = {run.id}
    while above is not None:
        if above in seen:
            raise Invalid("a run cannot be its own ancestor", field="parent")
        seen.add(above)
        parent = store.find_run(ctx.tx, above)
        if parent is None or parent.space_id != ctx.actor.space_id:
            raise NotFound(f"run '{above}' was not found", field="parent", kind="run", id=above)
        above = parent.parent_id


def touch_run(ctx: Ctx[WriteTx], run_id: Id, worker: str | None = None) -> Run:
    """A sign of life: renews `updated_at`, and with `worker` who gave it."""
    run = locked_run(ctx, run_id)
    changed = replace(run, updated_at=ctx.now)
    if worker is not None:
        changed = replace(changed, last_worker=worker, last_worker_at=ctx.now)
    store.save_run(ctx.tx, run, changed)
    return changed


# -- hyperparameters and configuration --------------------------------------------------------------------------

PROPERTIES = "properties"
"""The section of parameters that users keep notes in: it may change in any state, and does not count as news."""


class Replace(StrEnum):
    """What given parameters take the place of: nothing but themselves, their sections, or all there are."""

    NONE = "none"
    SECTION = "section"
    ALL = "all"


def set_params(
    ctx: Ctx[WriteTx],
    run_id: Id,
    params: Mapping[str, Mapping[str, JsonObject]],
    *,
    replace_: Replace = Replace.NONE,
    force: bool = False,
) -> Run:
    """Sets hyperparameters `{section: {name: {"value", "type", "description"}}}`.

    In CREATED only, with `force` also while queued or running; the section "properties" at any time.
    """
    run = locked_run(ctx, run_id)
    given = {section: dict(items) for section, items in params.items()}
    _objects("params", given)
    for section, items in given.items():
        _objects(f"params.{section}", items)
    only_notes = _guard_params(run, given, force=force)
    match replace_:
        case Replace.ALL:
            fresh = given
        case Replace.SECTION:
            fresh = {**run.params, **given}
        case Replace.NONE:
            fresh = _merged(run.params, given, deep=True)
    return save_edited(ctx, run, {"params": fresh}, touch=not only_notes)


def delete_params(
    ctx: Ctx[WriteTx], run_id: Id, names: Sequence[tuple[str, str | None]], *, force: bool = False
) -> Run:
    """Removes `(section, name)`, with name None the whole section; what is not there is no error."""
    run = locked_run(ctx, run_id)
    only_notes = _guard_params(run, [section for section, _ in names], force=force)
    fresh = {section: dict(items) for section, items in run.params.items()}
    for section, name in names:
        if name is None:
            fresh.pop(section, None)
        elif section in fresh:
            fresh[section].pop(name, None)
    return save_edited(ctx, run, {"params": {s: i for s, i in fresh.items() if i}}, touch=not only_notes)


def _guard_params(run: Run, sections: Collection[str], *, force: bool) -> bool:
    """Whether only notes change; Precondition where the state forbids the change."""
    if sections and all(section.lower() == PROPERTIES for section in sections):
        return True
    if run.state is not RunState.CREATED and not (force and run.state in OPEN_STATES):
        raise _not_now(run)
    return False


def set_configuration(
    ctx: Ctx[WriteTx],
    run_id: Id,
    configuration: Mapping[str, JsonObject],
    *,
    replace_all: bool = False,
    force: bool = False,
) -> Run:
    """Sets configuration objects by name. In CREATED only, with `force` also while queued or running."""
    run = locked_run(ctx, run_id)
    given = dict(configuration)
    _objects("configuration", given)
    _guard_params(run, ["configuration"], force=force)
    return save_edited(ctx, run, {"configuration": given if replace_all else {**run.configuration, **given}})


def delete_configuration(ctx: Ctx[WriteTx], run_id: Id, names: Collection[str], *, force: bool = False) -> Run:
    """Removes configuration objects by name; what is not there is no error."""
    run = locked_run(ctx, run_id)
    _guard_params(run, ["configuration"], force=force)
    return save_edited(ctx, run, {"configuration": {k: v for k, v in run.configuration.items() if k not in names}})
