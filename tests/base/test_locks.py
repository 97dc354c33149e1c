"""Advisory locks, on a real server."""

import threading
import time
from collections.abc import Iterator

import pytest
from django.db import connection, transaction

from opscenter.base import clock, locks, notify
from opscenter.base.locks import Leadership

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def two() -> Iterator[tuple[Leadership, Leadership]]:
    with Leadership("test") as first, Leadership("test") as second:
        yield first, second


def test_one_of_two_leads_and_the_other_follows_when_it_resigns(two: tuple[Leadership, Leadership]) -> None:
    first, second = two
    assert first.acquire()
    assert not second.acquire()
    assert first.held()
    assert not second.held()
    first.resign()
    assert not first.held()
    assert second.acquire()


def test_different_names_have_different_leaders() -> None:
    with Leadership("one") as one, Leadership("two") as two:
        assert one.acquire()
        assert two.acquire()


def test_a_leader_whose_connection_is_cut_knows_it_and_another_leads(
    two: tuple[Leadership, Leadership], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two
    monkeypatch.setattr(locks, "_CHECK_EVERY", 0.0)
    assert first.acquire()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    assert not first.held()
    assert second.wait(threading.Event())


def test_waiting_for_the_lead_ends_when_the_process_stops(two: tuple[Leadership, Leadership]) -> None:
    first, second = two
    assert first.acquire()
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()
    assert not second.wait(stop)
    assert time.monotonic() - began < 3


def test_a_transaction_s_lock_is_held_to_its_end() -> None:
    with transaction.atomic():
        locks.advisory_xact_lock("test")
        assert not _is_free("test")
    assert _is_free("test")


def test_a_session_lock_outlives_transactions_and_ends_with_its_block() -> None:
    with locks.session_lock("test"):
        with transaction.atomic():
            pass
        assert not _is_free("test")
    assert _is_free("test")


def test_keys_are_64_bits_and_stay_the_same() -> None:
    assert locks.key_of("scheduler") == 8593050623475513488
    assert len({locks.key_of(str(number)) for number in range(1000)}) == 1000


def test_the_clock_is_the_database_s_and_moves_within_a_transaction() -> None:
    with transaction.atomic():
        first = clock.now()
        time.sleep(0.01)
        second = clock.now()
    assert first.tzinfo is not None
    assert (second - first).total_seconds() >= 0.01


def _is_free(name: str) -> bool:
    with notify.open_connection() as other:
        row = other.execute("SELECT pg_try_advisory_lock(%s)", [locks.key_of(name)]).fetchone()
        return bool(row and row[0])
