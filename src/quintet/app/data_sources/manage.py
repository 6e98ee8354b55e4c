"""Make, find, change and delete data sources. Secret credentials are sealed and never given out again.

Who may see one: its owner, administrators, and whom it is shared with (everyone, users, or the members of teams).
Only the owner and administrators change it; everybody it is shared with may set credentials of their own where the
source asks for those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quintet.app.audit import list_audit, note
from quintet.app.authz import authorize
from quintet.app.context import Ctx, ReadTx, WriteTx
from quintet.app.documents import (
    Document,
    create_document,
    delete_document,
    edit_document,
    get_document,
    list_documents,
)
from quintet.app.identity.accounts import get_users, list_teams, memberships
from quintet.app.references import check_member
from quintet.domain.billing import AuditEntry
from quintet.domain.errors import Forbidden, Invalid, NotFound
from quintet.domain.identity import Permission, User
from quintet.domain.ids import Id
from quintet.domain.page import MAX_PAGE, PageRequest
from quintet.domain.projects import check_name

DIALECT = "core"
KIND = "data source"
SHARED = "shared"
"""Whose credentials a source with one set for all has; else they are kept by user id."""

CREATED, CHANGED, SHARED_ANEW, DELETED = (f"data_source.{verb}" for verb in ("create", "change", "share", "delete"))


@dataclass(frozen=True, slots=True)
class NewSource:
    """`secret` credentials are sealed, `visible` ones kept as they are. `everyone` shares it with the whole space."""

    name: str
    type: str
    auth: str
    config: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    individual: bool = False
    secret: Mapping[str, str] = field(default_factory=dict)
    visible: Mapping[str, str] = field(default_factory=dict)
    everyone: bool = False
    shared_with: Sequence[Id] = ()


@dataclass(frozen=True, slots=True)
class SourceChanges:
    """None leaves a thing as it is; credentials are merged name by name."""

    config: Mapping[str, Any] | None = None
    secret: Mapping[str, str] | None = None
    visible: Mapping[str, str] | None = None
    everyone: bool | None = None
    shared_with: Sequence[Id] | None = None


@dataclass(frozen=True, slots=True)
class SourceView:
    """A data source without its secrets, and its owner where still a member."""

    source: Document
    owner: User | None


def create_source(ctx: Ctx[WriteTx], cmd: NewSource) -> SourceView:
    """A new data source, owned by the actor; Conflict where the name is taken."""
    authorize(ctx, Permission.DATASET_WRITE)
    name = check_name(cmd.name)
    if len(name) > 200:
        raise Invalid("the name of a data source has at most 200 characters", field="name")
    _check_targets(ctx, cmd.shared_with)
    whose = ctx.actor.user_id if cmd.individual else SHARED
    data = {
        "name": name, "type": cmd.type, "auth": cmd.auth, "config": dict(cmd.config), "description": cmd.description,
        "individual": cmd.individual, "credentials": {whose: _credentials(ctx, {}, cmd.secret, cmd.visible)},
        "everyone": cmd.everyone, "shared_with": list(cmd.shared_with),
    }  # fmt: skip
    made = create_document(ctx, DIALECT, KIND, data, name)
    _note(ctx, CREATED, made)
    return _views(ctx, [made])[0]


def list_sources(ctx: Ctx[ReadTx], names: Sequence[str] = ()) -> list[SourceView]:
    """The data sources that the actor may see, newest first."""
    authorize(ctx, Permission.DATASET_READ)
    teams = _teams(ctx)
    found = [d for d in _all(ctx) if _may_see(ctx, d, teams) and (not names or d.data["name"] in names)]
    return _views(ctx, sorted(found, key=lambda d: d.id, reverse=True))


def _all(ctx: Ctx[ReadTx]) -> list[Document]:
    found: list[Document] = []
    while True:
        page, total = list_documents(ctx, DIALECT, KIND, MAX_PAGE, offset=len(found))
        found += page
        if not page or len(found) >= total:
            return found


def get_source(ctx: Ctx[ReadTx], ref: str) -> SourceView:
    """By id or name; NotFound too where the actor may not see it."""
    return _views(ctx, [_seen(ctx, ref)])[0]


def change_source(ctx: Ctx[WriteTx], ref: str, cmd: SourceChanges) -> SourceView:
    """Changes what is given. Who is neither owner nor administrator may change only credentials of their own."""
    authorize(ctx, Permission.DATASET_WRITE)
    found = _seen(ctx, ref)
    owns = _owns(ctx, found)
    data = found.data
    if not owns and (cmd.config is not None or cmd.everyone is not None or cmd.shared_with is not None):
        raise Forbidden("only its owner may change a data source")
    changes: dict[str, Any] = {}
    if cmd.config is not None:
        changes["config"] = {**data["config"], **cmd.config}
    if cmd.secret is not None or cmd.visible is not None:
        if not owns and not data["individual"]:
            raise Forbidden("only its owner may change the credentials that all share")
        whose = ctx.actor.user_id if data["individual"] else SHARED
        old = data["credentials"].get(whose, {})
        changes["credentials"] = {**data["credentials"], whose: _credentials(ctx, old, cmd.secret, cmd.visible)}
    if cmd.everyone is not None:
        changes["everyone"] = cmd.everyone
    if cmd.shared_with is not None:
        _check_targets(ctx, cmd.shared_with)
        changes["shared_with"] = list(cmd.shared_with)
    changed = edit_document(ctx, DIALECT, KIND, found.id, changes)
    _note(ctx, SHARED_ANEW if {"everyone", "shared_with"} & set(changes) else CHANGED, changed)
    return _views(ctx, [changed])[0]


def delete_source(ctx: Ctx[WriteTx], ref: str) -> None:
    """Deletes a data source with its credentials; only its owner or an administrator may."""
    authorize(ctx, Permission.DATASET_WRITE)
    found = _seen(ctx, ref)
    if not _owns(ctx, found):
        raise Forbidden("only its owner may delete a data source")
    edit_document(ctx, DIALECT, KIND, found.id, {"credentials": {}})
    _note(ctx, DELETED, delete_document(ctx, DIALECT, KIND, found.id))


def audit_of_sources(ctx: Ctx[ReadTx], since: int | None = None, until: int | None = None) -> list[AuditEntry]:
    """Who did what to data sources, newest first, a page at most."""
    page = PageRequest(limit=MAX_PAGE)
    return list(list_audit(ctx, page, kind=KIND, since=since, until=until).items)


def _credentials(
    ctx: Ctx[Any], old: Mapping[str, Any], secret: Mapping[str, str] | None, visible: Mapping[str, str] | None
) -> dict[str, Any]:
    sealed = {name: {"sealed": ctx.ports.sealer.seal(value)} for name, value in (secret or {}).items()}
    return {
        "secret": {**old.get("secret", {}), **sealed},
        "visible": {**old.get("visible", {}), **(visible or {})},
    }


def _check_targets(ctx: Ctx[ReadTx], targets: Sequence[Id]) -> None:
    teams = {team.id for team in list_teams(ctx)}
    for target in targets:
        if target not in teams:
            check_member(ctx, target, "userAndOrganizationIds")


def _seen(ctx: Ctx[ReadTx], ref: str) -> Document:
    authorize(ctx, Permission.DATASET_READ)
    found = get_document(ctx, DIALECT, KIND, ref)
    if not _may_see(ctx, found, _teams(ctx)):
        raise NotFound.of(KIND, ref)
    return found


def _teams(ctx: Ctx[ReadTx]) -> set[Id]:
    return {team.id for user, team, _ in memberships(ctx) if user == ctx.actor.user_id}


def _owns(ctx: Ctx[Any], item: Document) -> bool:
    return item.created_by == ctx.actor.user_id or ctx.actor.may(Permission.ADMIN)


def _may_see(ctx: Ctx[ReadTx], item: Document, teams: set[Id]) -> bool:
    shared = set(item.data["shared_with"])
    return bool(_owns(ctx, item) or item.data["everyone"] or ctx.actor.user_id in shared or teams & shared)


def _views(ctx: Ctx[ReadTx], sources: Sequence[Document]) -> list[SourceView]:
    users = get_users(ctx, list({s.created_by for s in sources if s.created_by is not None}))
    return [SourceView(s, users.get(s.created_by) if s.created_by else None) for s in sources]


def _note(ctx: Ctx[WriteTx], action: str, item: Document) -> None:
    note(ctx, action, KIND, item.id, name=item.data["name"], type=item.data["type"])
