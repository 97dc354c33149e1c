"""What happens at a moment unless it is called off before: one thread for all, where each would need a Timer of its own."""

import heapq
import os
import time
from collections.abc import Callable
from itertools import count
from threading import Condition, Lock, Thread


class Deadline:
    """Calls something at a moment, unless ``cancel`` came first. Once that has returned, nothing is called any more."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action: Callable[[], None] | None = action
        self._lock = Lock()

    def cancel(self) -> None:
        """Call it off; waits for a call that has begun."""
        with self._lock:
            self._action = None

    def come(self) -> None:
        """The moment is there."""
        with self._lock:
            if self._action is not None:
                self._action()
                self._action = None


class _Watch:
    """The deadlines of this process, and the thread that waits for the nearest; it is started when it is first needed."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._ahead: list[tuple[float, int, Deadline]] = []
        self._numbers = count()
        self._thread: Thread | None = None

    def add(self, moment: float, deadline: Deadline) -> None:
        with self._changed:
            heapq.heappush(self._ahead, (moment, next(self._numbers), deadline))
            if self._thread is None:
                self._thread = Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()
            elif self._ahead[0][2] is deadline:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while (wait := self._ahead[0][0] - time.monotonic() if self._ahead else None) is None or wait > 0:
                    self._changed.wait(wait)
                deadline = heapq.heappop(self._ahead)[2]
            deadline.come()


_watch = _Watch()


def at(moment: float, action: Callable[[], None]) -> Deadline:
    """Call ``action`` at this moment of ``time.monotonic()``. It must be quick, and not fail: others wait behind it."""
    deadline = Deadline(action)
    _watch.add(moment, deadline)
    return deadline


def _forget() -> None:
    """A forked process has none of its parent's threads, nor its calls."""
    global _watch
    _watch = _Watch()


os.register_at_fork(after_in_child=_forget)
