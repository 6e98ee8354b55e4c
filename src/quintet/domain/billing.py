"""Billing tags, usage roll-ups, hardware tiers and audit entries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from quintet.domain.ids import Id


@dataclass(frozen=True, slots=True)
class BillingTag:
    space_id: Id
    tag: str
    active: bool
    created_at: int


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Calls of one hour and group: what summaries, cost and usage pages read instead of the calls themselves."""

    space_id: Id
    hour: int
    project_id: Id | None
    deployment_id: Id | None
    model_name: str
    billing_tag: str
    type: str
    user_id: Id | None
    calls: int
    errors: int
    prompt_tokens: int
    completion_tokens: int
    latency_us: int


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to which thing; `data` is safe to show."""

    id: Id
    space_id: Id
    at: int
    user_id: Id | None
    action: str
    kind: str
    subject_id: str
    data: dict[str, Any] = field(default_factory=dict)
