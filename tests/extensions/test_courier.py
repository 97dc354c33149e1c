"""The courier at work, in this process: prompt, each message once, nobody kept waiting by others."""

import threading
import time

import psycopg
import pytest
from django.db import connection, transaction

from extensions.models import Delivery, Extension
from extensions.slots import PER_EXTENSION
from opscenter.base import due, notify
from tests.extensions import post
from tests.extensions.receiver import HANG, Answer, Receiver
from tests.extensions.scene import Scene

pytestmark = pytest.mark.django_db(transaction=True)
Status = Delivery.Status


@pytest.fixture(autouse=True)
def allowed(settings):
    settings.OUTBOUND_ALLOW = ["127.0.0.1"]


@pytest.fixture
def scene():
    return Scene()


def wait_for(done, seconds: float = 20.0):
    give_up = time.monotonic() + seconds
    while not (value := done()):
        assert time.monotonic() < give_up, "not in time"
        time.sleep(0.01)
    return value


def statuses(**which) -> dict[str, int]:
    found: dict[str, int] = {}
    for status in Delivery.objects.filter(**which).values_list("status", flat=True):
        found[status] = found.get(status, 0) + 1
    return found


def events(scene: Scene, count: int, *extensions: Extension) -> None:
    with transaction.atomic():
        for _ in range(count):
            scene.event(*extensions)


def test_a_commit_is_what_sends(scene):
    with Receiver() as receiver, post.courier() as courier:
        scene.extension(receiver.url)
        with transaction.atomic():
            scene.event()
            time.sleep(0.1)
            assert not receiver.got
        receiver.wait(1)
        wait_for(lambda: statuses() == {"delivered": 1})
        wait_for(lambda: courier.under_way == 0)


def test_prompt(scene):
    """Woken by the commit and by nothing else: the loop's own sleep is ten seconds."""
    with Receiver() as receiver, post.courier():
        scene.extension(receiver.url)
        scene.event()
        receiver.wait(1)
        waits = []
        for number in range(10):
            time.sleep(0.02)
            events(scene, 1)
            committed = time.time()
            waits.append(receiver.wait(number + 2)[-1].at - committed)
        assert sorted(waits)[5] < 1  # on a busy machine, too


def test_two_couriers_send_each_message_once(scene):
    with Receiver() as receiver, post.courier(), post.courier():
        scene.extension(receiver.url, "a")
        scene.extension(receiver.url, "b")
        events(scene, 60)
        wait_for(lambda: statuses() == {"delivered": 120}, 20)
        messages = [(got.id, got.headers["webhook-signature"]) for got in receiver.got]
        assert len(messages) == len(set(messages)) == 120


def test_a_flood_to_one_keeps_another_not_waiting(scene):
    """The one is slow, too: all it may have at a time is under way for long."""
    with Receiver(Answer(delay=0.3)) as slow, Receiver() as quick, post.courier():
        flooded, other = scene.extension(slow.url, "flooded"), scene.extension(quick.url, "other")
        events(scene, 300, flooded)
        slow.wait(PER_EXTENSION)
        for number in range(5):
            scene.event(other)
            committed = time.time()
            assert quick.wait(number + 1)[-1].at - committed < 3
        assert statuses(extension=flooded)["pending"] > 0
        assert statuses(extension=other).get("pending", 0) <= 1


def test_a_freed_slot_is_used_at_once(scene):
    with Receiver(Answer(delay=0.05)) as receiver, post.courier():
        scene.extension(receiver.url)
        events(scene, 3 * PER_EXTENSION)
        wait_for(lambda: statuses() == {"delivered": 3 * PER_EXTENSION}, due.LONGEST_SLEEP - 2)


def test_a_hanging_and_a_failing_receiver_delay_nobody(scene):
    with Receiver(HANG) as hanging, Receiver(500) as failing, Receiver() as healthy, post.courier(timeout=0.5):
        for name, receiver in (("hanging", hanging), ("failing", failing), ("healthy", healthy)):
            scene.extension(receiver.url, name)
        events(scene, 100)
        healthy.wait(100, 30)
        wait_for(lambda: statuses(extension__name="healthy") == {"delivered": 100})
        assert statuses(extension__name="hanging") == {"pending": 100}
        time.sleep(1)
        assert len(failing.got) < 100  # it rests: not even the first tries are all made
        assert len(hanging.got) <= 2 * PER_EXTENSION
        failing.answer(200)
        Delivery.objects.filter(extension__name="failing").update(due_at="2026-01-01T00:00Z")
        notify.notify(notify.COURIER)
        wait_for(lambda: statuses(extension__name="failing") == {"delivered": 100}, 30)


