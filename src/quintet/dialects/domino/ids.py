"""How runs are spelt: MLflow's 32 hex digits in what is said of experiments, our own 24 elsewhere."""

from __future__ import annotations

from quintet.domain.errors import NotFound
from quintet.domain.ids import Id, Kind, from_hex32, parse_id, to_hex32


def experiment_run(run_id: Id | None) -> str | None:
    return None if run_id is None else to_hex32(run_id, Kind.RUN)


def parse_run(text: str) -> Id:
    """The run in either spelling; NotFound for what is neither."""
    found = from_hex32(text, Kind.RUN) or parse_id(text)
    if found is None:
        raise NotFound.of("run", text)
    return found


def series_name(metric: str, variant: str) -> str:
    """The one name that MLflow has for a series; see `series_key`."""
    return metric if metric == variant or not variant else f"{metric}/{variant}"


def series_key(name: str) -> tuple[str, str]:
    """(metric, variant) of a name: split at its last slash, or both the whole name."""
    metric, _, variant = name.rpartition("/")
    return (metric, variant) if metric and variant and metric != variant else (name, name)
