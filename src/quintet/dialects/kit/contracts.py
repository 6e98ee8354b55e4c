"""Where the contracts lie: the folder `contracts/` of a checkout, or `quintet/contracts` inside a wheel.

Beside each contract lies `coverage.json`, what of it is served; a test compares it with the binder, so that
coverage falls only when somebody writes it down.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import msgspec

COVERAGE = "coverage.json"


def contract_file(dialect: str, name: str) -> Traversable:
    """The file `contracts/<dialect>/<name>`; FileNotFoundError where the installation lacks it."""
    checkout = _checkout()
    # A checkout links the packaged folder to its own, so there is only one place to look at in each.
    place: Traversable = checkout if checkout.is_dir() else resources.files("quintet").joinpath("contracts")
    found = place.joinpath(dialect, name)
    if found.is_file():
        return found
    raise FileNotFoundError(f"the contract file {dialect}/{name} is not part of this installation")


def read_text(dialect: str, name: str) -> str:
    return contract_file(dialect, name).read_text(encoding="utf-8")


def read_json(dialect: str, name: str) -> Any:
    return msgspec.json.decode(contract_file(dialect, name).read_bytes())


def read_coverage(dialect: str) -> dict[str, Any]:
    """`{"operations": n, "bound": n, "unbound": [ids]}` as recorded; empty where nothing was recorded yet."""
    try:
        recorded = read_json(dialect, COVERAGE)
    except FileNotFoundError:
        return {}
    return dict(recorded)


def write_coverage(dialect: str, coverage: Mapping[str, Any]) -> Path:
    """Records coverage in the checkout; LookupError in an installed wheel, which has no checkout."""
    folder = _checkout() / dialect
    if not folder.is_dir():
        raise LookupError("coverage is recorded in a checkout only")
    path = folder / COVERAGE
    path.write_bytes(msgspec.json.format(msgspec.json.encode(coverage), indent=1) + b"\n")
    return path


def _checkout() -> Path:
    # src/quintet/dialects/kit/contracts.py: four folders up from the package lies the root.
    return Path(__file__).resolve().parents[4] / "contracts"
