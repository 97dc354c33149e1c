"""The status of a workflow instance, by a table and by what holds for any states."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opscenter.production.rules.states import LIVE, State
from opscenter.production.rules.workflow_status import WorkflowStatus, status_of

S, W = State, WorkflowStatus
TABLE = [
    ({}, W.NOT_RUN),
    ({S.NOT_RUN: 3}, W.NOT_RUN),
    ({S.NOT_RUN: 1, S.WAIT_TIME: 1, S.WAIT_RESOURCE: 1, S.WAIT_TRIGGER: 1}, W.NOT_RUN),
    ({S.CLAIMED: 1, S.NOT_RUN: 2}, W.RUNNING),
    ({S.RUNNING: 1}, W.RUNNING),
    ({S.SUCCESS: 1, S.NOT_RUN: 1}, W.RUNNING),
    ({S.SUCCESS: 1, S.WAIT_TIME: 1}, W.RUNNING),
    ({S.FAILURE: 1, S.NOT_RUN: 5, S.SUCCESS: 5}, W.FAILURE),
    ({S.FAILURE: 1, S.RUNNING: 1}, W.RUNNING),
    ({S.FAILURE: 1, S.WAIT_RESOURCE: 1}, W.RUNNING),
    ({S.FAILURE: 1}, W.FAILURE),
    ({S.SUCCESS: 9}, W.SUCCESS),
    ({S.SUCCESS: 9, S.FAILURE: 0}, W.SUCCESS),
]


@pytest.mark.parametrize(("counts", "status"), TABLE)
def test_the_table(counts: dict[State, int], status: WorkflowStatus) -> None:
    assert status_of(counts) is status


@given(st.dictionaries(st.sampled_from(list(State)), st.integers(1, 9), min_size=1))
def test_for_any_states(counts: dict[State, int]) -> None:
    status = status_of(counts)
    assert (status is W.SUCCESS) is (set(counts) == {S.SUCCESS})
    if set(counts) & LIVE:
        assert status is W.RUNNING
    if status is W.FAILURE:
        assert S.FAILURE in counts
    assert status_of({**counts, S.NOT_RUN: 0}) is status
