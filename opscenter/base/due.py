"""Due work: sources that know when time changes something, and the loop that sleeps until the nearest of them.

No loop scans what has not changed: each source has a due column and a partial index (DESIGN.md 4). Sources are registered
by object, by the processes that run them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event

import structlog
from django.db import Error, connection

from opscenter.base import clock
from opscenter.base.notify import Listener

logger = structlog.get_logger(__name__)
LONGEST_SLEEP = 10.0
"""Seconds. A lease is not announced by NOTIFY, so that a claim does not wake the scheduler: it is found by then."""


@dataclass(frozen=True)
class Source:
    """One kind of due work.

    Attributes:
        run: does all that is due now; returns when it wants to be run next, None for when it is told to.
    """

    name: str
    run: Callable[[], datetime | None]


def loop(
    sources: Sequence[Source],
    channels: Sequence[str],
    stop: Event,
    still: Callable[[], bool],
    *,
    rest: Callable[[], float] | None = None,
) -> None:
    """Run due work until ``stop`` is set or ``still()`` says that it is no longer ours.

    A source that fails is logged and tried again after a second; it does not hold up the others.

    Args:
        rest: seconds between two rounds at least, for work that nobody waits for: what comes meanwhile is done at once.
    """
    listener = Listener(channels)
    try:
        while not stop.is_set() and still():
            nearest = _pass(sources)
            listener.wait(_seconds_until(nearest))
            if rest is not None:
                stop.wait(rest())
    finally:
        listener.close()


def _pass(sources: Sequence[Source]) -> datetime | None:
    """One round over all sources; the nearest moment any of them wants."""
    moments: list[datetime] = []
    for source in sources:
        try:
            moment = source.run()
        except Error as error:
            logger.warning("due.database", source=source.name, error=str(error).strip())
            connection.close()
            return None
        except Exception:
            logger.exception("due.failed", source=source.name)
            moment = clock.now() + timedelta(seconds=1)
        if moment is not None:
            moments.append(moment)
    return min(moments, default=None)


def _seconds_until(moment: datetime | None) -> float:
    if moment is None:
        return 1.0 if connection.connection is None else LONGEST_SLEEP
    try:
        return min(LONGEST_SLEEP, max(0.0, (moment - clock.now()).total_seconds()))
    except Error:
        connection.close()
        return 1.0
