"""What an engine gets from the server, and how it reads its own settings."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from quintet.domain.errors import Invalid
from quintet.ports.egress import Egress

ConfigT = TypeVar("ConfigT", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class EngineServices:
    """`cache_dir` is a folder the engine may fill and must be able to lose."""

    egress: Egress
    cache_dir: Path
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("quintet.engines"))


def read_config(kind: type[ConfigT], config: Mapping[str, Any]) -> ConfigT:
    """The settings as `kind`, a msgspec Struct. Invalid (field `config`, with the path) where they do not fit.

    The text of a msgspec error names types and paths and never values, so it can be shown.
    """
    try:
        return msgspec.convert(dict(config), kind, strict=False)
    except msgspec.ValidationError as exc:
        raise Invalid(f"engine settings: {exc}", field="config") from None
