"""The pure rules of checks: what verdicts decide together, how long we wait, when a delivery is tried again."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

DEFAULT_LIMIT = 600
"""Seconds an extension has to answer; spec/extensions.md knows none, DESIGN.md 5 sets it."""
SHORTEST_LIMIT, LONGEST_LIMIT = 5, 3600
LONGEST_WAIT = timedelta(minutes=60)
"""From opening a check to its end, however many progress reports come."""
MOST_REPORTS = 1000
"""Progress reports of one check; more are refused."""
RETRY_AFTER = (5, 30, 120, 300, 600, 1200)
"""Seconds between the tries of a delivery; the last repeats until the check is over."""
LONGEST_RETRY_AFTER = 1200
"""Seconds of a Retry-After header that we honour at most."""


class Outcome(Enum):
    """What the checks of an operation decide together."""

    WAIT = "wait"
    GO = "go"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class Standing:
    """How one check stands; ``state`` is a Check.State."""

    state: str
    is_mandatory: bool


def decide(checks: Iterable[Standing]) -> Outcome:
    """One failed mandatory check blocks; when none is open any more, the operation goes on. Advisory ones never count."""
    mandatory = [check.state for check in checks if check.is_mandatory]
    if "failed" in mandatory:
        return Outcome.BLOCKED
    return Outcome.WAIT if "checking" in mandatory else Outcome.GO


def due_after_report(opened_at: datetime, limit: int, now: datetime) -> datetime:
    """When a check is over that reported progress now: its limit from now, but never later than an hour after it opened."""
    return min(now + timedelta(seconds=limit), opened_at + LONGEST_WAIT)


def retry_at(now: datetime, tries: int, jitter: float, retry_after: float | None = None) -> datetime:
    """When a delivery is tried again.

    Args:
        tries: requests made so far, at least 1.
        jitter: from 0 to 1, drawn at random: spreads the tries by up to a fifth, so that receivers that come back are not
            flooded.
        retry_after: seconds that the receiver asked us to wait; honoured when longer than our own schedule.
    """
    wait = RETRY_AFTER[min(tries, len(RETRY_AFTER)) - 1] * (1 + 0.2 * jitter)
    if retry_after is not None:
        wait = max(wait, min(retry_after, LONGEST_RETRY_AFTER))
    return now + timedelta(seconds=wait)
