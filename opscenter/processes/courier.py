"""The courier: outbound calls that are due, made by threads. Extensions' deliveries and HTTP polls register here."""

from threading import Event

from opscenter.base import due, notify
from opscenter.base.models import Process
from opscenter.processes.beating import Beating

SOURCES: list[due.Source] = []
"""Due sources of outbound calls; none until extensions can be registered."""


def run(stop: Event) -> None:
    """Run until ``stop`` is set."""
    with Beating(Process.Kind.COURIER):
        due.loop(SOURCES, [notify.COURIER], stop, lambda: True)
