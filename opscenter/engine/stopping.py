"""Stopping a run. The supervisor signals the child that runs it; the child looks whether it is meant, and kills.

The child may have gone on to another attempt when the signal arrives, so STOP_SIGNAL only asks it to look. ABANDON_SIGNAL
means that no lease of this worker can be renewed, or that the worker ends: whatever runs is killed without asking the database,
which may be away.
"""

import contextlib
import os
import signal
from collections.abc import Callable
from types import FrameType

STOP_SIGNAL = signal.SIGUSR1
ABANDON_SIGNAL = signal.SIGUSR2


class StopSwitch:
    """Of one attempt. Once pulled, the process group it guards is dead.

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

    def install(self, *, watch: bool = False) -> None:
        """Take this process's signals (main thread only).

        Args:
            watch: look at the lease every second, whatever this process does: it may be waiting for a database that it is cut
                off from, and then calls ``look`` no more.
        """
        signal.signal(STOP_SIGNAL, self._on_stop)
        signal.signal(ABANDON_SIGNAL, self._on_abandon)
        if watch:
            signal.signal(signal.SIGALRM, self._on_second)
            signal.setitimer(signal.ITIMER_REAL, 1.0, 1.0)
            self._look_at_lease()

    def _on_second(self, signum: int, frame: FrameType | None) -> None:
        self._look_at_lease()

    def _on_stop(self, signum: int, frame: FrameType | None) -> None:
        self._asked = True

    def _on_abandon(self, signum: int, frame: FrameType | None) -> None:
        self.abandoned = True
        self.pull()

    def look(self) -> None:
        """Pull if a stop was asked for and is meant for this attempt; call it often."""
        self._look_at_lease()
        if self._asked:
            self._asked = False
            if self._is_stopped():
                self.pull()

    def _look_at_lease(self) -> None:
        if not self.pulled and self._lease_is_over():
            self.abandoned = True
            self.pull()

    def pull(self) -> None:
        """Stop what runs, now."""
        self.pulled = True
        self.kill()

    def guard(self, group: int) -> None:
        """This process group is what runs."""
        self._group = group
        if self.pulled:
            self.kill()

    def kill(self) -> None:
        """Kill the guarded process group, if any."""
        if self._group is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._group, signal.SIGKILL)

    def release(self) -> None:
        """What ran has ended and was reaped; its number may be given to others."""
        self._group = None