def test_who_waits_for_a_receiver_holds_no_connection(scene):
    with Receiver(HANG) as receiver, post.courier(timeout=20.0):
        scene.extension(receiver.url)
        with connection.cursor() as cursor:
            events(scene, 30)
            receiver.wait(PER_EXTENSION)
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            assert cursor.fetchone()[0] <= 5  # ours, and the courier's four


def test_retries_come_by_themselves(scene, monkeypatch):
    monkeypatch.setattr("extensions.rules.RETRY_AFTER", (0.2,))
    with Receiver(500, 503, 200) as receiver, post.courier():
        scene.extension(receiver.url)
        events(scene, 1)
        receiver.wait(3)
        wait_for(lambda: statuses() == {"delivered": 1})


def test_what_can_never_be_delivered_is_told(scene):
    told: list[int] = []
    with Receiver(410) as receiver, post.courier(told.append):
        scene.extension(receiver.url, "gone")
        scene.extension("http://127.0.0.9:1/", "refused")
        event = scene.event()
        wait_for(lambda: sorted(told) == sorted(check.pk for check in event.checks.all()))
    # those were not settled, for this courier's listener does nothing: the next courier tells again
    told_again: list[int] = []
    with post.courier(told_again.append):
        wait_for(lambda: sorted(told_again) == sorted(told))


def test_telling_is_repeated_while_the_database_is_away(scene):
    from django.db import OperationalError

    told: list[int] = []

    def tell(check: int) -> None:
        told.append(check)
        if len(told) == 1:
            raise OperationalError("away")

    with Receiver(410) as receiver, post.courier(tell):
        scene.extension(receiver.url)
        check = scene.event().checks.get()
        wait_for(lambda: told == [check.pk, check.pk])


def test_a_delivery_that_somebody_holds_keeps_no_other_waiting(scene):
    """As the transaction does that ends its check: the result of the one is kept when it lets go."""
    with Receiver(Answer(delay=0.3)) as receiver, post.courier() as courier:
        scene.extension(receiver.url)
        events(scene, 2)
        receiver.wait(2)
        held, other = Delivery.objects.order_by("pk")
        with transaction.atomic():
            Delivery.objects.select_for_update().get(pk=held.pk)
            wait_for(lambda: statuses(pk=other.pk) == {"delivered": 1})
            time.sleep(0.1)
            assert not courier.under_way
            assert statuses() == {"delivered": 1, "pending": 1}
        wait_for(lambda: statuses() == {"delivered": 2})


def test_the_database_goes_away_for_a_moment(scene):
    """All connections are cut while requests are under way: they are recorded, none is sent twice, and it goes on."""
    with Receiver(Answer(delay=0.5), 200) as receiver, post.courier():
        scene.extension(receiver.url)
        events(scene, 1)
        receiver.wait(1)
        cut_connections()
        wait_for(lambda: statuses() == {"delivered": 1}, 10)
        events(scene, 5)
        receiver.wait(6)
        wait_for(lambda: statuses() == {"delivered": 6}, 10)
        assert len(receiver.got) == 6


def cut_connections() -> None:
    """Those of everybody else."""
    given = connection.get_connection_params()
    with psycopg.connect(
        host=given.get("host"), dbname=given["dbname"], user=given.get("user"), autocommit=True
    ) as own:
        own.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), %s)",
            [connection.connection.info.backend_pid],
        )


def test_at_the_end_what_is_under_way_has_a_moment(scene):
    with Receiver(Answer(delay=0.3)) as receiver:
        with post.courier(patience=5.0):
            scene.extension(receiver.url)
            events(scene, 3)
            receiver.wait(3)
        assert statuses() == {"delivered": 3}


def test_and_is_sent_again_otherwise(scene):
    with Receiver(HANG, 200) as receiver:
        with post.courier(patience=0.1):
            scene.extension(receiver.url)
            events(scene, 1)
            receiver.wait(1)
        delivery = Delivery.objects.get()
        assert (delivery.status, post.last_try(delivery).reason["code"]) == (Status.PENDING, "delivery.abandoned")
        with post.courier():
            first, second = receiver.wait(2)
            assert (first.id, first.body) == (second.id, second.body)
            wait_for(lambda: statuses() == {"delivered": 1})


def test_its_threads_end(scene):
    before = threading.active_count()
    with Receiver() as receiver:
        scene.extension(receiver.url)
        with post.courier():
            events(scene, 10)
            wait_for(lambda: statuses() == {"delivered": 10})
    wait_for(lambda: threading.active_count() <= before)
