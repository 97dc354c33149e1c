"""Which instances were missed while no scheduler was there, and which of them run nevertheless.

An **absence** is a span in which no scheduler led: from the last moment at which one was seen until the moment at which one
leads again (or the only one goes on, after its machine or its database stood still). A scheduler that is there and has much
to do is not absent, and a worker that is missing or a queue that is long make nothing missed.

An instance of the schedule is **missed** if, when the absence ends,

* its scheduled time lies in the absence, more than ``GRACE`` before its end;
* it has not started, never did, and is not frozen;
* only the absence kept it: it waits for its time alone, or for upstream instances that were all missed themselves. One
  whose upstream runs, failed, is frozen, or is not due yet, is not missed: it would wait in any case. So an instance that waits for
  a day's root, which was missed like everything after it, is missed, and its own task's policy decides about it.

An HTTP trigger is never missed, nor is what waits for one: not time opens it but its caller, who may have been there. Nor is
what people asked for themselves: test runs, backfills, reruns.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

GRACE = timedelta(minutes=5)
"""An instance that is later than its scheduled time by no more than this is simply late, and so is every absence that was
no longer: restarts and upgrades cause no misfires."""


class Policy(StrEnum):
    """What becomes of a task's missed instances."""

    ALL = "All"
    LATEST = "Latest"
    NONE = "None"


@dataclass(frozen=True)
class Missed:
    """A missed instance that would do work, with its task's policy."""

    id: int
    task: int
    scheduled_at: datetime
    policy: Policy


def missed(waits_for: Mapping[int, Collection[int]]) -> set[int]:
    """Those that only the absence kept.

    Args:
        waits_for: the instances whose time passed in the absence and that could have run, each with the upstream
            instances that have not succeeded.
    """
    kept = set(waits_for)
    downstream: dict[int, list[int]] = {}
    for pk, upstream in waits_for.items():
        for up in upstream:
            downstream.setdefault(up, []).append(pk)
    lost = [pk for pk, upstream in waits_for.items() if any(up not in kept for up in upstream)]
    kept.difference_update(lost)
    while lost:
        held = [pk for pk in downstream.get(lost.pop(), ()) if pk in kept]
        kept.difference_update(held)
        lost += held
    return kept


def not_run(instances: Iterable[Missed]) -> set[int]:
    """Those that become dry runs: of a task with ``LATEST`` all but its latest, of one with ``NONE`` all."""
    dry: set[int] = set()
    latest: dict[int, Missed] = {}
    for one in instances:
        if one.policy is Policy.NONE:
            dry.add(one.id)
        elif one.policy is Policy.LATEST:
            before = latest.setdefault(one.task, one)
            if before is not one:
                earlier, latest[one.task] = sorted((before, one), key=lambda each: (each.scheduled_at, each.id))
                dry.add(earlier.id)
    return dry
