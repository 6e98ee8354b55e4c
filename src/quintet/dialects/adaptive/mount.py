"""What this dialect gives to the server."""

from __future__ import annotations

from quintet.app.core import Core
from quintet.dialects.adaptive import (
    amends,
    campaigns,
    chat,
    completions,
    datasets,
    grouped,
    interactions,
    jobs,
    metrics,
    model_services,
    models,
    people,
    pools,
    uploads,
    usage,
    use_cases,
)
from quintet.dialects.adaptive.binder import API, GRAPHQL, graph, rest
from quintet.dialects.adaptive.errors import respond
from quintet.dialects.kit.mount import Mount
from quintet.dialects.kit.rest import Coverage

HANDLERS = (
    chat, interactions, uploads, use_cases, models, model_services, metrics, completions, grouped, datasets,
    campaigns, jobs, people, pools, usage,
)  # fmt: skip
"""Importing a module binds what it serves."""


def coverage() -> Coverage:
    """Of the schema's root fields and the REST operations together."""
    schema, table = graph.coverage(), rest.coverage()
    return Coverage(
        operations=schema["operations"] + table["operations"],
        bound=schema["bound"] + table["bound"],
        unbound=sorted([*schema["unbound"], *table["unbound"]]),
    )


def mount(core: Core) -> Mount:
    """The routes of the dialect; the schema is built here, so a broken one stops the start."""
    return Mount(
        dialect="adaptive",
        routes=[*rest.routes(), *amends.routes()],
        prefixes=(API + "/", GRAPHQL),
        errors=respond,
        coverage=coverage,
    )
