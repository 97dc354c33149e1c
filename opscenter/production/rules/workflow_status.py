"""The status of a workflow instance: it follows from the states of its task instances, and is stored nowhere."""

from collections.abc import Mapping
from enum import IntEnum

from opscenter.production.rules.states import LIVE, State


class WorkflowStatus(IntEnum):
    """DataWorks' own numbers; there are no others."""

    NOT_RUN = 1
    RUNNING = 4
    FAILURE = 5
    SUCCESS = 6


_READY = frozenset({State.WAIT_RESOURCE})


def status_of(counts: Mapping[State, int]) -> WorkflowStatus:
    """The status for the number of instances in each state.

    Succeeded when all have; failed when one has and none runs or is about to; running from the first that starts. What only
    waits for its time or for an upstream that failed does not keep it running.
    """
    present = {state for state, count in counts.items() if count}
    if present <= {State.SUCCESS}:
        return WorkflowStatus.SUCCESS if present else WorkflowStatus.NOT_RUN
    if present & LIVE:
        return WorkflowStatus.RUNNING
    if State.FAILURE in present:
        return WorkflowStatus.RUNNING if present & _READY else WorkflowStatus.FAILURE
    return WorkflowStatus.RUNNING if State.SUCCESS in present else WorkflowStatus.NOT_RUN
