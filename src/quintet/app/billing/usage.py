"""Billing tags, and what was used and at which cost: read from hourly roll-ups, never from the calls themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from quintet.app.authz import authorize
from quintet.app.context import Ctx, Effect, ReadTx, WriteTx
from quintet.app.projects.manage import find_project
from quintet.domain.billing import BillingTag, UsageRow
from quintet.domain.errors import Invalid, NotFound
from quintet.domain.identity import Permission
from quintet.domain.ids import Id
from quintet.domain.projects import Project, check_name
from quintet.storage import billing as store
from quintet.storage import identity as identity_store
from quintet.storage import interactions as interaction_store
from quintet.storage import projects as project_store

PRICES = "prices"
"""The setting that holds prices: `{"prompt_per_million": x, "completion_per_million": y, "run_hour": z}`."""

DEFAULT_PRICES = {"prompt_per_million": 1.0, "completion_per_million": 3.0, "run_hour": 0.10}
"""In the space's own currency, until somebody sets real ones: round numbers that make a first report readable."""


def put_tags(ctx: Ctx[WriteTx], tags: Sequence[str]) -> list[BillingTag]:
    """Makes tags, or activates those that were there."""
    authorize(ctx, Permission.ADMIN)
    made = []
    for tag in tags:
        name = check_name(tag, field="billingTags")
        if len(name) > 200:
            raise Invalid("a billing tag has at most 200 characters", field="billingTags")
        item = BillingTag(ctx.actor.space_id, name, True, ctx.now)
        store.put_tag(ctx.tx, item)
        made.append(item)
    return made


def find_tag(ctx: Ctx[ReadTx], tag: str) -> BillingTag:
    item = store.find_tag(ctx.tx, ctx.actor.space_id, tag)
    if item is None:
        raise NotFound.of("billing tag", tag)
    return item


def list_tags(ctx: Ctx[ReadTx]) -> list[BillingTag]:
    return store.list_tags(ctx.tx, ctx.actor.space_id)


def retire_tag(ctx: Ctx[WriteTx], tag: str) -> BillingTag:
    """A retired tag stays on what it was on, and is offered no more."""
    authorize(ctx, Permission.ADMIN)
    item = replace(find_tag(ctx, tag), active=False)
    store.put_tag(ctx.tx, item)
    return item


def tag_project(ctx: Ctx[WriteTx], project: str, tag: str | None) -> Project:
    """What the project uses from now on is booked under `tag`."""
    authorize(ctx, Permission.PROJECT_WRITE)
    found = find_project(ctx, project)
    if tag is not None and not find_tag(ctx, tag).active:
        raise Invalid(f"the billing tag '{tag}' is retired", field="billingTag")
    changed = replace(found, billing_tag=tag, updated_at=ctx.now)
    project_store.save_project(ctx.tx, changed)
    ctx.after_commit(Effect("routes", found.id))
    return changed


@dataclass(frozen=True, slots=True)
class UsageTotal:
    """Sums over a group of calls. `latency_us` is the sum; divide by `calls` for the mean."""

    group: str
    calls: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_us: int = 0
    cost: float = 0.0


GROUPS: dict[str, Callable[[UsageRow], str]] = {
    "all": lambda r: "all",
    "billing_tag": lambda r: r.billing_tag,
    "project": lambda r: r.project_id or "",
    "deployment": lambda r: r.deployment_id or "",
    "model": lambda r: r.model_name,
    "user": lambda r: r.user_id or "",
    "type": lambda r: r.type,
    "hour": lambda r: str(r.hour),
}


def usage(ctx: Ctx[ReadTx], since: int, until: int, by: str = "all", **equal: str) -> list[UsageTotal]:
    """Sums of calls, tokens and cost with `since` ≤ time < `until` (µs, whole hours), grouped by one of `GROUPS`."""
    authorize(ctx, Permission.INTERACTION_READ)
    if by not in GROUPS:
        raise Invalid(f"usage is grouped by one of: {', '.join(GROUPS)}", field="aggregate")
    price = prices(ctx)
    totals: dict[str, UsageTotal] = {}
    for row in interaction_store.usage_rows(ctx.tx, ctx.actor.space_id, since, until, **equal):
        group = GROUPS[by](row)
        old = totals.get(group, UsageTotal(group))
        totals[group] = UsageTotal(
            group,
            old.calls + row.calls,
            old.errors + row.errors,
            old.prompt_tokens + row.prompt_tokens,
            old.completion_tokens + row.completion_tokens,
            old.latency_us + row.latency_us,
            old.cost
            + row.prompt_tokens * price["prompt_per_million"] / 1e6
            + row.completion_tokens * price["completion_per_million"] / 1e6,
        )
    return sorted(totals.values(), key=lambda u: u.group)


def prices(ctx: Ctx[ReadTx]) -> dict[str, float]:
    """The space's prices, defaults where none are set."""
    return {**DEFAULT_PRICES, **(identity_store.get_setting(ctx.tx, ctx.actor.space_id, PRICES) or {})}


def set_prices(ctx: Ctx[WriteTx], given: dict[str, float]) -> dict[str, float]:
    authorize(ctx, Permission.ADMIN)
    for name, value in given.items():
        if name not in DEFAULT_PRICES or not isinstance(value, int | float) or value < 0:
            raise Invalid(f"'{name}' is no price, or is below 0", field=name)
    merged = {**prices(ctx), **given}
    identity_store.put_setting(ctx.tx, ctx.actor.space_id, PRICES, merged, ctx.now)
    return merged


def get_setting(ctx: Ctx[ReadTx], name: str) -> object:
    """A setting of the space (JSON), or None."""
    return identity_store.get_setting(ctx.tx, ctx.actor.space_id, name)


def put_setting(ctx: Ctx[WriteTx], name: str, value: object) -> None:
    """Sets a setting of the space."""
    authorize(ctx, Permission.ADMIN)
    identity_store.put_setting(ctx.tx, ctx.actor.space_id, name, value, ctx.now)


def projects_by_tag(ctx: Ctx[ReadTx]) -> dict[Id, str]:
    """The billing tag of each project that has one."""
    found = project_store.list_projects(ctx.tx, ctx.actor.space_id, project_store.ProjectFilter())
    return {p.id: p.billing_tag for p in found if p.billing_tag}
