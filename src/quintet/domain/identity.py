"""Who may do what: spaces, users, teams, roles, API keys, and the actor that every use case checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from quintet.domain.ids import Id


class Permission(StrEnum):
    """A right, as `noun:verb`. Roles are sets of these; dialects list them by their own names."""

    ADMIN = "admin:all"
    USERS_MANAGE = "admin:manage_users"
    TEAMS_MANAGE = "admin:manage_teams"
    ROLES_MANAGE = "admin:manage_roles"
    AUDIT_READ = "admin:read_audit"
    COST_READ = "cost:read"
    PROJECT_READ = "use_case:read"
    PROJECT_CREATE = "use_case:create"
    PROJECT_WRITE = "use_case:adapt"
    PROJECT_SHARE = "use_case:share"
    RUN_READ = "run:read"
    RUN_WRITE = "run:write"
    QUEUE_WRITE = "queue:write"
    WORK = "run:execute"
    DATASET_READ = "dataset:read"
    DATASET_WRITE = "dataset:write"
    MODEL_READ = "model:read"
    MODEL_WRITE = "model:write"
    MODEL_REVIEW = "model:review"
    DEPLOYMENT_WRITE = "deployment:write"
    INFER = "model:infer"
    INTERACTION_READ = "interaction:read"
    INTERACTION_WRITE = "interaction:write"
    FEEDBACK_WRITE = "feedback:write"
    METRIC_WRITE = "metric:write"
    EXPERIMENT_WRITE = "experiment:write"


_READS = {
    Permission.PROJECT_READ,
    Permission.RUN_READ,
    Permission.DATASET_READ,
    Permission.MODEL_READ,
    Permission.INTERACTION_READ,
}
_WORKER = {Permission.WORK}
_ADMIN_ONLY = {
    Permission.ADMIN,
    Permission.USERS_MANAGE,
    Permission.TEAMS_MANAGE,
    Permission.ROLES_MANAGE,
    Permission.AUDIT_READ,
    Permission.COST_READ,
}

BUILTIN_ROLES: dict[str, frozenset[Permission]] = {
    "admin": frozenset(Permission),
    "member": frozenset(set(Permission) - _ADMIN_ONLY - _WORKER),
    "read-only": frozenset(_READS),
    "inference": frozenset({Permission.PROJECT_READ, Permission.MODEL_READ, Permission.INFER}),
    "annotator": frozenset(_READS | {Permission.FEEDBACK_WRITE}),
    "worker": frozenset(_READS | _WORKER | {Permission.RUN_WRITE}),
}
"""The roles every space starts with, by key."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is asking: made by the authenticator from a key, never from what a request says of itself.

    `run_id` is set for the token of one run: such an actor may touch that run and read what the run needs.
    """

    user_id: Id
    space_id: Id
    permissions: frozenset[Permission]
    user_name: str = ""
    email: str = ""
    role: str = "member"
    key_id: Id | None = None
    run_id: Id | None = None

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions


@dataclass(frozen=True, slots=True)
class Space:
    id: Id
    name: str
    description: str
    created_at: int
    created_by: Id | None = None
    updated_at: int = 0
    deleted_at: int | None = None


@dataclass(frozen=True, slots=True)
class User:
    id: Id
    email: str
    name: str
    created_at: int
    role: str = "member"
    disabled: bool = False
    settings: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Team:
    id: Id
    space_id: Id
    key: str
    name: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Role:
    id: Id
    space_id: Id
    key: str
    name: str
    permissions: frozenset[Permission]
    created_at: int


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept: the secret itself is shown once and only its hash stored."""

    id: Id
    user_id: Id
    space_id: Id
    access_key: str
    prefix: str
    label: str
    created_at: int
    last_used_at: int | None = None
    revoked_at: int | None = None


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key at the only moment its secrets are known.

    `key` serves wherever one string is asked for (bearer token, Domino key, MLflow token); the pair
    `access_key`/`secret_key` where two are (ClearML).
    """

    key: str
    access_key: str
    secret_key: str
    record: ApiKey
