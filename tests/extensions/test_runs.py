"""Runs: how many messages a receiver gets one after the other, and what becomes of those that a run does not come to."""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from extensions import lifecycle, notices, outbox, outcomes
from extensions.courier import Courier
from extensions.models import Delivery, DeliveryTry, Extension
from extensions.notices import Notice
from extensions.outbox import Fate, Lane
from extensions.outcomes import Result
from extensions.runs import MOST_IN_RUN, Runs
from opscenter.base import clock
from opscenter.base.outbound import Line
from tests.extensions.receiver import HANG, Answer, Receiver
from tests.operations.guarded import Guarded

POINT = "freeze-instance"
MOST = MOST_IN_RUN[Lane.NOTICES]


@pytest.mark.parametrize(
    ("seconds", "length"),
    [(0.0, MOST), (0.001, MOST), (0.01, 25), (0.1, 2), (0.25, 1), (15.0, 1), (None, 1)],
)
def test_a_run_takes_about_a_quarter_of_a_second(seconds: float | None, length: int) -> None:
    runs = Runs(MOST)
    assert runs.length(7) == 1, "nothing is known of it yet"
    runs.ended(7, Line(), seconds)
    assert (runs.length(7), runs.length(8)) == (length, 1)


def test_what_fails_is_tried_one_at_a_time() -> None:
    runs = Runs(MOST)
    runs.ended(7, Line(), 0.001)
    runs.ended(7, Line(), None)
    assert runs.length(7) == 1


def test_a_message_that_somebody_waits_for_is_a_run_of_its_own() -> None:
    runs = Runs(MOST_IN_RUN[Lane.CHECKS])
    runs.ended(7, Line(), 0.001)
    assert runs.length(7) == 1


class _Told(Guarded):
    """Somebody listens; ``tell`` makes a message about each of these."""

    def listener(self, url: str) -> Extension:
        made = self.extension("listener", points=[POINT], webhook_url=url)
        lifecycle.new_secret(made)
        return made

    @transaction.atomic
    def tell(self, *subjects: str) -> None:
        for number, subject in enumerate(subjects):
            notices.tell(self.workspace, "Prod", [Notice(POINT, {"number": number}, subject)])


@pytest.fixture
def told(settings: Any) -> _Told:
    settings.OUTBOUND_ALLOW = ["127.0.0.1"]
    return _Told()


def _statuses() -> list[str]:
    return list(Delivery.objects.order_by("pk").values_list("status", flat=True))


def _until(done: Any, seconds: float = 15.0) -> None:
    give_up = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < give_up, _statuses()
        time.sleep(0.02)


@pytest.mark.django_db
def test_what_was_not_sent_has_not_been_tried(told: _Told) -> None:
    made = told.listener("http://127.0.0.1:9/")
    told.tell("i1")
    (parcel,) = outbox.claim({made.pk: 1}, Lane.NOTICES)
    assert Delivery.objects.get().tries == 1
    outcomes.record([Result(parcel, Fate.UNSENT)], Lane.NOTICES)
    (left,) = Delivery.objects.all()
    assert (left.status, left.tries, DeliveryTry.objects.count()) == ("pending", 0, 0)
    assert left.due_at is not None and left.due_at <= clock.now()
    made.refresh_from_db()
    assert made.failing_since is None
    (again,) = outbox.claim({made.pk: 1}, Lane.NOTICES)
    outcomes.record([Result(parcel, Fate.UNSENT)], Lane.NOTICES)  # the same again, and late
    assert again.claim.number == 1
    assert Delivery.objects.get().due_at > clock.now() + timedelta(seconds=5)  # type: ignore[operator]


@pytest.mark.django_db(transaction=True)
def test_a_run_ends_at_the_first_failure(told: _Told) -> None:
    """The receiver dies while it is sent many: one try is lost on it, the others have not begun."""
    with Receiver() as receiver, Courier(lambda check: None, timeout=5.0, lane=Lane.NOTICES) as courier:
        told.listener(receiver.url)
        told.tell("first")
        courier.send_due()
        _until(lambda: _statuses() == ["delivered"])
        _until(lambda: courier.under_way == 0)
        receiver.answer(200, 500)
        told.tell(*[f"i{n}" for n in range(8)])
        courier.send_due()
        _until(lambda: courier.under_way == 0)
        _until(lambda: DeliveryTry.objects.count() == 3)
        assert len(receiver.got) == 3
        assert sorted(Delivery.objects.values_list("tries", flat=True)) == [0] * 6 + [1] * 3
        receiver.answer(200)
        _until(lambda: courier.send_due() is None and _statuses() == ["delivered"] * 9, 20)


@pytest.mark.django_db(transaction=True)
def test_a_slow_receiver_gets_its_messages_side_by_side(told: _Told) -> None:
    with Receiver(Answer(delay=0.5)) as receiver, Courier(lambda check: None, lane=Lane.NOTICES) as courier:
        told.listener(receiver.url)
        told.tell(*[f"i{n}" for n in range(24)])
        began = time.monotonic()

        def all_sent() -> bool:
            courier.send_due()
            return _statuses() == ["delivered"] * 24

        _until(all_sent, 20)
        assert time.monotonic() - began < 24 * 0.5 / 2


@pytest.mark.django_db(transaction=True)
def test_what_a_run_has_not_come_to_when_the_courier_stops_is_sent_by_the_next(told: _Told) -> None:
    with Receiver() as receiver:
        told.listener(receiver.url)
        told.tell("first")
        with Courier(lambda check: None, lane=Lane.NOTICES, patience=0.3) as courier:
            courier.send_due()
            _until(lambda: _statuses() == ["delivered"] and courier.under_way == 0)
            receiver.answer(HANG)
            told.tell(*[f"i{n}" for n in range(5)])
            courier.send_due()
            receiver.wait(2)
        receiver.answer(200)
        assert _statuses() == ["delivered"] + ["pending"] * 5
        assert list(Delivery.objects.order_by("pk").values_list("tries", flat=True)) == [1, 1, 0, 0, 0, 0]
        with Courier(lambda check: None, lane=Lane.NOTICES) as courier:
            _until(lambda: courier.send_due() is None and _statuses() == ["delivered"] * 6)
