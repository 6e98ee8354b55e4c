"""What a use case is given: who asks, the transaction, the time, and the ports it may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from quintet.domain.identity import Actor
from quintet.ports.blobs import Blobs
from quintet.ports.egress import Egress
from quintet.storage.tx import ReadTx, WriteTx

__all__ = ["Ctx", "Effect", "Listener", "Ports", "ReadTx", "Sealer", "Tx", "WriteTx"]

Tx = TypeVar("Tx", bound=ReadTx, covariant=True)


class Sealer(Protocol):
    """Encrypts secrets at rest; the key never lies in the database."""

    def seal(self, plain: str) -> str: ...

    def unseal(self, sealed: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything outside the database that use cases and services may reach."""

    blobs: Blobs
    egress: Egress
    sealer: Sealer
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that happened, told to listeners after the commit: `kind` e.g. "routes", "queue", "run"."""

    kind: str
    subject: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Ctx(Generic[Tx]):
    """The context of one use case. `now` is microseconds since the epoch, the same for all of its writes."""

    actor: Actor
    tx: Tx
    now: int
    ports: Ports
    effects: list[Effect] = field(default_factory=list)

    def after_commit(self, effect: Effect) -> None:
        """Tells listeners when, and only if, the transaction commits."""
        self.effects.append(effect)


Listener = Callable[[Effect], None]
