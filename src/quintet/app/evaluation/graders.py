"""Graders: judges and scoring functions that people define, in one project or for the whole space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from quintet.app.audit import note
from quintet.app.authz import authorize
from quintet.app.context import Ctx, Effect
from quintet.app.references import check_project
from quintet.domain.errors import Conflict, Invalid, NotFound, Precondition
from quintet.domain.evaluation import Grader
from quintet.domain.identity import Permission
from quintet.domain.ids import Id, Kind, from_uuid, new_id, parse_id
from quintet.domain.projects import check_name, slug
from quintet.domain.scoring import DEFAULT_AGGREGATIONS
from quintet.storage import evaluation as store
from quintet.storage.tx import ReadTx, WriteTx

BUILTIN_SCORING: dict[str, str] = {
    "basic::equality": "1 where the answer is the expected one, else 0.",
    "basic::subset_of": "1 where the answer contains the expected one, else 0.",
    "basic::regex_parser_multiple_choice_answer": "Reads the letter chosen out of the answer and compares it.",
    "basic::regex_parser_math_response": "Reads the final number or formula out of the answer and compares it.",
    "llm-as-judge::base": "Asks a judge model, by a prompt template, and reads the score out of its reply.",
}
"""What each function of `domain/scoring.py` does; a test holds the two lists together."""

MAX_KEY = 200
SCORING_FUNCTION = "scoring_function"
"""The type of a grader that was registered as a scoring function: a built-in one with parameters of its own."""
EDITABLE = frozenset({"name", "type", "config", "metric_id"})


@dataclass(frozen=True, slots=True)
class CreateGrader:
    """`key` is derived from the name where absent; with `again` the very same grader may be registered twice."""

    name: str
    type: str
    key: str | None = None
    project_id: Id | None = None
    metric_id: Id | None = None
    config: dict[str, Any] = field(default_factory=dict)
    again: bool = False


def create_grader(ctx: Ctx[WriteTx], cmd: CreateGrader) -> Grader:
    """A new grader; Conflict where its key is taken in the project (or in the space, without one)."""
    authorize(ctx, Permission.METRIC_WRITE)
    check_project(ctx, cmd.project_id)
    name = check_name(cmd.name)
    key = check_name(cmd.key, field="key") if cmd.key is not None else _free_key(ctx, cmd.project_id, name)
    if len(key) > MAX_KEY:
        raise Invalid(f"'key' is longer than {MAX_KEY} characters", field="key")
    there = store.grader_by_key(ctx.tx, ctx.actor.space_id, cmd.project_id, key)
    if there is not None:
        same = (there.name, there.type, there.metric_id, there.config) == (name, cmd.type, cmd.metric_id, cmd.config)
        if cmd.again and same:
            return there
        raise Conflict(f"a grader with the key '{key}' is there already", field="key", key=key)
    grader = Grader(
        new_id(), ctx.actor.space_id, cmd.project_id, key, name, cmd.type, ctx.now, ctx.now, ctx.actor.user_id,
        cmd.metric_id, cmd.config,
    )  # fmt: skip
    store.insert_grader(ctx.tx, grader)
    ctx.after_commit(Effect("grader", grader.id))
    note(ctx, "grader.create", "grader", grader.id, key=key)
    return grader


def _free_key(ctx: Ctx[ReadTx], project_id: Id | None, name: str) -> str:
    base = key = slug(name, "grader")
    number = 2
    while store.grader_by_key(ctx.tx, ctx.actor.space_id, project_id, key) is not None:
        key, number = f"{base}-{number}", number + 1
    return key


def find_grader(ctx: Ctx[ReadTx], ref: str, project_id: Id | None = None) -> Grader:
    """A grader by id in any spelling, or by key: the project's own before the space's. NotFound otherwise."""
    authorize(ctx, Permission.PROJECT_READ)
    space = ctx.actor.space_id
    for ident in (parse_id(ref), from_uuid(ref, Kind.GRADER)):
        if ident is not None and (found := store.get_grader(ctx.tx, space, ident)) is not None:
            return found
    found = store.grader_by_key(ctx.tx, space, project_id, ref) or store.grader_by_key(ctx.tx, space, None, ref)
    if found is None:
        raise NotFound.of("grader", ref)
    return found


def list_graders(
    ctx: Ctx[ReadTx],
    project_id: Id | None = None,
    *,
    ids: Sequence[Id] | None = None,
    types: Sequence[str] | None = None,
) -> list[Grader]:
    """Graders by age; those of a project include the space's own."""
    authorize(ctx, Permission.PROJECT_READ)
    return store.list_graders(ctx.tx, ctx.actor.space_id, project_id=project_id, ids=ids, types=types)


