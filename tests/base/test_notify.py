"""NOTIFY and LISTEN, on a real server."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from django.db import connection, transaction

from opscenter.base import notify
from opscenter.base.notify import Listener

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def listener() -> Iterator[Listener]:
    listening = Listener([notify.WORK, notify.DUE])
    assert listening.wait(1) == []  # connects
    yield listening
    listening.close()


def test_hears_channel_and_payload(listener: Listener) -> None:
    notify.notify(notify.WORK, "7")
    notify.notify(notify.STOP, "not listened to")
    notify.notify(notify.DUE)
    heard = listener.wait(5) + listener.wait(0)
    assert [(one.channel, one.payload) for one in heard] == [(notify.WORK, "7"), (notify.DUE, "")]


def test_is_woken_at_once_not_at_the_end_of_its_sleep(listener: Listener) -> None:
    threading.Timer(0.2, _notify_from_elsewhere).start()
    began = time.monotonic()
    assert len(listener.wait(10)) == 1
    assert time.monotonic() - began < 2


def test_sleeps_as_long_as_told_when_nothing_happens(listener: Listener) -> None:
    began = time.monotonic()
    assert listener.wait(0.3) == []
    assert 0.25 < time.monotonic() - began < 2


def test_nothing_is_announced_before_the_commit(listener: Listener) -> None:
    with transaction.atomic():
        notify.notify(notify.WORK)
        assert listener.wait(0.2) == []
    assert len(listener.wait(5)) == 1


def test_a_rollback_announces_nothing(listener: Listener) -> None:
    with transaction.atomic():
        notify.notify(notify.WORK)
        transaction.set_rollback(True)
    assert listener.wait(0.2) == []


def test_reconnects_after_its_connection_is_cut(listener: Listener) -> None:
    cut = listener._connection
    assert _cut_listeners() == 1
    while listener._connection in (None, cut):  # finds out, then connects
        assert listener.wait(1) == []
    notify.notify(notify.WORK)
    assert len(listener.wait(5)) == 1


def test_without_a_database_it_never_raises_and_does_not_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "open_connection", lambda: (_ for _ in ()).throw(OSError("away")))
    listening = Listener([notify.WORK])
    began = time.monotonic()
    assert listening.wait(5) == []
    assert 0.4 < time.monotonic() - began < 2


def test_an_interrupt_ends_the_sleep_of_this_process_for_good() -> None:
    child = os.fork()
    if child == 0:
        listening = Listener([notify.WORK])
        listening.wait(1)
        signal.signal(signal.SIGUSR1, lambda *_: notify.interrupt())
        signal.setitimer(signal.ITIMER_REAL, 0)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        began = time.monotonic()
        listening.wait(20)
        listening.wait(20)
        os._exit(0 if time.monotonic() - began < 5 else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def _notify_from_elsewhere() -> None:
    with notify.open_connection() as opened:
        opened.execute("SELECT pg_notify(%s, '')", [notify.WORK])


def _cut_listeners() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND query LIKE 'LISTEN %'"
        )
        return int(cursor.fetchone()[0])
