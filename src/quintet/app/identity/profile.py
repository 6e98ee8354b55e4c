"""What users say of themselves."""

from __future__ import annotations

from dataclasses import replace

from quintet.app.context import Ctx, WriteTx
from quintet.app.identity.accounts import current_user
from quintet.domain.errors import Invalid
from quintet.domain.identity import User
from quintet.domain.projects import check_name
from quintet.storage import identity as store

PERSONAS = ("designer", "developer")


def edit_profile(ctx: Ctx[WriteTx], first_name: str | None, last_name: str | None, persona: str | None) -> User:
    """Changes the actor's own names and persona; rights do not follow from a persona."""
    user = current_user(ctx)
    if persona is not None and persona not in PERSONAS:
        raise Invalid(f"'role' must be one of: {', '.join(PERSONAS)}", field="role")
    settings = dict(user.settings)
    for key, value in (("first_name", first_name), ("last_name", last_name)):
        if value is not None:
            settings[key] = check_name(value, field=key) if value else ""
    if persona is not None:
        settings["persona"] = persona
    names = [str(settings[k]) for k in ("first_name", "last_name") if settings.get(k)]
    changed = replace(user, settings=settings, name=" ".join(names) or user.name)
    store.save_user(ctx.tx, changed)
    return changed
