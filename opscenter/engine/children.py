"""What a worker's processes tell each other: which children are busy, that one is free again, that the worker closes.

Made by the supervisor before anything is forked. A child that runs instances takes the next one itself as long as there
is one, so the pusher must know who is free from the children, not from what it gave them.
"""

import contextlib
import ctypes
import multiprocessing
import os
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

LEASE = timedelta(seconds=30)
"""How long an attempt is its worker's without being renewed."""

_MARGIN = 4.0  # seconds before the end of a lease at which a child gives up by itself


def clock() -> float:
    """Seconds on a clock that all processes of a host share, and that runs on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Roster:
    """The busy children of one worker, by process id, in memory that all its processes share."""

    def __init__(self, children: int) -> None:
        self._busy: Any = multiprocessing.Array(ctypes.c_int, 2 * children)  # room for those just killed
        self._closing: Any = multiprocessing.Value(ctypes.c_bool, False)
        self._renewed: Any = multiprocessing.Value(ctypes.c_double, 0.0)
        self._pipe = os.pipe()
        for end in self._pipe:
            os.set_blocking(end, False)

    def enter(self) -> None:
        """This process is busy from now on."""
        with self._busy.get_lock():
            free = next(n for n, pid in enumerate(self._busy) if pid == 0 or not _is_alive(pid))
            self._busy[free] = os.getpid()

    def leave(self) -> None:
        """This process is free again; whoever gives out work hears of it."""
        with self._busy.get_lock():
            for n, pid in enumerate(self._busy):
                if pid == os.getpid():
                    self._busy[n] = 0
        self.tell()

    def tell(self) -> None:
        """Whoever gives out work looks again."""
        with contextlib.suppress(BlockingIOError):  # full: it will be looked at anyway
            os.write(self._pipe[1], b".")

    def busy(self) -> int:
        """How many children are busy now; dead ones do not count."""
        return sum(1 for pid in list(self._busy) if pid and _is_alive(pid))

    def renewed(self, at: float) -> None:
        """The supervisor renewed all leases; ``at``: its ``clock`` from before it asked."""
        self._renewed.value = at

    def lease_is_over(self, started: float) -> bool:
        """Whether an attempt started at ``started`` may have lost its lease: its supervisor hangs, or is cut off."""
        return clock() > max(started, self._renewed.value) + LEASE.total_seconds() - _MARGIN

    def close(self) -> None:
        """No child takes a further instance by itself."""
        self._closing.value = True

    @property
    def closing(self) -> bool:
        """The worker is about to end."""
        return bool(self._closing.value)

    @property
    def descriptor(self) -> int:
        """Readable when a child became free."""
        return self._pipe[0]

    def hear(self) -> None:
        """What was told has been heard."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._pipe[0], 4096):
                pass


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@dataclass(frozen=True)
class Worker:
    """The worker that a process belongs to.

    Attributes:
        id: its base.Process.
        groups: resource groups it serves; None for all.
    """

    id: int
    groups: tuple[int, ...] | None
    roster: Roster


_here: Worker | None = None


def join(worker: Worker) -> None:
    """This process and all that it forks belong to the worker."""
    global _here
    _here = worker


def here() -> Worker | None:
    """The worker that this process belongs to; None outside of one (a test, a shell)."""
    return _here
