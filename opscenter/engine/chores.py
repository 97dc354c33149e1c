"""Big jobs in slices: ordinary chores of django-q2, queued in the transaction that asks for them (DESIGN.md 4).

A worker runs one at a time, in a child of its own. A chore whose child or worker is killed comes back after ``RETRY``
seconds, and so does one that raises; therefore what it does must be in short transactions that find what is left to do from
rows, and that stand being run twice at once.
"""

import time
from collections.abc import Callable
from typing import Any

from django_q.conf import Conf
from django_q.tasks import async_task

from opscenter.base import notify

RETRY: float = Conf.RETRY
"""Seconds after which a chore that did not end is taken again."""
SLICE = 4.0
"""Seconds after which a chore that goes on gives its place to the next."""


def queue(chore: Callable[..., None], *args: Any) -> None:
    """Have a worker call ``chore(*args)`` once the current transaction commits.

    Args:
        chore: a function at the top of a module.
    """
    async_task(chore, *args, ack_failure=False)
    notify.notify(notify.CHORE)


def in_slices(step: Callable[[], bool], chore: Callable[..., None], *args: Any) -> None:
    """Call ``step`` until it says that nothing is left; when a slice is over, queue ``chore(*args)`` to go on.

    Args:
        step: one short transaction; whether more is left to do.
    """
    give_up = time.monotonic() + SLICE
    while step():
        if time.monotonic() > give_up:
            queue(chore, *args)
            return