@dataclass(frozen=True, slots=True)
class ScoringFunction:
    """A way to score rows, built in or registered. `params` are those it scores with where none are given."""

    key: str
    description: str
    aggregations: tuple[str, ...]
    params: dict[str, Any] = field(default_factory=dict)
    grader: Grader | None = None


def scoring_functions(ctx: Ctx[ReadTx]) -> list[ScoringFunction]:
    """The built-in scoring functions, then those that were registered in the space, by age."""
    registered = [g for g in list_graders(ctx, types=[SCORING_FUNCTION]) if g.project_id is None]
    return [_builtin(key) for key in DEFAULT_AGGREGATIONS] + [_registered(g) for g in registered]


def _builtin(key: str) -> ScoringFunction:
    return ScoringFunction(key, BUILTIN_SCORING[key], DEFAULT_AGGREGATIONS[key])


def _registered(grader: Grader) -> ScoringFunction:
    params = dict(grader.config.get("params") or {})
    named = tuple(params.get("aggregation_functions") or ())
    return ScoringFunction(grader.key, str(grader.config.get("description") or ""), named, params, grader)


def find_scoring_function(ctx: Ctx[ReadTx], key: str) -> ScoringFunction:
    """A scoring function by its name; NotFound otherwise."""
    if key in DEFAULT_AGGREGATIONS:
        authorize(ctx, Permission.PROJECT_READ)
        return _builtin(key)
    try:
        grader = find_grader(ctx, key)
    except NotFound:
        raise NotFound.of("scoring function", key) from None
    if grader.type != SCORING_FUNCTION:
        raise NotFound.of("scoring function", key)
    return _registered(grader)


def edit_grader(ctx: Ctx[WriteTx], ref: str, changes: Mapping[str, Any], project_id: Id | None = None) -> Grader:
    """Replaces the given fields (`EDITABLE`); Precondition where the grader is locked."""
    authorize(ctx, Permission.METRIC_WRITE)
    grader = find_grader(ctx, ref, project_id)
    unknown = set(changes) - EDITABLE
    if unknown:
        raise Invalid(f"a grader has no field '{min(unknown)}' to change", field=min(unknown))
    if grader.locked:
        raise Precondition(f"the grader '{grader.key}' is locked", field="locked", grader=grader.id)
    real = dict(changes)
    if "name" in real:
        real["name"] = check_name(real["name"])
    return _save(ctx, replace(grader, **real))


def lock_grader(ctx: Ctx[WriteTx], ref: str, locked: bool = True, project_id: Id | None = None) -> Grader:
    """Closes a grader to changes, or opens it again."""
    authorize(ctx, Permission.METRIC_WRITE)
    return _save(ctx, replace(find_grader(ctx, ref, project_id), locked=locked))


def _save(ctx: Ctx[WriteTx], grader: Grader) -> Grader:
    changed = replace(grader, updated_at=ctx.now)
    store.save_grader(ctx.tx, changed)
    ctx.after_commit(Effect("grader", grader.id))
    return changed


def delete_grader(ctx: Ctx[WriteTx], ref: str, project_id: Id | None = None) -> Grader:
    """Deletes a grader, locked or not: scores that it gave stay as they are."""
    authorize(ctx, Permission.METRIC_WRITE)
    grader = find_grader(ctx, ref, project_id)
    store.delete_grader(ctx.tx, grader.id)
    ctx.after_commit(Effect("grader", grader.id, {"deleted": True}))
    note(ctx, "grader.delete", "grader", grader.id, key=grader.key)
    return grader
