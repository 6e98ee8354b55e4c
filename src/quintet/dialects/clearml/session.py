"""Logging in and out, and who one is: `auth.*`, `users.get_current_user`, `debug.ping`, `server.info`."""

from __future__ import annotations

import time
import uuid
from typing import Any

import msgspec
from starlette.responses import Response

from quintet import __version__
from quintet.app.identity import accounts
from quintet.app.services import authenticator
from quintet.dialects.clearml import ids
from quintet.dialects.clearml.auth import COOKIE, credentials
from quintet.dialects.clearml.binder import SERVER_VERSION, endpoint
from quintet.dialects.clearml.contract import NEWEST
from quintet.dialects.clearml.envelope import respond, stamp
from quintet.dialects.kit.call import Call
from quintet.domain.errors import Invalid
from quintet.domain.identity import Actor

DEFAULT_SECONDS = 30 * 24 * 3600
MAX_SECONDS = 365 * 24 * 3600


class Login(msgspec.Struct):
    expiration_sec: int | None = None


@endpoint("auth.login", body=Login)
async def login(call: Call) -> Response:
    """A session token for the bearer header, also set as a cookie."""
    seconds = call.body.expiration_sec or DEFAULT_SECONDS
    if seconds < 1:
        raise Invalid("a session lasts at least a second", field="expiration_sec")
    claims = {**_claims(call.actor, min(seconds, MAX_SECONDS)), **_bounds(call)}
    token = authenticator(call.core).sign_token(claims)
    response = respond(call.request.state.rpc, {"token": token})
    secure = call.request.url.scheme == "https"
    response.set_cookie(COOKIE, token, httponly=True, samesite="lax", max_age=min(seconds, MAX_SECONDS), secure=secure)
    return response


def _claims(actor: Actor, seconds: int) -> dict[str, object]:
    now = int(time.time())
    claims: dict[str, object] = {
        "identity": {
            "user": ids.user_id(actor.user_id),
            "company": ids.company_id(actor.space_id),
            "role": role_of(actor),
            "user_name": actor.user_name,
            "company_name": "quintet",
        },
        "user": actor.user_id,
        "space": actor.space_id,
        "iat": now,
        "exp": now + seconds,
        "env": "prod",
        "session_id": uuid.uuid4().hex,
        "auth_type": "Bearer",
        "api_version": NEWEST,
        "server_version": SERVER_VERSION,
        "server_build": __version__,
        "feature_set": "basic",
    }
    if actor.key_id is not None:
        claims["key"] = actor.key_id
    return claims


def _bounds(call: Call) -> dict[str, object]:
    """What keeps the token of a run from outliving itself: a session from it ends when it does, with its lease."""
    if call.actor.run_id is None:
        return {}
    presented = authenticator(call.core).read_token(credentials(call.request).key or "")
    return {name: presented[name] for name in ("run", "lease", "exp") if name in presented}


def role_of(actor: Actor) -> str:
    """The actor's role by the nearest of this dialect's names."""
    return {"admin": "admin", "annotator": "annotator"}.get(actor.role, "user")


@endpoint("auth.logout")
async def logout(call: Call) -> Response:
    response = respond(call.request.state.rpc, {})
    response.delete_cookie(COOKIE, httponly=True, samesite="lax")
    return response


@endpoint("auth.fixed_users_mode")
async def fixed_users_mode(call: Call) -> dict[str, Any]:
    return {"enabled": False, "server_errors": {"missed_es_upgrade": False, "es_connection_error": False}}


class NewCredentials(msgspec.Struct):
    label: str | None = None


@endpoint("auth.create_credentials", body=NewCredentials)
async def create_credentials(call: Call) -> dict[str, Any]:
    issued = await call.write(accounts.create_key, call.body.label or "")
    shown = {"access_key": issued.access_key, "secret_key": issued.secret_key, "label": call.body.label}
    return {"credentials": shown}


@endpoint("auth.get_credentials")
async def get_credentials(call: Call) -> dict[str, Any]:
    keys = await call.read(accounts.list_keys)
    return {
        "credentials": [
            {"access_key": k.access_key, "label": k.label or None, "last_used": stamp(k.last_used_at)}
            for k in keys
            if k.revoked_at is None
        ]
    }


class AccessKey(msgspec.Struct):
    access_key: str


@endpoint("auth.revoke_credentials", body=AccessKey)
async def revoke_credentials(call: Call) -> dict[str, int]:
    await call.write(accounts.revoke_key, call.body.access_key)
    return {"revoked": 1}


@endpoint("users.get_current_user")
async def get_current_user(call: Call) -> dict[str, Any]:
    user = await call.read(accounts.current_user)
    given, _, family = user.name.partition(" ")
    return {
        "user": {
            "id": ids.user_id(user.id),
            "name": user.name,
            "given_name": given,
            "family_name": family,
            "company": {"id": ids.company_id(call.actor.space_id), "name": "quintet"},
            "role": role_of(call.actor),
            "avatar": None,
            "preferences": user.settings,
        },
        "getting_started": None,
        "settings": {},
    }


@endpoint("debug.ping")
async def ping(call: Call) -> dict[str, Any]:
    """Echoes what it was sent; needs no key."""
    return dict(call.body)


@endpoint("server.info")
async def info(call: Call) -> dict[str, Any]:
    uid = ids.company_id(call.actor.space_id)
    return {
        "version": SERVER_VERSION, "build": __version__, "commit": "", "uid": uid, "api_version": NEWEST,
    }  # fmt: skip
