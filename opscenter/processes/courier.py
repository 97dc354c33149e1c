"""The courier: outbound calls that are due, made by threads. Any number of them may run."""

import os
import time
from contextlib import closing
from datetime import datetime
from threading import Event, Thread, get_native_id

import structlog
from django.db import connection

from extensions.changes import Changes
from extensions.courier import REST, Courier
from extensions.outbox import Lane
from extensions.slots import MOST
from opscenter.base import due, notify, sql
from opscenter.base.models import Process
from opscenter.base.spare import Spare
from opscenter.console import ended_letters
from opscenter.engine.backfill_mail import Mailer
from opscenter.engine.http_courier import HttpCourier
from opscenter.operations import checked
from opscenter.processes.beating import Beating

logger = structlog.get_logger(__name__)

_NICER = 19
_ENOUGH_SPARE = min(1.0, (os.cpu_count() or 1) / 2)
_FEW_RUNS, _MUCH_WORK = 2, 0.02
_REST_FOR_WORK, _LONGEST_REST = 20, 10.0
"""Regular events take what processor time others leave: nobody waits for them. Where less than so many processors are spare,
only so many runs start at once, and each second of work is followed by so many seconds of rest, up to the last of these
numbers: the kernel weighs sessions, so being nice is not enough. Elsewhere twice as many start in the next round, as long as
a round has so many seconds of work: what others want shows only after a moment."""


def run(stop: Event) -> None:
    """Run until ``stop`` is set; what is under way then has a moment to end."""
    sql.plan_once()
    with (
        Beating(Process.Kind.COURIER, {"under_way": 0}) as beating,
        Courier(checked.unreachable) as courier,
        HttpCourier() as calls,
        closing(Mailer(ended_letters.write)) as mailer,
    ):
        telling = Thread(target=_tell, args=(stop,), name="regular events", daemon=True)
        telling.start()

        def send_due() -> datetime | None:
            nearest = courier.send_due()
            beating.update(under_way=courier.under_way + calls.under_way)
            return nearest

        sources = [due.Source("deliveries", send_due), due.Source("calls", calls.run_due)]
        sources.append(due.Source("mails", mailer.run_due))
        due.loop(sources, [notify.COURIER], stop, lambda: True)
        telling.join()


def _tell(stop: Event) -> None:
    """Regular events, apart from what somebody waits for: their threads and their slots are their own."""
    try:
        os.setpriority(os.PRIO_PROCESS, get_native_id(), _NICER)  # on Linux of this thread, and of those that it starts
    except OSError as error:
        logger.warning("courier.priority", error=str(error))
    try:
        with Courier(_nobody_waits, lane=Lane.NOTICES) as courier:
            sources = [due.Source("changes", Changes().run), due.Source("notices", courier.send_due)]
            due.loop(sources, [notify.NOTICES], stop, lambda: True, rest=_Yielding(courier).seconds)
    finally:
        connection.close()


class _Yielding:
    """Has regular events make way for others: few at a time, with pauses."""

    def __init__(self, courier: Courier) -> None:
        self._courier, self._spare, self._ended = courier, Spare(), time.process_time()
        self._runs = _FEW_RUNS

    def seconds(self) -> float:
        """How long to rest before the next round; by what this process has worked since this was asked last."""
        began, self._ended = self._ended, time.process_time()
        worked, is_busy = self._ended - began, self._spare.since_last() < _ENOUGH_SPARE
        self._runs = min(2 * self._runs, MOST) if worked > _MUCH_WORK and not is_busy else _FEW_RUNS
        self._courier.start_at_once(self._runs)
        return max(REST, min(_LONGEST_REST, _REST_FOR_WORK * worked)) if is_busy else REST


def _nobody_waits(check: int) -> None:
    raise AssertionError(f"check {check} is no regular event")
