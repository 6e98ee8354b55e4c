"""Requests with Domino's own header, and the things that tests need to be there."""

from __future__ import annotations

import itertools
from typing import Any

from tests.support.servers import Reply, ServerHandle

from quintet.app.models.versions import RegisterVersion, register_version
from quintet.app.projects.manage import CreateProject, create_project
from quintet.app.runs.create import CreateRun, create_run
from quintet.domain.identity import User
from quintet.domain.models import Model, ModelFormat
from quintet.domain.projects import Project
from quintet.domain.runs import Run

_numbers = itertools.count(1)


def fresh(prefix: str) -> str:
    """A name that no other test has."""
    return f"{prefix}-{next(_numbers)}"


def ask(server: ServerHandle, method: str, path: str, body: Any = None, *, key: str = "", **options: Any) -> Reply:
    headers = {"X-Domino-Api-Key": key or server.key}
    return server.call(method, path, body, key=None, headers=headers, **options)


def ok(server: ServerHandle, method: str, path: str, body: Any = None, *, status: int = 200, key: str = "") -> Any:
    """The JSON of an answer with that status; None where it has no body."""
    reply = ask(server, method, path, body, key=key)
    assert reply.status == status, (reply.status, reply.body)
    return reply.json if reply.body else None


def refused(server: ServerHandle, status: int, method: str, path: str, body: Any = None, *, key: str = "") -> str:
    """What the FailureEnvelope of a refusal says."""
    reply = ask(server, method, path, body, key=key)
    assert reply.status == status, (reply.status, reply.body)
    assert set(reply.json) == {"requestId", "errors"}
    assert reply.json["requestId"] == reply.headers["x-request-id"]
    return str(reply.json["errors"][0])


def project_of(server: ServerHandle, name: str | None = None) -> Project:
    return server.core.write_now(server.admin, create_project, CreateProject(name or fresh("project")))


def run_of(server: ServerHandle, project: Project | None = None, **fields: Any) -> Run:
    given = {"name": fresh("run"), "project_id": project.id if project else None, **fields}
    return server.core.write_now(server.admin, create_run, CreateRun(**given))


def model_of(server: ServerHandle, run: Run | None = None, name: str | None = None, **fields: Any) -> Model:
    """A model with one version."""
    cmd = RegisterVersion(
        name or fresh("model"), ModelFormat.NONE, run_id=run.id if run else None,
        project_id=run.project_id if run else None, **fields,
    )  # fmt: skip
    return server.core.write_now(server.admin, register_version, cmd)[0]


def member(server: ServerHandle, role: str = "member") -> tuple[User, str]:
    """A new user of that role, with a key."""
    from quintet.app.identity.accounts import CreateUser, create_key, create_user

    email = f"{fresh(role)}@example.org"
    user = server.core.write_now(server.admin, create_user, CreateUser(email, "Some Body", role))
    return user, server.core.write_now(server.admin, create_key, role, email).key
