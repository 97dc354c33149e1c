"""The courier: outbound calls that are due, made by threads. Any number of them may run."""

from datetime import datetime
from threading import Event

from extensions.courier import Courier
from opscenter.base import due, notify, sql
from opscenter.base.models import Process
from opscenter.engine.http_courier import HttpCourier
from opscenter.operations import checked
from opscenter.processes.beating import Beating


def run(stop: Event) -> None:
    """Run until ``stop`` is set; what is under way then has a moment to end."""
    sql.plan_once()
    with (
        Beating(Process.Kind.COURIER, {"under_way": 0}) as beating,
        Courier(checked.unreachable) as courier,
        HttpCourier() as calls,
    ):

        def send_due() -> datetime | None:
            nearest = courier.send_due()
            beating.update(under_way=courier.under_way + calls.under_way)
            return nearest

        sources = [due.Source("deliveries", send_due), due.Source("calls", calls.run_due)]
        due.loop(sources, [notify.COURIER], stop, lambda: True)
