"""A desk: everything on it is worked off, whatever goes wrong."""

import threading
from collections.abc import Callable, Sequence

import pytest
from django.db import DataError, OperationalError

from extensions.desk import Desk

pytestmark = pytest.mark.django_db(transaction=True)


class Worker:
    """Keeps what was worked off; fails as it is told, once for each word."""

    def __init__(self, fails: Callable[[Sequence[str]], Sequence[str]] = lambda pieces: []) -> None:
        self.done: list[str] = []
        self.batches = 0
        self._fails = fails

    def __call__(self, pieces: Sequence[str]) -> Sequence[str]:
        self.batches += 1
        left = self._fails(pieces)
        self.done += [piece for piece in pieces if piece not in left]
        return left


def run(worker: Worker, *pieces: str) -> list[str]:
    """What was worked off until the desk was closed."""
    desk: Desk[str] = Desk("test", worker)
    for piece in pieces:
        desk.put(piece)
    assert desk.close(5)
    return sorted(worker.done)


def test_everything_is_worked_off_before_it_closes():
    words = [f"{number:04}" for number in range(1000)]
    assert run(Worker(), *words) == words


def test_nothing_to_do():
    assert run(Worker()) == []


def test_what_is_left_over_is_tried_again():
    seen: list[str] = []

    def not_yet(pieces):
        left = [piece for piece in pieces if seen.count(piece) < 2]
        seen.extend(pieces)
        return left

    assert run(Worker(not_yet), "a", "b") == ["a", "b"]


def test_while_the_database_is_away_it_waits():
    away = [OperationalError("away"), OperationalError("still away")]

    def fail(pieces):
        if away:
            raise away.pop()
        return []

    worker = Worker(fail)
    assert run(worker, "a", "b") == ["a", "b"]
    assert worker.batches >= 3


@pytest.mark.parametrize("error", [ValueError, DataError])
def test_one_that_fails_is_dropped_and_the_others_are_not(error):
    def fail(pieces):
        if "bad" in pieces:
            raise error("bad")
        return []

    assert run(Worker(fail), "a", "bad", "b", "c") == ["a", "b", "c"]


def test_closing_gives_up_in_time():
    hold = threading.Event()

    def hold_on(pieces):
        hold.wait(5)
        return []

    desk: Desk[str] = Desk("test", hold_on)
    desk.put("a")
    assert not desk.close(0.05)
    hold.set()
    assert desk.close(5)
