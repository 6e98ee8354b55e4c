"""Secrets at rest: AES-256-GCM, with a key that never lies in the database."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from quintet.domain.errors import Unavailable
from quintet.server.settings import Settings, StartupError

NONCE_BYTES = 12
"""The nonce size that GCM is defined for; random, since one key seals far fewer than 2^32 secrets."""


def master_key(settings: Settings) -> bytes:
    """The server's own 32 bytes: from the settings, or from `secret.key` in the data folder, made if missing."""
    if settings.secret_key:
        try:
            key = bytes.fromhex(settings.secret_key)
        except ValueError:
            key = b""
        if len(key) != 32:
            raise StartupError("'secret_key' must be 64 hex digits", 2)
        return key
    path = settings.folder / "secret.key"
    try:
        # O_EXCL: of two servers that start at once on an empty folder, only one makes the key.
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return _read(path)
    except OSError as error:
        raise StartupError(f"the data folder {path.parent} is not writable: {error.strerror}") from error
    key = os.urandom(32)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.hex().encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink()  # half a key would stop every later start
        raise StartupError(f"{path} cannot be written: {error.strerror}") from error
    return key


def _read(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text().strip())
    except (OSError, ValueError):
        key = b""
    if len(key) != 32:
        raise StartupError(f"{path} does not hold 64 hex digits; restore it from a backup")
    return key


def derive(master: bytes, purpose: str) -> bytes:
    """A key of its own for each purpose, so that one never serves two."""
    return HKDF(hashes.SHA256(), 32, salt=None, info=f"quintet:{purpose}".encode()).derive(master)


class AesSealer:
    """`seal` gives text; `unseal` refuses what was changed or sealed with another key."""

    def __init__(self, master: bytes) -> None:
        self._cipher = AESGCM(derive(master, "seal"))

    def seal(self, plain: str) -> str:
        nonce = os.urandom(NONCE_BYTES)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, plain.encode(), None)).decode()

    def unseal(self, sealed: str) -> str:
        raw = base64.b64decode(sealed)
        try:
            return self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], None).decode()
        except InvalidTag as error:
            raise Unavailable("a stored secret cannot be opened with this server's secret key") from error
