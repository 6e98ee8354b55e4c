"""`quintet migrate` and `quintet doctor`."""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from quintet.server.composition import migrate_database, open_parts
from quintet.server.serve import bound_socket
from quintet.server.settings import Settings, StartupError, describe, load_settings, shown

LOW_DISK_GB = 2
"""Below this a doctor warns: a checkpoint of a small model or a day of logs still fits."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`state` is ok, warning or error; `mend` says what to do."""

    check: str
    state: str
    what: str
    mend: str = ""


def add_commands(commands: Any) -> None:
    """Adds `migrate` and `doctor` to the parser."""
    from quintet.cli.main import add_settings

    migrate = commands.add_parser("migrate", help="bring the database to this version's schema")
    add_settings(migrate)
    migrate.add_argument("--json", action="store_true", help="print JSON")
    migrate.set_defaults(run=_migrate)
    doctor = commands.add_parser("doctor", help="say what is wrong and how to mend it, and list every setting")
    add_settings(doctor)
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.set_defaults(run=_doctor)


def _settings(given: argparse.Namespace) -> tuple[Settings, dict[str, str]]:
    return load_settings({name: getattr(given, name, None) for name, _, _ in describe()}, given.config)


def _migrate(given: argparse.Namespace) -> int:
    migrate_database(_settings(given)[0])
    print(json.dumps({"migrated": True}) if given.json else "the database has the schema of this version")
    return 0


def _doctor(given: argparse.Namespace) -> int:
    settings, origin = _settings(given)
    findings = list(_findings(settings))
    values = shown(settings)
    if given.json:
        rows = [{"check": f.check, "state": f.state, "what": f.what, "mend": f.mend} for f in findings]
        print(json.dumps({"findings": rows, "settings": values, "origin": origin}))
    else:
        for f in findings:
            print(f"[{f.state:^7}] {f.check}: {f.what}" + (f"\n          mend: {f.mend}" if f.mend else ""))
        print("\nsettings (flag --name, variable QUINTET_NAME, or a line in the TOML file):")
        for name, _, help_text in describe():
            print(f"  {name:13} = {values[name]!r:28} [{origin[name]}] {help_text}")
    return 1 if any(f.state == "error" for f in findings) else 0


def _findings(settings: Settings) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", "ok", version)
    try:
        parts = open_parts(settings, create=False)
    except StartupError as error:
        fresh = "there is no data folder" in str(error)
        yield Finding("data", "warning" if fresh else "error", str(error), "" if fresh else "see the line above")
    else:
        yield Finding("data", "ok", f"{settings.folder}, database {parts.core.db.kind}")
        parts.close()
    folder = settings.folder
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    state = "ok" if free >= LOW_DISK_GB else "warning"
    yield Finding("disk", state, f"{free:.1f} GB free", "" if state == "ok" else "free some space")
    try:
        bound_socket(settings.host, settings.port).close()
        yield Finding("port", "ok", f"{settings.host}:{settings.port} is free")
    except StartupError as error:
        yield Finding("port", "warning", str(error), "nothing to do if that is this server; else choose --port")
    missing = [m for m in ("torch", "transformers", "trl", "peft") if importlib.util.find_spec(m) is None]
    if missing:
        yield Finding("local models", "warning", f"not installed: {', '.join(missing)}", "pip install 'quintet[local]'")
    else:
        yield Finding("local models", "ok", "torch, transformers, trl and peft are installed")
