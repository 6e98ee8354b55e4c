"""From a presented key to an actor, without a query for each request.

Keys are random, so a plain SHA-256 is enough to store them (nothing to guess by dictionary) and fast enough
to check on every call. Found actors are kept for a short time and dropped at once when keys, roles or users
change in this process.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import secrets
import string
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from quintet.app.context import Effect
from quintet.app.core import Core
from quintet.domain.errors import QuintetError, Unauthenticated
from quintet.domain.identity import BUILTIN_ROLES, Actor, Permission
from quintet.domain.ids import Id
from quintet.storage import identity as store
from quintet.storage import queues
from quintet.storage.tx import ReadTx

log = logging.getLogger("quintet.identity")
CACHE_SECONDS = 15.0
"""How long a revoked key may live on when another process revoked it (`quintet key revoke`)."""

TOUCH_SECONDS = 60.0
"""How often `last_used_at` of one key is written: a minute's precision for one write a minute."""

KEY_PREFIX = "qk_"
_ALPHABET = string.ascii_uppercase + string.digits
RUN_PERMISSIONS = frozenset(
    {
        Permission.PROJECT_READ,
        Permission.RUN_READ,
        Permission.RUN_WRITE,
        Permission.DATASET_READ,
        Permission.DATASET_WRITE,
        Permission.MODEL_READ,
        Permission.MODEL_WRITE,
        Permission.INFER,
    }
)
"""What the token of a run may do, on behalf of the user who started the run."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request presented: `key` alone (one string), or `access_key` with `secret_key`."""

    key: str | None = None
    access_key: str | None = None
    secret_key: str | None = None


