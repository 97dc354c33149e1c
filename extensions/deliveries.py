"""Deliveries: messages on their way to extensions. The table is the outbox: rows are written in the transaction that
opens the checks, and the courier sends what is due (at least once; ``webhook-id`` stays the same)."""

from collections.abc import Iterable, Sequence

from extensions.models import Check, Delivery
from opscenter.base import clock, notify


def enqueue(checks: Sequence[Check], *, is_replay: bool = False) -> list[Delivery]:
    """Send these checks' messages, as soon as the transaction commits."""
    now = clock.now()
    made = Delivery.objects.bulk_create(
        Delivery(of_check=check, extension=check.extension, is_replay=is_replay, due_at=now, created_at=now)
        for check in checks
    )
    if made:
        notify.notify(notify.COURIER)
    return made


def end_pending(checks: Iterable[Check]) -> None:
    """The checks are over: what was not delivered yet is not needed any more."""
    Delivery.objects.filter(of_check__in=list(checks), status=Delivery.Status.PENDING).update(
        status=Delivery.Status.ENDED, due_at=None, finished_at=clock.now()
    )
