"""Engines are data until one is asked for."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.engines.support import NoEgress

from quintet.domain.errors import Invalid, Unsupported
from quintet.engines import ENGINES, EngineServices, catalog, installed_engines, load_engine
from quintet.ports import engine as port
from quintet.ports.engine import EngineSpec

SERVICES = EngineServices(NoEgress(), Path("unused"))


def test_listing_imports_no_engine_and_no_heavy_library() -> None:
    code = (
        "import sys, quintet.engines as e; assert len(e.ENGINES) >= 3; e.installed_engines();"
        "bad=[m for m in sys.modules if m.split('.')[0] in ('torch','transformers','aiohttp','peft')"
        " or m.startswith('quintet.engines.') and m.count('.') > 2]; print(bad); sys.exit(bool(bad))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_spec_names_a_real_module_and_real_capabilities() -> None:
    for name, spec in ENGINES.items():
        assert spec.name == name
        assert hasattr(importlib.import_module(spec.module), "create")
        assert all(hasattr(port, capability) for capability in spec.capabilities)


def test_an_unknown_engine_is_invalid() -> None:
    with pytest.raises(Invalid) as caught:
        load_engine("nothing", {}, SERVICES)
    assert caught.value.field == "engine"


def test_a_missing_package_names_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = EngineSpec("big", "package_that_is_not_there", "local", frozenset(), "")
    monkeypatch.setitem(catalog.ENGINES, "big", spec)
    with pytest.raises(Unsupported, match=r"pip install 'quintet\[local\]'"):
        load_engine("big", {}, SERVICES)


def test_a_broken_module_of_ours_is_a_bug_and_not_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalog.ENGINES, "bug", EngineSpec("bug", "quintet.engines.absent", None, frozenset(), ""))
    with pytest.raises(ModuleNotFoundError):
        load_engine("bug", {}, SERVICES)


def test_third_parties_are_found_but_cannot_take_a_name_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = [EngineSpec(name, "quintet.engines.fake.engine", None, frozenset(), "theirs") for name in ("x", "fake")]
    entries = [SimpleNamespace(load=lambda spec=spec: spec) for spec in theirs]
    monkeypatch.setattr(catalog, "entry_points", lambda group: entries if group == "quintet.engines" else [])
    found = installed_engines()
    assert found["x"].summary == "theirs"
    assert found["fake"].summary != "theirs"
    assert load_engine("x", {"reply": "hi"}, SERVICES)
