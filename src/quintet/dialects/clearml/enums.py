"""Words that differ between the core and ClearML."""

from __future__ import annotations

from quintet.domain.errors import Invalid
from quintet.domain.runs import Run, RunKind, RunState

_STATUS: dict[RunState, str] = {state: str(state) for state in RunState} | {RunState.RUNNING: "in_progress"}
_STATES: dict[str, RunState] = {status: state for state, status in _STATUS.items()}

_TYPES: dict[RunKind, str] = {
    RunKind.TASK: "custom",
    RunKind.PRETRAIN: "training",
    RunKind.SFT: "training",
    RunKind.DPO: "training",
    RunKind.EVALUATE: "testing",
    RunKind.CUSTOM: "custom",
}
"""What a run is called that another dialect or a recipe made without a type."""

TASK_TYPES = frozenset(
    {"training", "testing", "inference", "data_processing", "application", "monitor", "controller", "optimizer",
     "service", "qc", "custom", "report"}
)  # fmt: skip


def status_of(state: RunState) -> str:
    return _STATUS[state]


def state_of(status: str, field: str = "status") -> RunState:
    """Invalid for a word that is no status."""
    found = _STATES.get(status)
    if found is None:
        raise Invalid(f"'{status}' is no task status", field=field)
    return found


def states_of(statuses: list[str]) -> tuple[RunState, ...]:
    """The states among the words, for filters: others match nothing."""
    return tuple(_STATES[s] for s in statuses if s in _STATES)


def type_of(run: Run) -> str:
    return run.type if run.type in TASK_TYPES else _TYPES[run.kind]


def check_type(text: str) -> str:
    if text not in TASK_TYPES:
        raise Invalid(f"'{text}' is no task type", field="type")
    return text
