"""The composition root: makes every part from the settings and hands it to those who need it."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from quintet.app import leftovers
from quintet.app.context import Ctx, Ports
from quintet.app.core import Core
from quintet.app.identity.accounts import SYSTEM, FirstRun, admin_actor, bootstrap, first_run
from quintet.app.identity.authenticate import Authenticator
from quintet.app.models.files import ModelFiles
from quintet.app.serving.callpath import CallPath
from quintet.app.serving.engines import EnginePool
from quintet.blobs.opened import open_blobs
from quintet.domain.errors import QuintetError
from quintet.domain.identity import Actor
from quintet.egress.client import GuardedEgress
from quintet.engines.catalog import load_engine
from quintet.engines.services import EngineServices
from quintet.ports.engine import Engine
from quintet.server.recipes import BuiltinRecipes
from quintet.server.sealing import AesSealer, derive, master_key
from quintet.server.settings import Settings, StartupError, without_password
from quintet.storage.database import Database
from quintet.storage.migrate import is_current, upgrade

log = logging.getLogger("quintet.server")


@dataclass(slots=True)
class Parts:
    """What a process has open; `close` gives it back."""

    settings: Settings
    core: Core
    egress: GuardedEgress
    first: FirstRun
    admin: Actor
    threads: ThreadPoolExecutor

    async def aclose(self) -> None:
        pool = self.core.services.get("pool")
        if isinstance(pool, EnginePool):
            await pool.close()
        await self.egress.close()
        self.close()

    def close(self) -> None:
        self.core.db.close()
        self.threads.shutdown(wait=True)


def open_parts(settings: Settings, *, create: bool = True) -> Parts:
    """Opens the data folder and the database, migrated; StartupError says in one line what is in the way.

    With `create` false (command lines beside a server) nothing is made or migrated: a data folder that is not
    there, was never used, or has an older schema is an error.
    """
    folder = settings.folder
    if not create and not (folder / "secret.key").exists() and not settings.secret_key:
        raise StartupError(f"there is no data folder at {folder}; run `quintet up --data {folder}` first")
    _make_folder(folder)
    master = master_key(settings)
    database = _open_database(settings, migrate=create)
    try:
        return _assemble(settings, master, database, create)
    except BaseException:
        database.close()
        raise


def _assemble(settings: Settings, master: bytes, database: Database, create: bool) -> Parts:
    folder = settings.folder
    try:
        blobs = open_blobs(settings.blobs_target)
    except (OSError, QuintetError) as error:
        target = without_password(settings.blobs_target)
        raise StartupError(f"the blob store {target} cannot be opened: {error}") from error
    egress = GuardedEgress(settings.allowed_networks)
    options = {
        "cache_dir": str(folder / "cache"),
        "url": settings.url,
        "data": str(folder),
        "body_limit": settings.body_limit,
    }
    core = Core(database, Ports(blobs, egress, AesSealer(master), options))
    threads = ThreadPoolExecutor(2, thread_name_prefix="quintet-leftovers")
    core.listen(leftovers.listener(core.ports, threads))
    try:
        first = core.write_now(SYSTEM, bootstrap) if create else core.read_now(SYSTEM, first_run)
        admin = core.read_now(SYSTEM, admin_actor)
    except (SQLAlchemyError, QuintetError) as error:
        raise StartupError(f"the database cannot be used: {error}") from error
    core.services["auth"] = Authenticator(core, derive(master, "token"), admin if settings.auth == "none" else None)
    return Parts(settings, core, egress, first, admin, threads)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartupError(f"the data folder {folder} cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StartupError(f"the data folder {folder} is not writable; give this user the right to write there")


def migrate_database(settings: Settings) -> None:
    """Brings the database to this version's schema, and makes nothing else."""
    _make_folder(settings.folder)
    _open_database(settings, migrate=True).close()


def _open_database(settings: Settings, *, migrate: bool) -> Database:
    database = None
    try:
        database = Database(settings.database_url)
        if migrate:
            upgrade(database)
        elif not is_current(database):
            raise StartupError("the database has the schema of an older version; run `quintet migrate` first")
    except (QuintetError, StartupError, SQLAlchemyError, ValueError) as error:
        if database is not None:
            database.close()
        if isinstance(error, StartupError):
            raise
        if isinstance(error, QuintetError):
            raise StartupError(error.message) from error
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        shown = without_password(settings.database_url)
        raise StartupError(f"the database {shown} cannot be used: {reason}") from error
    return database


def add_serving(parts: Parts) -> None:
    """Adds the call path and the engines, which only a server has."""
    services = EngineServices(parts.egress, parts.settings.folder / "cache")

    def load(name: str, config: Mapping[str, Any]) -> Engine:
        return load_engine(name, config, services)

    pool = EnginePool(parts.core, load, materialise)
    parts.core.services["pool"] = pool
    parts.core.services["callpath"] = CallPath(parts.core, pool)
    parts.core.services["recipes"] = BuiltinRecipes()


def materialise(files: ModelFiles, ports: Ports) -> Path:
    """The folder of a version: the store's own where it is local, else a copy in the cache folder."""
    if files.path is not None:
        return files.path
    folder = Path(str(ports.settings["cache_dir"])) / "models" / files.weights.replace(":", "-")
    done = folder / ".complete"
    if done.exists():
        return folder
    for relative, key in files.keys.items():
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        size = int(files.files[relative].get("size", 0))
        with target.open("wb") as file:
            # In pieces: weights are larger than what a request may hold in memory.
            for start in range(0, max(size, 1), PIECE):
                file.write(ports.blobs.get_range(key, start, min(PIECE, size - start)) if size else b"")
    done.touch()
    return folder


PIECE = 16 * 1024 * 1024


def as_space(actor: Actor, space_id: Any) -> Actor:
    """The same rights in another space, for background work."""
    return replace(actor, space_id=space_id)


__all__ = ["Ctx", "Parts", "add_serving", "as_space", "materialise", "open_parts"]
