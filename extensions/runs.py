"""Runs of messages to one extension: how long they may be, and the connections that are kept from one to the next."""

import time
from dataclasses import dataclass, field
from threading import Lock

from extensions.outbox import Lane
from opscenter.base.outbound import Line

MOST_IN_RUN = {Lane.CHECKS: 1, Lane.NOTICES: 50}
_RUN_SECONDS = 0.25
"""What a run is meant to take. A receiver that takes longer for one message gets its messages side by side instead."""
_IDLE_FOR = 10.0
_MOST_IDLE = 2
"""Connections of an extension that are kept without a request, and for how many seconds."""


@dataclass
class _Receiver:
    """What is known of an extension's endpoint.

    Attributes:
        pace: seconds that it takes for a message; unknown after a failure.
        idle: lines that no run has, the last used at the end, and when that was.
    """

    pace: float | None = None
    idle: list[tuple[float, Line]] = field(default_factory=list)


class Runs:
    """Safe from any thread.

    Args:
        most: messages in a run.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._receivers: dict[int, _Receiver] = {}

    def length(self, extension: int) -> int:
        """How many messages its next run may have."""
        with self._lock:
            pace = self._receivers.get(extension, _Receiver()).pace
        return 1 if pace is None else max(1, min(self._most, int(_RUN_SECONDS / max(pace, 1e-6))))

    def line(self, extension: int) -> Line:
        """For one run."""
        with self._lock:
            receiver = self._receivers.get(extension)
            if receiver and receiver.idle:
                return receiver.idle.pop()[1]
        return Line() if self._most > 1 else Line(keep=0.0)

    def ended(self, extension: int, line: Line, pace: float | None) -> None:
        """A run is over.

        Args:
            pace: seconds for a message; None when it did not end well.
        """
        with self._lock:
            receiver = self._receivers.setdefault(extension, _Receiver())
            receiver.pace = pace if pace is None or receiver.pace is None else (receiver.pace + pace) / 2
            is_kept = self._most > 1 and pace is not None and len(receiver.idle) < _MOST_IDLE
            if is_kept:
                receiver.idle.append((time.monotonic(), line))
        if not is_kept:
            line.close()

    def hang_up_idle(self) -> None:
        """Close what nobody has used for a while."""
        self._hang_up(time.monotonic() - _IDLE_FOR)

    def close(self) -> None:
        """Close what no run has."""
        self._hang_up(time.monotonic())

    def _hang_up(self, unused_since: float) -> None:
        with self._lock:
            old = [line for one in self._receivers.values() for used, line in one.idle if used <= unused_since]
            for one in self._receivers.values():
                one.idle = [(used, line) for used, line in one.idle if used > unused_since]
        for line in old:
            line.close()
