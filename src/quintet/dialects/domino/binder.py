"""The two binders that the handlers of this dialect hang on: Domino's own operations, and MLflow's."""

from __future__ import annotations

from quintet.dialects.domino.auth import authenticate
from quintet.dialects.domino.contract import beside, mlflow, model_serving, rest
from quintet.dialects.domino.errors import show_error, show_mlflow_error
from quintet.dialects.kit.rest import RestBinder

DIALECT = "domino"

binder = RestBinder(
    DIALECT,
    rest().extended([*model_serving().operations.values(), *beside()]),
    errors=show_error,
    authenticate=authenticate,
)
mlflow_binder = RestBinder(DIALECT, mlflow(), errors=show_mlflow_error, authenticate=authenticate)
