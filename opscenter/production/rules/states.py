"""The states of a task instance and what may follow what (spec/opscenter.md 2.1, 2.2)."""

from enum import IntEnum


class State(IntEnum):
    """State of a task instance. 1 to 8 are DataWorks' own numbers; 9 and 10 have none there.

    CLAIMED is the moment between a worker's claim and its start; to people and to the APIs it is WAIT_RESOURCE.
    """

    NOT_RUN = 1
    WAIT_TIME = 2
    WAIT_RESOURCE = 3
    RUNNING = 4
    FAILURE = 5
    SUCCESS = 6
    CHECKING = 7
    CHECKING_CONDITION = 8
    WAIT_TRIGGER = 9
    CLAIMED = 10

    @property
    def code(self) -> str:
        """The name pages, CSS classes and URLs use."""
        return "wait_resource" if self is State.CLAIMED else self.name.lower()


WAITING = frozenset({State.NOT_RUN, State.WAIT_TIME, State.WAIT_RESOURCE, State.WAIT_TRIGGER})
"""Not started, and will start by itself once its conditions hold."""

LIVE = frozenset({State.CLAIMED, State.RUNNING, State.CHECKING, State.CHECKING_CONDITION})
"""An attempt exists that holds a lease."""

ENDED = frozenset({State.SUCCESS, State.FAILURE})

_NEXT: dict[State, frozenset[State]] = {
    State.NOT_RUN: frozenset({State.WAIT_TIME, State.WAIT_TRIGGER, State.WAIT_RESOURCE, State.FAILURE, State.SUCCESS}),
    State.WAIT_TIME: frozenset({State.NOT_RUN, State.WAIT_TRIGGER, State.WAIT_RESOURCE, State.FAILURE, State.SUCCESS}),
    State.WAIT_TRIGGER: frozenset({State.NOT_RUN, State.WAIT_RESOURCE, State.FAILURE, State.SUCCESS}),
    # back to waiting for its time: the run window of its backfill closed
    State.WAIT_RESOURCE: frozenset(
        {State.NOT_RUN, State.WAIT_TIME, State.WAIT_TRIGGER, State.CLAIMED, State.RUNNING, State.FAILURE, State.SUCCESS}
    ),
    State.CLAIMED: frozenset({State.WAIT_RESOURCE, State.RUNNING, State.FAILURE}),
    # back to waiting: the attempt was lost and a new one may start
    State.RUNNING: frozenset(
        {State.WAIT_RESOURCE, State.CHECKING, State.CHECKING_CONDITION, State.FAILURE, State.SUCCESS}
    ),
    State.CHECKING: frozenset({State.FAILURE, State.SUCCESS}),
    State.CHECKING_CONDITION: frozenset({State.FAILURE, State.SUCCESS}),
    State.FAILURE: frozenset({State.NOT_RUN, State.WAIT_TIME, State.WAIT_TRIGGER, State.WAIT_RESOURCE, State.SUCCESS}),
    State.SUCCESS: frozenset({State.NOT_RUN, State.WAIT_TIME, State.WAIT_TRIGGER, State.WAIT_RESOURCE}),
}


def may_follow(before: State, after: State) -> bool:
    """Whether the state machine has the step ``before -> after``."""
    return after in _NEXT[before]


class Kind(IntEnum):
    """How an instance runs: DataWorks' numeric task type (spec/opscenter.md 2.1). It has none for MISSED."""

    NORMAL = 0
    MANUAL = 1
    PAUSE = 2
    SKIP = 3
    SKIP_UNCHOSEN = 4
    SKIP_CYCLE = 5
    CONDITION_UNCHOSEN = 6
    EXPIRED = 7
    MISSED = 8

    @property
    def is_dry_run(self) -> bool:
        """Succeeds at its time without running anything."""
        return self >= Kind.SKIP

    @property
    def wire(self) -> int:
        """Its number to DataWorks' clients, who know a missed instance as a dry run."""
        return int(Kind.SKIP if self is Kind.MISSED else self)
