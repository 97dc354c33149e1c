"""Stopping a run. The supervisor signals the child that runs it; the child looks whether it is meant, and kills.

The child may have gone on to another attempt when the signal arrives, so STOP_SIGNAL only asks it to look. ABANDON_SIGNAL
means that no lease of this worker can be renewed, or that the worker ends: whatever runs is killed without asking the database,
which may be away.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from types import FrameType

STOP_SIGNAL = signal.SIGUSR1
ABANDON_SIGNAL = signal.SIGUSR2


class StopSwitch:
    """Of one attempt. Once pulled, the process group it guards is dead, or will be when its time of grace is over.

    Attributes:
        abandoned: nobody asked for the stop: the lease could not be renewed, so that the attempt is lost, or its worker ends.
    """

    def __init__(self, is_stopped: Callable[[], bool], lease_is_over: Callable[[], bool] = lambda: False) -> None:
        """``is_stopped`` asks the database whether this attempt is to stop; ``lease_is_over`` asks no one."""
        self.pulled = False
        self.abandoned = False
        self._is_stopped = is_stopped
        self._lease_is_over = lease_is_over
        self._asked = False
        self._group: int | None = None
        self._grace = 0.0
        self._kill_at: float | None = None

    def install(self, *, watch: bool = False) -> None:
        """Take this process's signals (main thread only).

        Args:
            watch: look at the clock every second, whatever this process does: it may be waiting for a database that it is cut
                off from, and then calls ``look`` no more.
        """
        signal.signal(STOP_SIGNAL, self._on_stop)
        signal.signal(ABANDON_SIGNAL, self._on_abandon)
        if watch:
            signal.signal(signal.SIGALRM, self._on_second)
            signal.setitimer(signal.ITIMER_REAL, 1.0, 1.0)
            self._look_at_clock()

    def _on_second(self, signum: int, frame: FrameType | None) -> None:
        self._look_at_clock()

    def _on_stop(self, signum: int, frame: FrameType | None) -> None:
        self._asked = True

    def _on_abandon(self, signum: int, frame: FrameType | None) -> None:
        self.abandoned = True
        self.pull()

    def look(self) -> None:
        """Pull if a stop was asked for and is meant for this attempt; call it often."""
        self._look_at_clock()
        if self._asked:
            self._asked = False
            if self._is_stopped():
                self.pull()

    def _look_at_clock(self) -> None:
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._signal(signal.SIGKILL)
        if not self.pulled and self._lease_is_over():
            self.abandoned = True
            self.pull()

    def pull(self) -> None:
        """Stop what runs, now."""
        self.pulled = True
        self.kill()

    def guard(self, group: int, *, grace: float = 0.0) -> None:
        """This process group is what runs; ``grace``: seconds it has after a SIGTERM, a few at most, since a lease is not
        longer."""
        self._group, self._grace = group, grace
        if self.pulled:
            self.kill()

    def kill(self) -> None:
        """Kill the guarded process group, if any: at once, or when its time of grace is over (see ``look``)."""
        if not self._grace:
            self._signal(signal.SIGKILL)
        elif self._kill_at is None:
            self._kill_at = time.monotonic() + self._grace
            self._signal(signal.SIGTERM)

    def finish(self) -> None:
        """What ran has ended and was reaped: kill what is left of its group, whose number may be given to others."""
        self._signal(signal.SIGKILL)
        self._group, self._kill_at = None, None

    def _signal(self, number: signal.Signals) -> None:
        if self._group is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._group, number)
