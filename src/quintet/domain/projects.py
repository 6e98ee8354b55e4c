"""Projects: a tree of names that owns runs, models, datasets, deployments and interactions.

ClearML calls it a project, Domino a project, Adaptive a use case; Llama Stack and the Inference API have no
word for it and use the default project of the caller's space.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from quintet.domain.errors import Invalid
from quintet.domain.ids import Id

DEFAULT_PROJECT = "Default"
MAX_NAME = 1_000
"""The longest name anything may have. Longer ones are refused, never cut: a cut name is another name."""
MAX_DEPTH = 10


@dataclass(frozen=True, slots=True)
class Project:
    """`name` is the full path, `/` between levels; `key` is a slug, unique in the space."""

    id: Id
    space_id: Id
    name: str
    key: str
    created_at: int
    updated_at: int
    created_by: Id
    description: str = ""
    parent_id: Id | None = None
    tags: tuple[str, ...] = ()
    system_tags: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    billing_tag: str | None = None
    visibility: str = "private"
    archived: bool = False
    default_deployment_id: Id | None = None
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def basename(self) -> str:
        return self.name.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Share:
    """A team that works in a project, with the key of the role its members have there."""

    project_id: Id
    team_id: Id
    role: str
    is_owner: bool = False


def check_name(name: str, *, field: str = "name", least: int = 1) -> str:
    """The name as it will be stored; Invalid where it is empty, too long, or holds control characters."""
    if not isinstance(name, str):
        raise Invalid(f"'{field}' must be text", field=field)
    stripped = name.strip()
    if len(stripped) < least:
        raise Invalid(f"'{field}' needs at least {least} character(s)", field=field)
    if len(stripped) > MAX_NAME:
        raise Invalid(f"'{field}' is longer than {MAX_NAME} characters", field=field)
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in stripped):
        raise Invalid(f"'{field}' holds a control character", field=field)
    return stripped


def slug(name: str, fallback: str = "item") -> str:
    """A key made from a name: lower-case ASCII letters, digits and dashes."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_.]+", "-", plain).strip("-.")[:100] or fallback