def new_key_parts() -> tuple[str, str]:
    """A fresh (access key, secret key): 20 and 43 characters, about 103 and 256 bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(20)), secrets.token_urlsafe(32)


def one_string(access_key: str, secret_key: str) -> str:
    """The pair as the one string that bearer tokens, Domino keys and MLflow tokens carry."""
    return f"{KEY_PREFIX}{access_key}.{secret_key}"


def hash_secret(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class Authenticator:
    """Turns credentials into actors. With `open_actor` set (`--auth none`) any credentials are that actor."""

    def __init__(
        self,
        core: Core,
        token_secret: bytes,
        open_actor: Actor | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._core = core
        self._monotonic = monotonic
        self._secret = token_secret
        self._open = open_actor
        self._cache: dict[str, tuple[float, Actor]] = {}
        self._touched: dict[Id, float] = {}
        self._lock = threading.Lock()
        core.listen(self._on_effect)

    def _on_effect(self, effect: Effect) -> None:
        if effect.kind == "identity":
            with self._lock:
                self._cache.clear()

    async def authenticate(self, given: Credentials) -> Actor:
        """The actor behind the credentials; Unauthenticated where they are missing, wrong, revoked or expired."""
        if self._open is not None and not (given.key or "").startswith("run."):
            return self._open
        key = given.key
        if key is None and given.access_key and given.secret_key is not None:
            key = one_string(given.access_key, given.secret_key)
        if not key:
            raise Unauthenticated("a key is needed; make one with `quintet key create`")
        found = self._cache.get(key)
        if found is not None and found[0] > self._monotonic():
            return found[1]
        actor = await self._resolve(key)
        with self._lock:
            if len(self._cache) > 10_000:
                self._cache.clear()
            self._cache[key] = (self._monotonic() + CACHE_SECONDS, actor)
        return actor

    async def _resolve(self, key: str) -> Actor:
        if key.startswith(KEY_PREFIX):
            access, _, secret = key[len(KEY_PREFIX) :].partition(".")
            actor = await self._core.db.aread(lambda tx: _by_access_key(tx, access, secret))
            await self._touch(actor)
            return actor
        claims = self.read_token(key)
        return await self._core.db.aread(lambda tx: _by_claims(tx, claims))

    async def _touch(self, actor: Actor) -> None:
        key_id = actor.key_id
        if key_id is None or self._touched.get(key_id, -TOUCH_SECONDS) > self._monotonic() - TOUCH_SECONDS:
            return
        self._touched[key_id] = self._monotonic()
        now = self._core.clock()
        try:
            await self._core.db.awrite(lambda tx: store.touch_key(tx, key_id, now))
        except QuintetError as error:
            # A full disk refuses writes; it must not refuse everybody who only wants to read.
            log.warning("the last use of a key could not be written: %s", error.message)

    # -- signed tokens: ClearML's session tokens and the tokens of runs ----------------------------------------

    def sign_token(self, claims: dict[str, object], *, kind: str = "jwt") -> str:
        """A token over `claims` (`exp` in seconds): a JWT (HS256), or for `kind="run"` the same behind `run.`."""
        head = _b64(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
        body = _b64(json.dumps(claims, separators=(",", ":")).encode())
        signature = _b64(hmac.new(self._secret, f"{head}.{body}".encode(), hashlib.sha256).digest())
        token = f"{head}.{body}.{signature}"
        return f"run.{token}" if kind == "run" else token

    def read_token(self, token: str) -> dict[str, object]:
        """The claims of a token that we signed and that has not expired."""
        parts = token.removeprefix("run.").split(".")
        if len(parts) != 3:
            raise Unauthenticated("the key is not one of this server's")
        expected = _b64(hmac.new(self._secret, f"{parts[0]}.{parts[1]}".encode(), hashlib.sha256).digest())
        if not hmac.compare_digest(expected.encode(), parts[2].encode()):
            raise Unauthenticated("the token was not signed by this server")
        try:
            claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        except ValueError as error:
            raise Unauthenticated("the token cannot be read") from error
        expires = claims.get("exp")
        if not isinstance(expires, int | float) or expires < time.time():
            raise Unauthenticated("the token has expired", expired=True)
        return dict(claims)

    def run_token(self, run_id: Id, user_id: Id, space_id: Id, seconds: int) -> str:
        """A token that acts for `user_id` within one run."""
        claims: dict[str, object] = {
            "run": run_id,
            "user": user_id,
            "space": space_id,
            "exp": int(time.time()) + seconds,
        }
        return self.sign_token(claims, kind="run")


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _by_access_key(tx: ReadTx, access: str, secret: str) -> Actor:
    found = store.key_by_access(tx, access)
    # Compare even when nothing was found, so that the time does not tell which access keys exist.
    stored = found.secret_hash if found else hash_secret("")
    if not hmac.compare_digest(stored, hash_secret(secret)) or found is None:
        raise Unauthenticated("the key is not valid")
    if found.key.revoked_at is not None:
        raise Unauthenticated("the key was revoked")
    return actor_of(tx, found.key.user_id, found.key.space_id, key_id=found.key.id)


def _by_claims(tx: ReadTx, claims: dict[str, object]) -> Actor:
    user, space = claims.get("user"), claims.get("space")
    if not isinstance(user, str) or not isinstance(space, str):
        raise Unauthenticated("the token names no user")
    run, key = claims.get("run"), claims.get("key")
    actor = actor_of(tx, Id(user), Id(space), key_id=_live_key(tx, key, space, user) if key is not None else None)
    if isinstance(run, str):
        lease = claims.get("lease")
        held = queues.lease_of(tx, Id(run)) if lease is not None else None
        if lease is not None and (held is None or held.digest != lease):
            raise Unauthenticated("this attempt of the run is over")
        return Actor(
            user_id=actor.user_id,
            space_id=actor.space_id,
            permissions=actor.permissions & RUN_PERMISSIONS,
            user_name=actor.user_name,
            email=actor.email,
            role=actor.role,
            run_id=Id(run),
        )
    return actor


def _live_key(tx: ReadTx, key: object, space: str, user: str) -> Id:
    """The key that a session began with: when it is revoked, the session ends with it."""
    for known in store.keys_of(tx, Id(space), Id(user)):
        if known.id == key and known.revoked_at is None:
            return known.id
    raise Unauthenticated("the key of this session was revoked")


def actor_of(tx: ReadTx, user_id: Id, space_id: Id, key_id: Id | None = None) -> Actor:
    """The actor that a user is in a space; Unauthenticated for unknown, disabled or non-member users."""
    user = store.find_user(tx, user_id)
    if user is None or user.disabled:
        raise Unauthenticated("the user of this key is not active")
    role = store.member_role(tx, space_id, user_id)
    if role is None:
        raise Unauthenticated("the user of this key is not a member of its space")
    permissions = BUILTIN_ROLES.get(role)
    if permissions is None:
        stored = store.role_by_key(tx, space_id, role)
        permissions = stored.permissions if stored else frozenset()
    return Actor(user_id, space_id, permissions, user.name, user.email, role, key_id)
