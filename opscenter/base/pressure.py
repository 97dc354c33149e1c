"""How much the processors of this machine are wanted, as Linux tells it (pressure stall information)."""

import time
from pathlib import Path

_TOLD = Path("/proc/pressure/cpu")


class Pressure:
    """The share of time in which something that could run waited for a processor. Elsewhere than on Linux it is never any."""

    def __init__(self) -> None:
        self._at, self._stalled = time.monotonic(), _stalled()

    def since_last(self) -> float:
        """Between 0 and 1, since this was asked last."""
        at, stalled = time.monotonic(), _stalled()
        passed, waited = at - self._at, stalled - self._stalled
        self._at, self._stalled = at, stalled
        return min(1.0, max(0.0, waited / passed)) if passed > 0 else 0.0


def _stalled() -> float:
    """Seconds of it since the machine was started; 0 where nothing tells."""
    try:
        first = _TOLD.read_text().splitlines()[0]  # some avg10=0.00 avg60=0.00 avg300=0.00 total=0
        return int(first.rpartition("total=")[2]) / 1_000_000
    except (OSError, ValueError, IndexError):
        return 0.0
