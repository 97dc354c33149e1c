"""The courier's work, step by step in the test's own thread, or by a real courier in threads of its own."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from extensions import outbox, outcomes
from extensions.courier import Courier, request
from extensions.models import Delivery, DeliveryTry
from opscenter.base import due, notify
from opscenter.base.clock import now
from opscenter.base.outbound import Line

PLENTY = 100


def send(timeout: float = 5.0) -> list[int]:
    """Send everything that is due, once; the checks that can never get their message."""
    _now, waiting = outbox.waiting()
    results = []
    for parcel in outbox.claim({one.extension: PLENTY for one in waiting}):
        if parcel.not_sent is not None:
            results.append(outcomes.Result(parcel, parcel.not_sent[0], reason=parcel.not_sent[1]))
        else:
            results.append(request(parcel, timeout, Line(0.0)))
    left, hopeless = outcomes.record(results)
    assert not left
    return hopeless


def hurry() -> None:
    """The time of the next try has come."""
    Delivery.objects.filter(status=Delivery.Status.PENDING).update(due_at=now())


def last_try(delivery: Delivery) -> DeliveryTry:
    """What became of a delivery's newest request."""
    return DeliveryTry.objects.filter(delivery=delivery).latest("number")


@contextmanager
def courier(on_unreachable: Callable[[int], None] = lambda check: None, **options: Any) -> Iterator[Courier]:
    """A courier at work, as its process runs it."""
    stop = threading.Event()
    made = Courier(on_unreachable, **{"patience": 0.2, **options})

    def work() -> None:
        try:
            due.loop([due.Source("deliveries", made.send_due)], [notify.COURIER], stop, lambda: True)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    with made:
        thread.start()
        try:
            yield made
        finally:
            stop.set()
            while thread.is_alive():  # it may not be listening yet
                notify.notify(notify.COURIER)
                thread.join(0.05)
