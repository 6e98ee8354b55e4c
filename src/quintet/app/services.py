"""The long-lived services of a server, by type: how edges reach what the composition root has made."""

from __future__ import annotations

from typing import cast

from quintet.app.core import Core
from quintet.app.identity.authenticate import Authenticator
from quintet.app.serving.callpath import CallPath
from quintet.app.serving.engines import EnginePool
from quintet.domain.errors import Internal
from quintet.ports.recipes import RecipeBook


def authenticator(core: Core) -> Authenticator:
    found = core.services.get("auth")
    if not isinstance(found, Authenticator):
        raise Internal("this process has no authenticator")
    return found


def callpath(core: Core) -> CallPath:
    found = core.services.get("callpath")
    if not isinstance(found, CallPath):
        raise Internal("this process has no call path")
    return found


def engine_pool(core: Core) -> EnginePool:
    return callpath(core).pool


def recipe_book(core: Core) -> RecipeBook:
    found = core.services.get("recipes")
    if found is None:
        raise Internal("this process has no recipes")
    return cast(RecipeBook, found)
