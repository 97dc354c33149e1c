"""The scheduler: due work, done by the one leader; others wait to take over."""

from threading import Event

from opscenter.base import due, notify, sql
from opscenter.base.locks import Leadership
from opscenter.base.models import Process
from opscenter.engine import due as engine_due
from opscenter.operations import checked, force_rerun
from opscenter.processes.beating import Beating

SOURCES = [*engine_due.SOURCES, *checked.SOURCES, *force_rerun.SOURCES]
"""Everything that time moves, in the order in which it is run."""


def run(stop: Event) -> None:
    """Run until ``stop`` is set; leads when nobody else does."""
    sql.plan_once()
    with Beating(Process.Kind.SCHEDULER, {"leader": False}) as beating, Leadership("scheduler") as leadership:
        while leadership.wait(stop):
            beating.update(leader=True)
            due.loop(SOURCES, [notify.DUE], stop, leadership.held)
            beating.update(leader=False)
