"""How often one caller may call: so many times a second, counted in this process."""

import threading
import time


class Buckets:
    """A bucket for each caller, which a second fills again; a second's worth may come at once."""

    _MOST = 10_000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, caller: str, rate: float) -> float:
        """Count a call; 0 when it is allowed, otherwise the seconds to wait until one is."""
        now = time.monotonic()
        with self._lock:
            if len(self._left) > self._MOST:  # forgetting errs on the side of the callers
                self._left.clear()
            left, at = self._left.get(caller, (rate, now))
            left = min(rate, left + (now - at) * rate)
            allowed = left >= 1
            self._left[caller] = (left - 1 if allowed else left, now)
        return 0.0 if allowed else (1 - left) / rate

    def reset(self) -> None:
        """Forget who called how often."""
        with self._lock:
            self._left.clear()
