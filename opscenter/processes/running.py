"""How a process of the product runs: until it is asked to stop, and not much longer."""

import os
import signal
import socket
from collections.abc import Callable
from threading import Event
from types import FrameType

from django.core.management import CommandError
from django.db import Error

from opscenter.base import notify

STOP_WITHIN = 9
"""Seconds that a process has to stop, unless it needs longer."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def run_until_stopped(body: Callable[[Event], None], within: int = STOP_WITHIN) -> None:
    """Run ``body`` with an event that SIGTERM and SIGINT set.

    Args:
        within: seconds from the wish to stop to the end; whoever still hangs then is ended by the kernel.

    Raises:
        CommandError: the database cannot be used.
    """
    stop = Event()

    def on_signal(signum: int, frame: FrameType | None) -> None:
        stop.set()
        notify.interrupt()
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(within)

    def in_child() -> None:
        for number in _SIGNALS:
            if signal.getsignal(number) is on_signal:  # what the child set for itself stays
                signal.signal(number, signal.SIG_DFL)

    for number in _SIGNALS:
        signal.signal(number, on_signal)
    os.register_at_fork(after_in_child=in_child)
    try:
        body(stop)
    except Error as error:
        raise CommandError(f"Cannot use the database: {str(error).strip()}") from error


def check_port(address: str, port: int) -> None:
    """Fail early, and clearly, if nobody can listen there.

    Raises:
        CommandError: says what stands in the way.
    """
    where = f"port {port} of {address}"
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
    except OSError as error:
        raise CommandError(
            f"Cannot listen on {where}: {error.strerror}. Stop what uses it, or set OPSCENTER_PORT and OPSCENTER_BIND."
        ) from error
