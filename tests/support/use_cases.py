"""Every use case of `quintet.app`, found by its signature and called with made-up arguments.

For tests of rules that hold for all of them: a new use case is covered on the day it is written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import importlib
import inspect
import pkgutil
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import quintet.app
from quintet.app.authz import require
from quintet.app.context import Ctx, Ports
from quintet.app.datasets.manage import CreateDataset, create_dataset
from quintet.app.datasets.snapshots import create_snapshot
from quintet.app.documents import create_document
from quintet.app.evaluation.benchmarks import CreateBenchmark, create_benchmark
from quintet.app.evaluation.graders import CreateGrader, create_grader
from quintet.app.feedback.manage import CreateMetric, GiveFeedback, create_metric, give_feedback
from quintet.app.identity.accounts import create_key, create_team
from quintet.app.interactions.manage import AddInteraction, add_interaction
from quintet.app.models.versions import RegisterVersion, register_version
from quintet.app.queues.manage import CreateQueue, create_queue
from quintet.app.runs.parts import NewCheckpoint, add_checkpoint
from quintet.app.serving.deployments import CreateEndpoint, create_endpoint
from quintet.app.uploads.sessions import start_upload
from quintet.blobs.opened import open_blobs
from quintet.domain.errors import Forbidden, QuintetError
from quintet.domain.identity import Actor, Permission
from quintet.domain.ids import Id
from quintet.storage.database import Database
from quintet.storage.tx import ReadTx, WriteTx
from tests.support.factories import NOW, World, make_ports, make_run, make_world, write_as


@dataclass(frozen=True, slots=True)
class UseCase:
    """A function that takes a context; `writes` where it asks for a transaction that may change things."""

    name: str
    call: Callable[..., Any]
    writes: bool


@dataclass(frozen=True)
class Watched(Actor):
    """An actor who remembers what `authorize` asked of it; other questions only widen or narrow an answer."""

    asked: list[Permission] = dataclasses.field(default_factory=list)

    def may(self, permission: Permission) -> bool:
        if sys._getframe(1).f_code is require.__code__:
            self.asked.append(permission)
        return permission in self.permissions


@dataclass(frozen=True, slots=True)
class Things:
    """A world and what lies in it, by the names that arguments have."""

    world: World
    ports: Ports
    by_name: Mapping[str, Any]
    refs: Mapping[str, Any]
    """What `ref` (and `ids`) names, by the module of the use case."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`kind` is done, forbidden, refused (another error of the family) or broken.

    `detail` is the result, or the error with its code.
    """

    kind: str
    asked: tuple[Permission, ...]
    detail: str


def use_cases() -> Iterator[UseCase]:
    """All of them, by module and name."""
    for found in sorted(pkgutil.walk_packages(quintet.app.__path__, "quintet.app."), key=lambda m: m.name):
        module = importlib.import_module(found.name)
        for name, function in sorted(vars(module).items()):
            if name.startswith("_") or not inspect.isfunction(function) or function.__module__ != found.name:
                continue
            first = next(iter(inspect.signature(function).parameters.values()), None)
            if first is not None and first.name == "ctx":
                short = f"{found.name.removeprefix('quintet.app.')}.{name}"
                yield UseCase(short, function, "WriteTx" in str(first.annotation))


def populate(db: Database, folder: Path) -> Things:
    """A world with one of each thing that made-up arguments can name."""
    world = make_world(db)
    ports = dataclasses.replace(make_ports(), blobs=open_blobs(str(folder / "blobs")))

    def made(use_case: Callable[..., Any], *arguments: Any) -> Any:
        return write_as(db, world.actor, use_case, *arguments, ports=ports)

    project = world.project
    run = make_run(db, world)
    checkpoint = made(add_checkpoint, run.id, NewCheckpoint("c", 1))
    queue = made(create_queue, CreateQueue("default"))
    dataset = made(create_dataset, CreateDataset("ada-rows", project_id=project.id))
    snapshot = made(create_snapshot, dataset.id)
    _, version = made(register_version, RegisterVersion("ada-model"))
    endpoint = made(create_endpoint, CreateEndpoint("ada-echo", "test", "echo", engine="fake"))
    metric = made(create_metric, CreateMetric("ada-metric"))
    grader = made(create_grader, CreateGrader("ada-judge", "equality"))
    benchmark = made(create_benchmark, CreateBenchmark("ada-exam", dataset=dataset.id))
    call = made(add_interaction, AddInteraction([{"role": "user", "content": "hi"}], "hello", project_id=project.id))
    given = made(give_feedback, GiveFeedback(metric.key, call.id, 0.5))
    upload = made(start_upload, 1)
    document = made(create_document, "x", "x", {})
    team = made(create_team, "Team")
    key = made(create_key, "key")
    refs = {
        "datasets": dataset.id, "evaluation.benchmarks": benchmark.id, "evaluation.graders": grader.id,
        "feedback": metric.id, "models": version.model_id, "projects": project.id, "queues": queue.id, "runs": run.id,
        "serving": endpoint.id, "documents": document.id, "uploads": upload.id, "identity.organisations": team.id,
    }  # fmt: skip
    names = {
        "run_id": run.id, "source_id": run.id, "project": project.id, "project_id": project.id, "queue": queue.id,
        "queue_ref": queue.id, "queue_id": queue.id, "user": world.actor.email, "checkpoint_id": checkpoint.id,
        "dataset": dataset.id, "dataset_id": dataset.id, "snapshot_ref": snapshot.id, "model": version.model_id,
        "model_id": version.model_id, "metric": metric.id, "metric_id": metric.id, "benchmark": benchmark.id,
        "interaction_id": call.id, "preferred_id": call.id, "other_id": call.id, "feedback_id": given.id,
        "deployment_id": endpoint.id, "team": team.id, "id_or_key": team.id, "access_key": key.access_key,
        "access_or_id": key.access_key, "id_or_email": world.actor.email, "service": endpoint.id,
    }  # fmt: skip
    return Things(world, ports, names, refs)


def attempt(
    db: Database, things: Things, use_case: UseCase, permissions: frozenset[Permission], world: World | None = None
) -> Outcome:
    """Calls it on `things` as the user of `world` (theirs by default) with exactly `permissions`, then undoes it."""
    home = world or things.world
    actor = Watched(home.actor.user_id, home.space_id, permissions, role="probe", email=home.actor.email)
    outcome: list[Outcome] = []

    def work(tx: ReadTx) -> None:
        ctx = Ctx(actor, tx, NOW, things.ports, [])
        try:
            arguments, named = made_up(use_case, things)
            result = use_case.call(ctx, *arguments, **named)
        except Forbidden as error:
            outcome.append(Outcome("forbidden", tuple(actor.asked), error.message))
        except QuintetError as error:
            outcome.append(Outcome("refused", tuple(actor.asked), f"{error.code}: {error.message}"))
        except Exception as error:
            outcome.append(Outcome("broken", tuple(actor.asked), repr(error)))
        else:
            outcome.append(Outcome("done", tuple(actor.asked), repr(result)))
        raise _Undo

    with contextlib.suppress(_Undo):
        db.write(typing.cast("Callable[[WriteTx], None]", work))
    return outcome[0]


class _Undo(Exception):
    """Ends a transaction without a trace."""


def made_up(use_case: UseCase, things: Things) -> tuple[list[Any], dict[str, Any]]:
    """Arguments after the context, by position and by name: just those that it cannot do without."""
    function = use_case.call
    hints = typing.get_type_hints(function)
    ref = next((v for k, v in things.refs.items() if use_case.name.startswith(k)), "x")
    things = dataclasses.replace(things, by_name={"ref": ref, "id": ref, **things.by_name})
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY:
            if parameter.default is parameter.empty:
                named[parameter.name] = _value(parameter.name, hints.get(parameter.name, str), things)
        elif parameter.default is parameter.empty:
            positional.append(_value(parameter.name, hints.get(parameter.name, str), things))
    return positional, named


def _value(name: str, hint: Any, things: Things) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _value(name, next(a for a in typing.get_args(hint) if a is not type(None)), things)
    if name in things.by_name and hint in (str, Id):
        return things.by_name[name]
    if origin is not None:
        return _container(name, hint, origin, things)
    if hint is Id:
        return Id("f" * 24)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return next(iter(hint))
    if dataclasses.is_dataclass(hint):
        types_of = typing.get_type_hints(hint)
        needed = [f for f in dataclasses.fields(hint)
                  if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING]  # fmt: skip
        return hint(**{f.name: _value(f.name, types_of[f.name], things) for f in needed})  # type: ignore[operator]
    plain: dict[Any, Any] = {
        str: "x",
        int: 1,
        float: 0.5,
        bool: True,
        bytes: b"{}",
        dict: {},
        list: [],
        Path: Path("x"),
    }
    return plain.get(hint)


def _container(name: str, hint: Any, origin: Any, things: Things) -> Any:
    inner = typing.get_args(hint)
    if origin in (dict, Mapping):
        return {}
    if origin is tuple and not (len(inner) == 2 and inner[1] is Ellipsis):
        return tuple(_value(name, i, things) for i in inner)
    if origin is typing.Literal:
        return inner[0]
    if inspect.isclass(origin) and issubclass(origin, Callable):  # type: ignore[arg-type]
        return lambda *a, **k: None
    one = [_value(name.removesuffix("s"), inner[0], things)] if inner else []
    return tuple(one) if origin is tuple else set(one) if origin in (set, frozenset) else one
