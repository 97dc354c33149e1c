"""Calls made at the same moment, each on a database connection of its own."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

PATIENCE = 30.0


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """The answers, or errors, in the order of the calls."""
    start = threading.Barrier(len(calls))
    answers: list[Any] = [None] * len(calls)

    def run(number: int, call: Callable[[], Any]) -> None:
        try:
            start.wait(timeout=PATIENCE)
            answers[number] = call()
        except BaseException as error:
            answers[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive(), "somebody waits for ever"
    return answers


@contextmanager
def meanwhile(call: Callable[[], Any]) -> Iterator[list[Any]]:
    """Make a call while the block's transaction is open, which must make it wait; its answer is there afterwards."""
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.extend(at_once(call)))
    with transaction.atomic():
        yield answers
        thread.start()
        wait_until_blocked()
        assert not answers
    thread.join(PATIENCE)
    assert len(answers) == 1


def wait_until_blocked() -> None:
    """Until another connection waits for a lock that this transaction holds."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")
            if cursor.fetchone()[0]:
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits for us")


def no_other_connection_is_busy() -> None:
    """The server has noticed that the killed process is gone: nothing holds locks any more."""
    for _ in range(1000):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_sleep(0.01), count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
            )
            if not cursor.fetchone()[1]:
                return
    raise AssertionError("somebody is still at work")
