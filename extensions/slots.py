"""Fairness: how many requests each extension may have under way, so that none keeps another waiting.

However many messages an extension has, it gets at most a share of what is free, and some slots are for those that have
no request under way: the next one to come finds room. One whose last request failed gets very little, and rests between
its requests, for longer each time: it costs next to nothing until it answers again. The first success gives it back
what the others have.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock

MOST = 64
"""Requests under way at once, of one courier."""
PER_EXTENSION = 16
PER_FAILING = 2
RESERVED = 16
"""Slots that only the first request of an extension may take."""
_SHARE, _FAILING_SHARE = 2, 8
"""Of what is free beyond those, an extension has at most one part in so many."""
_FIRST_REST, _LONGEST_REST = 0.1, 2.0
MOST_YOUNG, _YOUNG_FOR = 3, 0.05
"""An extension has at most that many requests that started so many seconds ago: those cost processor time, older ones
wait. One that answers at once needs no more, and would take that time from others; a slow one soon has all it may have."""


@dataclass
class _Standing:
    under_way: list[float] = field(default_factory=list)
    """When each of its requests started, the oldest first."""
    failures: int = 0
    """In a row."""
    rests_until: float = 0.0
    most_young: int = MOST_YOUNG

    def young(self, now: float) -> list[float]:
        """The starts of those requests that cost processor time still."""
        return [started for started in self.under_way if now - started < _YOUNG_FOR]

    def room(self, free: int, now: float) -> int:
        """How many requests it may start now, when so many slots are free."""
        beyond = max(0, free - RESERVED)
        if self.failures:
            most = 0 if self.rests_until > now else min(PER_FAILING, beyond // _FAILING_SHARE)
            return min(1, most - len(self.under_way))
        first = 1 if free > 0 and not self.under_way else 0
        more = min(PER_EXTENSION, beyond // _SHARE) - len(self.under_way)
        return max(first, min(more, self.most_young - len(self.young(now))))

    def rest(self, now: float) -> float:
        """Seconds for which it may start none, whatever is free."""
        if self.failures:
            return self.rests_until - now
        young = self.young(now)
        return young[0] + _YOUNG_FOR - now if len(young) >= self.most_young else 0.0

    def begin_rest(self, now: float) -> None:
        """Let some time pass before the next request, if the last one failed."""
        if self.failures:
            seconds = min(_LONGEST_REST, _FIRST_REST * 2 ** min(self.failures - 1, 10))
            self.rests_until = now + seconds


class Slots:
    """Who has how many requests under way, and how the last ones went. Safe from any thread.

    Attributes:
        at_once: requests that may have started just now, of all extensions together; may be changed at any time.
    """

    def __init__(self, most: int = MOST, most_young: int = MOST_YOUNG) -> None:
        self._most = most
        self.at_once = most
        self._most_young = most_young
        self._lock = Lock()
        self._standings: dict[int, _Standing] = {}

    @property
    def under_way(self) -> int:
        """Requests of all extensions."""
        with self._lock:
            return self._total()

    def rooms(self, extensions: Iterable[int]) -> dict[int, int]:
        """How many requests of each of these may start now, in the order in which they are given; without the zeros."""
        now = time.monotonic()
        with self._lock:
            young = sum(len(standing.young(now)) for standing in self._standings.values())
            free = min(self._most - self._total(), self.at_once - young)
            rooms = {}
            for extension in extensions:
                room = self._of(extension).room(free, now)
                if room > 0:
                    rooms[extension] = room
                    free -= room
            return rooms

    def rest(self, extension: int) -> float:
        """Seconds until it may start another request, as far as that is a matter of time."""
        with self._lock:
            return max(0.0, self._of(extension).rest(time.monotonic()))

    def take(self, extension: int) -> float:
        """A request starts; returns what ``release`` needs."""
        now = time.monotonic()
        with self._lock:
            standing = self._standings.setdefault(extension, _Standing(most_young=self._most_young))
            standing.under_way.append(now)
            standing.begin_rest(now)
        return now

    def release(self, extension: int, started: float, *, went_well: bool) -> None:
        """A request has ended."""
        now = time.monotonic()
        with self._lock:
            standing = self._standings[extension]
            standing.under_way.remove(started)
            standing.failures = 0 if went_well else standing.failures + 1
            standing.begin_rest(now)
            if not standing.under_way and not standing.failures:
                del self._standings[extension]

    def _total(self) -> int:
        return sum(len(standing.under_way) for standing in self._standings.values())

    def _of(self, extension: int) -> _Standing:
        return self._standings.get(extension) or _Standing(most_young=self._most_young)
