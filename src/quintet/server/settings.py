"""Settings: flags over `QUINTET_*` variables over one TOML file over defaults; `quintet doctor` lists them all."""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from quintet.app.work.leases import LEASE_SECONDS


class StartupError(Exception):
    """Why a command cannot go on, in one line that says how to mend it. `code` is the exit status."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def _setting(default: Any, help_text: str) -> Any:
    return field(default=default, metadata={"help": help_text})


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set."""

    data: str = _setting("quintet-data", "the data folder: database, blobs, secret key, caches")
    host: str = _setting("127.0.0.1", "the address to listen on")
    port: int = _setting(8008, "the port to listen on")
    database: str = _setting("", "postgresql://… instead of the SQLite file in the data folder")
    blobs: str = _setting("", "s3://…, gs://…, az://… or a folder, instead of `blobs` in the data folder")
    workers: int = _setting(1, "worker processes to start beside the server")
    lease_seconds: int = _setting(60, "after how long without a sign of life a worker is lost and its run tried again")
    auth: str = _setting("keys", "`keys`, or `none` (loopback only): any credential is then the administrator")
    egress_allow: str = _setting("", "networks (CIDR, comma-separated) that URLs given by users may point into")
    public_url: str = _setting("", "the URL clients reach this server by, where it is behind a proxy")
    body_limit: int = _setting(64 * 1024 * 1024, "the largest request body in bytes; calls may allow less, uploads more")
    log_level: str = _setting("info", "debug, info, warning or error")
    secret_key: str = _setting("", "32 bytes in hex that seal secrets, instead of `secret.key` in the data folder")

    @property
    def folder(self) -> Path:
        return Path(self.data).expanduser().absolute()

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.folder / 'quintet.db'}"

    @property
    def blobs_target(self) -> str:
        return self.blobs or str(self.folder / "blobs")

    @property
    def url(self) -> str:
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - compared, not bound
        return self.public_url or f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def on_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def allowed_networks(self) -> list[str]:
        """Networks that egress may reach; loopback by default only while the server itself listens on loopback."""
        given = [n.strip() for n in self.egress_allow.split(",") if n.strip()]
        return given or (["127.0.0.0/8", "::1/128"] if self.on_loopback else [])


def load_settings(flags: Mapping[str, Any], config: str | None = None) -> tuple[Settings, dict[str, str]]:
    """The settings, and for each name where its value came from: flag, environment, file or default."""
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    types = get_type_hints(Settings)
    path = config or os.environ.get("QUINTET_CONFIG")
    document = _read_toml(Path(path)) if path else {}
    names = {f.name for f in fields(Settings)}
    unknown = sorted(set(document) - names)
    if unknown:
        raise StartupError(f"{path}: there is no setting '{unknown[0]}'; `quintet doctor` lists them", 2)
    for name in names:
        variable = f"QUINTET_{name.upper()}"
        if flags.get(name) is not None:
            values[name], origin[name] = flags[name], "flag"
        elif variable in os.environ:
            values[name], origin[name] = os.environ[variable], variable
        elif name in document:
            values[name], origin[name] = document[name], str(path)
        else:
            origin[name] = "default"
            continue
        values[name] = _typed(name, values[name], types[name], origin[name])
    settings = Settings(**values)
    _check(settings)
    return settings, origin


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise StartupError(f"the configuration file {path} cannot be read: {error.strerror}", 2) from error
    except tomllib.TOMLDecodeError as error:
        raise StartupError(f"the configuration file {path} is not TOML: {error}", 2) from error


def _typed(name: str, value: Any, wanted: type, origin: str) -> Any:
    if wanted is int:
        try:
            return int(value)
        except (TypeError, ValueError):
            raise StartupError(f"'{name}' ({origin}) must be a whole number, not {value!r}", 2) from None
    if not isinstance(value, str):
        raise StartupError(f"'{name}' ({origin}) must be text, not {value!r}", 2)
    return value


def _check(settings: Settings) -> None:
    if not 0 <= settings.port <= 65535:
        raise StartupError(f"the port must be 0 to 65535, not {settings.port}", 2)
    if settings.body_limit < 1:
        raise StartupError("'body_limit' must be at least 1 byte", 2)
    if settings.workers < 0:
        raise StartupError("the number of workers cannot be negative", 2)
    if not LEASE_SECONDS[0] <= settings.lease_seconds <= LEASE_SECONDS[1]:
        raise StartupError(f"'lease_seconds' must be {LEASE_SECONDS[0]} to {LEASE_SECONDS[1]}", 2)
    if settings.auth not in ("keys", "none"):
        raise StartupError(f"'auth' must be `keys` or `none`, not {settings.auth!r}", 2)
    if settings.auth == "none" and not settings.on_loopback:
        raise StartupError("`--auth none` works only on loopback; use `--host 127.0.0.1` or leave sign-in on", 2)
    for network in settings.allowed_networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise StartupError(f"'{network}' in egress_allow is not a network such as 10.0.0.0/8", 2) from None
    if settings.database and not settings.database.startswith(("postgresql://", "postgres://", "sqlite:///")):
        raise StartupError("'database' must be postgresql://… (or left out for SQLite)", 2)


def without_password(url: str) -> str:
    """A URL that is safe to show."""
    head, at, tail = url.rpartition("@")
    return f"{head.split('://', maxsplit=1)[0]}://…@{tail}" if at else url


def shown(settings: Settings) -> dict[str, Any]:
    """Every setting with its value, safe to show."""
    values = {f.name: getattr(settings, f.name) for f in fields(settings)}
    values["secret_key"] = "********" if settings.secret_key else ""
    values["database"] = without_password(settings.database)
    values["blobs"] = without_password(settings.blobs)
    return values


def describe() -> list[tuple[str, Any, str]]:
    """(name, default, what it is) of every setting."""
    return [(f.name, f.default, f.metadata["help"]) for f in fields(Settings)]
