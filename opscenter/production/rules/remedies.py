"""What holds instances up, what would change that, and who can: listed once, for one instance and for many.

A remedy's sentence has the code ``explain.remedy.`` + its operation (``at``: when it happens by itself, if that is known).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from opscenter.base.reasons import Reason
from opscenter.production.rules.states import LIVE, State


class Who(StrEnum):
    """Who can do what helps."""

    ITSELF = "itself"
    OPERATORS = "operators"
    TASK_OPERATORS = "task_operators"
    CALLERS = "callers"
    PUBLISHERS = "publishers"
    HOSTS = "hosts"
    TENANT_ADMINS = "tenant_admins"


WHO: dict[str, Who] = {
    "unfreeze": Who.OPERATORS,
    "unfreeze_task": Who.TASK_OPERATORS,
    "rerun": Who.OPERATORS,
    "set_success": Who.OPERATORS,
    "trigger": Who.CALLERS,
    "stop": Who.OPERATORS,
    "publish": Who.PUBLISHERS,
    "start_worker": Who.HOSTS,
    "start_courier": Who.HOSTS,
    "start_scheduler": Who.HOSTS,
    "add_slots": Who.TENANT_ADMINS,
    "look": Who.OPERATORS,
    "wait": Who.ITSELF,
}
"""Every remedy, in the order in which they are offered."""


@dataclass(frozen=True)
class Remedy:
    """Something that would help.

    Attributes:
        operation: a key of WHO.
        targets: the instances to do it to; for ``unfreeze_task`` and ``publish`` the tasks; none where it is done to
            nothing of the kind.
        at: of ``wait``: when it happens.
    """

    operation: str
    targets: tuple[int, ...] = ()
    at: datetime | None = None

    @property
    def who(self) -> Who:
        """Who can."""
        return WHO[self.operation]

    @property
    def reason(self) -> Reason:
        """What it would change, as a sentence."""
        return Reason(f"explain.remedy.{self.operation}", {"at": self.at})


class Cause(StrEnum):
    """Why an instance that others wait for does not succeed."""

    FROZEN = "frozen"
    FAILED = "failed"
    STOPPED = "stopped"
    RERUN = "rerun"
    UNTRIGGERED = "untriggered"
    UNSERVED = "unserved"
    UNCALLED = "uncalled"
    FULL = "full"
    PARALLEL = "parallel"
    STARTING = "starting"
    TIME = "time"
    RUNNING = "running"
    WAITING = "waiting"


NEED_SOMEBODY = frozenset(
    {Cause.FROZEN, Cause.FAILED, Cause.STOPPED, Cause.UNTRIGGERED, Cause.UNSERVED, Cause.UNCALLED}
)
"""Causes that do not pass by themselves."""

_REMEDIES: dict[Cause, tuple[str, ...]] = {
    Cause.FROZEN: ("unfreeze",),
    Cause.FAILED: ("rerun", "set_success"),
    Cause.STOPPED: ("rerun", "set_success"),
    Cause.RERUN: ("rerun", "set_success", "wait"),
    Cause.UNTRIGGERED: ("trigger",),
    Cause.UNSERVED: ("start_worker",),
    Cause.UNCALLED: ("start_courier",),
    Cause.FULL: ("add_slots", "wait"),
    Cause.PARALLEL: ("wait",),
    Cause.STARTING: ("wait",),
    Cause.TIME: ("wait",),
    Cause.RUNNING: ("wait",),
    Cause.WAITING: ("look",),
}
_ON_INSTANCES = frozenset({"unfreeze", "rerun", "set_success", "trigger", "look"})


@dataclass(frozen=True)
class Culprit:
    """An instance that others wait for.

    Attributes:
        stopped: a person ended it.
        rerun_at: when it is rerun by itself.
        not_before: when it may start at the earliest.
        room: whether its resource group can take it; None where nobody looked.
        served: whether a live worker serves that group.
        at_maximum: its task has its maximum of parallel runs.
        called: a courier that would call its service is alive.
        turn: of a backfill's turn: the business date that it waits for.
    """

    id: int
    name: str
    state: State
    frozen: bool = False
    stopped: bool = False
    rerun_at: datetime | None = None
    not_before: datetime | None = None
    room: bool | None = None
    served: bool = True
    at_maximum: bool = False
    called: bool = True
    turn: str = ""

    @property
    def cause(self) -> Cause:
        """What keeps it from succeeding."""
        if self.frozen:
            return Cause.FROZEN
        if self.state is State.FAILURE:
            if self.rerun_at is not None:
                return Cause.RERUN
            return Cause.STOPPED if self.stopped else Cause.FAILED
        if self.state is State.WAIT_RESOURCE:
            return self._lacks
        if self.state in LIVE:
            return Cause.RUNNING
        waits = {State.WAIT_TRIGGER: Cause.UNTRIGGERED, State.WAIT_TIME: Cause.TIME}
        return waits.get(self.state, Cause.WAITING)

    @property
    def _lacks(self) -> Cause:
        """What it needs to start, in the order of an instance's conditions."""
        if self.at_maximum:
            return Cause.PARALLEL
        if not self.served:
            return Cause.UNSERVED
        if not self.called:
            return Cause.UNCALLED
        return Cause.FULL if self.room is False else Cause.STARTING

    @property
    def remedies(self) -> tuple[Remedy, ...]:
        """What would help it."""
        at = {Cause.RERUN: self.rerun_at, Cause.TIME: self.not_before}.get(self.cause)
        return tuple(
            Remedy(operation, (self.id,) if operation in _ON_INSTANCES else (), at if operation == "wait" else None)
            for operation in _REMEDIES[self.cause]
        )


def together(culprits: Iterable[Culprit]) -> tuple[Remedy, ...]:
    """What would help these, each operation once with all that it would be done to; where people can help, waiting is not
    among it."""
    offered = [remedy for culprit in culprits for remedy in culprit.remedies]
    found: list[Remedy] = []
    for operation in WHO:
        same = [remedy for remedy in offered if remedy.operation == operation]
        if not same or (operation in ("wait", "look") and found):
            continue
        targets = dict.fromkeys(target for remedy in same for target in remedy.targets)
        moments = [remedy.at for remedy in same if remedy.at is not None]
        found.append(Remedy(operation, tuple(targets), max(moments) if len(moments) == len(same) else None))
    return tuple(found)
