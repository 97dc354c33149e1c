"""The scheduler: due work, done by the one leader; others wait to take over."""

from threading import Event

from opscenter.base import due, notify, sql
from opscenter.base.locks import Leadership
from opscenter.base.models import Process
from opscenter.engine import due as engine_due
from opscenter.engine import misfires
from opscenter.operations import checked, force_rerun
from opscenter.processes.beating import Beating

SOURCES = [*engine_due.SOURCES, *checked.SOURCES, *force_rerun.SOURCES]
"""Everything that time moves, in the order in which it is run."""


def run(stop: Event) -> None:
    """Run until ``stop`` is set; leads when nobody else does."""
    sql.plan_once()
    leads = Event()

    def attend() -> None:
        if leads.is_set():  # a round of due work may take long: that is no absence
            misfires.attend()

    beating = Beating(Process.Kind.SCHEDULER, {"leader": False}, besides=attend)
    with beating, Leadership("scheduler") as leadership:
        while leadership.wait(stop):
            beating.update(leader=True)
            leads.set()
            due.loop(SOURCES, [notify.DUE], stop, leadership.held)
            leads.clear()
            beating.update(leader=False)
