"""Rows that most tests need: a space with an admin, a project, a run; and the context a use case runs in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from sqlalchemy import insert

from quintet.app.context import Ctx, Effect, Ports
from quintet.domain.errors import Unavailable
from quintet.domain.identity import BUILTIN_ROLES, Actor
from quintet.domain.ids import Id, new_id
from quintet.domain.projects import Project
from quintet.domain.runs import Run, RunKind, RunState
from quintet.ports.blobs import Blobs
from quintet.ports.egress import EgressReply
from quintet.storage import tables
from quintet.storage.database import Database
from quintet.storage.mapping import Mapper
from quintet.storage.tx import ReadTx, WriteTx

R = TypeVar("R")
NOW = 1_700_000_000_000_000
"""The time that tests run at unless they say otherwise, in microseconds."""

_projects = Mapper(Project, tables.projects)
_runs = Mapper(Run, tables.runs)


@dataclass(frozen=True, slots=True)
class World:
    """A space, its admin as actor, and one project."""

    space_id: Id
    actor: Actor
    project: Project

    def as_role(self, role: str) -> Actor:
        """The same user with the rights of a built-in role."""
        return replace(self.actor, role=role, permissions=BUILTIN_ROLES[role])


def make_world(db: Database, *, email: str = "") -> World:
    """Stores a space, an admin user who is its member, and a project; call again for a second, foreign space."""
    space, user, project = new_id(), new_id(), new_id()
    email = email or f"{user}@example.org"
    item = Project(project, space, f"project {project}", f"project-{project}", NOW, NOW, user)

    def work(tx: WriteTx) -> None:
        tx.write(insert(tables.spaces), {"id": space, "name": f"space {space}", "description": "", "created_at": NOW})
        tx.write(
            insert(tables.users), {"id": user, "email": email, "name": "Ada", "created_at": NOW, "disabled": False}
        )
        tx.write(
            insert(tables.members),
            {"space_id": space, "user_id": user, "role": "admin", "created_at": NOW, "permissions": []},
        )
        tx.write(insert(tables.projects), _projects.dump(item))

    db.write(work)
    return World(space, Actor(user, space, BUILTIN_ROLES["admin"], "Ada", email, "admin"), item)


def make_run(db: Database, world: World, *, state: RunState = RunState.RUNNING, **fields: Any) -> Run:
    """Stores a run of the world's project; `fields` are fields of `Run`."""
    values: dict[str, Any] = {
        "id": new_id(), "space_id": world.space_id, "project_id": world.project.id, "name": "run",
        "kind": RunKind.TASK, "type": "training", "state": state, "created_by": world.actor.user_id,
        "created_at": NOW, "updated_at": NOW, "changed_at": NOW, "started_at": NOW,
    }  # fmt: skip
    run = Run(**{**values, **fields})
    db.write(lambda tx: tx.write(insert(tables.runs), _runs.dump(run)))
    return run


class NoEgress:
    """An outside world that never answers."""

    def check_url(self, url: str) -> None:
        """Any URL might be fetched, as far as this one knows."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        body: bytes | None = None,
        timeout: float = 60.0,
        max_bytes: int = 64 * 1024 * 1024,
    ) -> EgressReply:
        raise Unavailable(f"tests reach nothing outside, so not {url} either")

    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        timeout: float = 600.0,
    ) -> AsyncIterator[bytes]:
        raise Unavailable(f"tests reach nothing outside, so not {url} either")
        yield b""  # makes this an async generator


class OpenSealer:
    """Seals by a prefix, so that tests can see whether something was sealed."""

    def seal(self, plain: str) -> str:
        return f"sealed:{plain}"

    def unseal(self, sealed: str) -> str:
        return sealed.removeprefix("sealed:")


def make_ports(blobs: Blobs | None = None, settings: Mapping[str, Any] | None = None) -> Ports:
    """Ports that reach nothing; give `blobs` where the test stores any."""
    return Ports(blobs=cast(Blobs, blobs), egress=NoEgress(), sealer=OpenSealer(), settings=settings or {})


def write_as(
    db: Database,
    actor: Actor,
    use_case: Callable[..., R],
    *args: Any,
    now: int = NOW,
    ports: Ports | None = None,
    effects: list[Effect] | None = None,
    **kwargs: Any,
) -> R:
    """Runs a writing use case in its own transaction; `effects` collects what it told listeners."""
    told = effects if effects is not None else []
    return db.write(lambda tx: use_case(Ctx[WriteTx](actor, tx, now, ports or make_ports(), told), *args, **kwargs))


def read_as(
    db: Database,
    actor: Actor,
    use_case: Callable[..., R],
    *args: Any,
    now: int = NOW,
    ports: Ports | None = None,
    **kwargs: Any,
) -> R:
    """Runs a reading use case in a view of its own."""
    return db.read(lambda tx: use_case(Ctx[ReadTx](actor, tx, now, ports or make_ports()), *args, **kwargs))
