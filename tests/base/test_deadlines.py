"""Deadlines: each at its moment, none after it was called off."""

import os
import threading
import time
from queue import SimpleQueue

from opscenter.base import deadlines


def test_they_come_in_the_order_of_their_moments() -> None:
    came: SimpleQueue[int] = SimpleQueue()
    start = time.monotonic()
    for number in (3, 1, 2, 0):
        deadlines.at(start + 0.05 + number * 0.03, lambda number=number: came.put(number))  # type: ignore[misc]
    assert [came.get(timeout=5) for _ in range(4)] == [0, 1, 2, 3]
    assert time.monotonic() >= start + 0.14


def test_one_that_was_called_off_never_comes() -> None:
    came: SimpleQueue[str] = SimpleQueue()
    now = time.monotonic()
    off = deadlines.at(now + 0.05, lambda: came.put("off"))
    deadlines.at(now + 0.1, lambda: came.put("on"))
    off.cancel()
    assert came.get(timeout=5) == "on"
    assert came.empty()


def test_calling_off_waits_for_what_has_begun() -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), []

    def action() -> None:
        begun.set()
        may_end.wait(5)
        ended.append(True)

    deadline = deadlines.at(time.monotonic(), action)
    assert begun.wait(5)
    threading.Timer(0.05, may_end.set).start()
    deadline.cancel()
    assert ended


def test_a_forked_process_has_its_own() -> None:
    came = threading.Event()
    deadlines.at(time.monotonic(), came.set)
    assert came.wait(5)
    child = os.fork()
    if child == 0:
        again = threading.Event()
        deadlines.at(time.monotonic(), again.set)
        os._exit(0 if again.wait(5) else 1)
    assert os.waitpid(child, 0)[1] == 0
