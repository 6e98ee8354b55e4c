"""The state machine of runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quintet.domain.errors import Precondition
from quintet.domain.ids import new_id
from quintet.domain.runs import ENDED, TRANSITIONS, Run, RunKind, RunState

states = st.sampled_from(list(RunState))


def a_run(state: RunState = RunState.CREATED) -> Run:
    return Run(new_id(), new_id(), None, "run", RunKind.TASK, "training", state, new_id(), 1, 1, 1)


def test_every_state_has_a_row() -> None:
    assert set(TRANSITIONS) == set(RunState)


@given(st.lists(states, max_size=12))
def test_only_what_the_table_allows_happens(wanted: list[RunState]) -> None:
    run = a_run()
    for at, state in enumerate(wanted, 10):
        allowed = state == run.state or state in TRANSITIONS[run.state]
        if not allowed:
            with pytest.raises(Precondition):
                run.move_to(state, at=at)
            continue
        before, run = run, run.move_to(state, at=at)
        assert run.state is state
        assert run.status_changed_at == at
        if state is RunState.RUNNING:
            assert run.started_at == (before.started_at or at)
            assert run.ended_at is None
        if state in ENDED:
            assert run.ended_at is not None


@given(states, states)
def test_force_goes_anywhere(first: RunState, second: RunState) -> None:
    assert a_run(first).move_to(second, at=5, force=True).state is second


def test_queueing_takes_the_development_tag_away() -> None:
    from dataclasses import replace

    run = replace(a_run(), system_tags=("development", "kept"))
    assert run.move_to(RunState.QUEUED, at=2).system_tags == ("kept",)
