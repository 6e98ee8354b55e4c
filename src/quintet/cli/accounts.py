"""`quintet user` and `quintet key`: accounts, made in the data folder itself, also beside a running server."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from quintet.app.identity import accounts
from quintet.app.identity.accounts import CreateUser
from quintet.domain.identity import ApiKey, Permission
from quintet.server.composition import Parts, open_parts
from quintet.server.settings import load_settings


def add_commands(commands: Any) -> None:
    """Adds `user` and `key` to the parser."""
    user = _group(commands, "user", "create and list users")
    create = user.add_parser("create", help="add a user: quintet user create --email ann@x.org --role member")
    create.add_argument("--email", required=True)
    create.add_argument("--name", default="")
    create.add_argument("--role", default="member", help="admin, member, read-only, inference, annotator or worker")
    _common(create, _user_create)
    _common(user.add_parser("list", help="every user"), _user_list)

    key = _group(commands, "key", "create, list and revoke keys")
    make = key.add_parser("create", help="a new key: quintet key create --user ann@x.org --label laptop --json")
    make.add_argument("--user", help="e-mail of its user (the administrator)")
    make.add_argument("--label", default="")
    _common(make, _key_create)
    listing = key.add_parser("list", help="keys, without their secrets")
    listing.add_argument("--user", help="only this user's")
    _common(listing, _key_list)
    revoke = key.add_parser("revoke", help="end a key: quintet key revoke ACCESS_KEY")
    revoke.add_argument("access_key")
    _common(revoke, _key_revoke)


def _group(commands: Any, name: str, help_text: str) -> Any:
    return commands.add_parser(name, help=help_text).add_subparsers(required=True, metavar="ACTION")


def _common(parser: argparse.ArgumentParser, run: Any) -> None:
    parser.add_argument("--data", help="the data folder")
    parser.add_argument("--database", help="the database, where it is not in the data folder")
    parser.add_argument("--config", help="TOML file with settings")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


@contextmanager
def opened(given: argparse.Namespace) -> Iterator[Parts]:
    """The parts of an existing data folder, closed again at the end."""
    flags = {"data": given.data, "database": given.database}
    parts = open_parts(load_settings(flags, given.config)[0], create=False)
    try:
        yield parts
    finally:
        parts.close()


def _user_create(given: argparse.Namespace) -> int:
    with opened(given) as parts:
        made = parts.core.write_now(
            parts.admin, accounts.create_user, CreateUser(given.email, given.name, given.role)
        )
    shown = {"id": made.id, "email": made.email, "name": made.name, "role": given.role}
    print(json.dumps(shown) if given.json else f"{made.email} may now sign in as {given.role}; make a key with "
          f"`quintet key create --user {made.email}`")  # fmt: skip
    return 0


def _user_list(given: argparse.Namespace) -> int:
    with opened(given) as parts:
        members = parts.core.read_now(parts.admin, accounts.list_members)
    rows = [{"id": m.user.id, "email": m.user.email, "name": m.user.name, "role": m.role} for m in members]
    if given.json:
        print(json.dumps(rows))
    else:
        for row in rows:
            print(f"{row['email']:40} {row['role']:12} {row['name']}")
    return 0


def _key_create(given: argparse.Namespace) -> int:
    with opened(given) as parts:
        made = parts.core.write_now(parts.admin, accounts.create_key, given.label, given.user)
        owner = parts.core.read_now(parts.admin, accounts.get_users, [made.record.user_id])[made.record.user_id]
        space = parts.first.space.name
    shown = {
        "key": made.key,
        "access_key": made.access_key,
        "secret_key": made.secret_key,
        "user": owner.email,
        "space": space,
    }
    if given.json:
        print(json.dumps(shown))
    else:
        print("Shown this once; only a hash is kept.")
        for name, value in shown.items():
            print(f"  {name:11} {value}")
    return 0


def _key_list(given: argparse.Namespace) -> int:
    with opened(given) as parts:
        actor = parts.admin
        if given.user:
            found = parts.core.read_now(actor, accounts.find_member, given.user)
            own = replace(actor, user_id=found.id, permissions=frozenset({Permission.USERS_MANAGE}))
            keys = parts.core.read_now(own, accounts.list_keys)
        else:
            keys = parts.core.read_now(actor, accounts.list_keys, True)
    rows = [_shown(k) for k in keys]
    if given.json:
        print(json.dumps(rows))
    else:
        for row in rows:
            print(f"{row['access_key']:22} {row['label'] or '-':24} {row['state']:8} last used {row['last_used']}")
    return 0


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "access_key": key.access_key,
        "label": key.label,
        "user_id": key.user_id,
        "created": _time(key.created_at),
        "last_used": _time(key.last_used_at) if key.last_used_at else "never",
        "state": "revoked" if key.revoked_at else "active",
    }


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1e6, UTC).isoformat(timespec="seconds")


def _key_revoke(given: argparse.Namespace) -> int:
    with opened(given) as parts:
        parts.core.write_now(parts.admin, accounts.revoke_key, given.access_key)
    print(json.dumps({"revoked": given.access_key}) if given.json else f"{given.access_key} is revoked")
    return 0
