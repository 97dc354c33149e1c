"""The courier: outbound calls that are due, made by threads. Any number of them may run."""

from datetime import datetime
from threading import Event

from extensions.courier import Courier
from opscenter.base import due, notify, sql
from opscenter.base.models import Process
from opscenter.operations import checked
from opscenter.processes.beating import Beating


def run(stop: Event) -> None:
    """Run until ``stop`` is set; what is under way then has a moment to end."""
    sql.plan_once()
    with Beating(Process.Kind.COURIER, {"under_way": 0}) as beating, Courier(checked.unreachable) as courier:

        def send_due() -> datetime | None:
            nearest = courier.send_due()
            beating.update(under_way=courier.under_way)
            return nearest

        due.loop([due.Source("deliveries", send_due)], [notify.COURIER], stop, lambda: True)
