"""What this dialect gives to the server."""

from __future__ import annotations

from quintet.app.core import Core
from quintet.dialects.domino import (
    billing,
    compute,
    cost,
    data_sources,
    datasets,
    gateway,
    gateway_calls,
    job_goals,
    jobs,
    legacy,
    mlflow_models,
    mlflow_runs,
    people,
    project_links,
    projects,
    registered_models,
    system,
    versions,
)
from quintet.dialects.domino.binder import DIALECT, binder, mlflow_binder
from quintet.dialects.domino.errors import show_error
from quintet.dialects.kit.mount import Mount
from quintet.dialects.kit.rest import Coverage

HANDLERS = (
    billing, compute, cost, data_sources, datasets, gateway, gateway_calls, job_goals, jobs, legacy, mlflow_models,
    mlflow_runs, people, project_links, projects, registered_models, system, versions,
)  # fmt: skip
"""The modules whose import binds the operations."""

GROUPS = (
    "admin", "aigateway", "cost", "datasetrw", "datasource", "environments", "hardwaretiers", "jobs", "metricAlerts",
    "metricValues", "modelApis", "modelServing", "organizations", "projects", "registeredmodels",
    "registeredmodelstages", "users",
)  # fmt: skip
PREFIXES = (
    *(f"/api/{group}/" for group in GROUPS),
    "/api/2.0/",
    "/api/3.0/",
    "/ajax-api/",
    "/mlflow/",
    "/mlflow-deployments/",
    "/endpoints/",
    "/v4/",
)


def coverage() -> Coverage:
    """Both contracts together; no id is in both."""
    parts = (binder.coverage(), mlflow_binder.coverage())
    return Coverage(
        operations=sum(p["operations"] for p in parts),
        bound=sum(p["bound"] for p in parts),
        unbound=sorted(ident for p in parts for ident in p["unbound"]),
    )


def mount(core: Core) -> Mount:
    """Domino's API and the part of MLflow's that it leaves to clients, over `core`."""
    routes = [*binder.routes(), *mlflow_binder.routes()]
    return Mount(DIALECT, routes, prefixes=PREFIXES, errors=show_error, coverage=coverage)
