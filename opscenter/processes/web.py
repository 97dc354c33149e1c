"""The web server: granian with threads, inside this process tree."""

import os
import signal
import time
from collections.abc import Callable
from multiprocessing.util import Finalize
from threading import Thread
from typing import Any

import structlog
from django.conf import settings
from django.core.management import CommandError
from granian import Granian
from granian.constants import Interfaces
from granian.errors import ConfigurationError
from granian.log import LogLevels

from opscenter.base.models import Process
from opscenter.base.procs import die_with_parent
from opscenter.processes import assets
from opscenter.processes.beating import Beating
from opscenter.processes.running import check_port

logger = structlog.get_logger(__name__)
_CONNECTIONS = 1024
_THREAD_IDLE = 600  # seconds; a thread that ends takes its database connection along
FINISH_WITHIN = 4
"""Seconds that requests have when the server stops."""


def run() -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        CommandError: nobody can listen there.
    """
    check_port(settings.BIND, settings.PORT)
    assets.prepare()
    server = Granian(
        "opscenter.wsgi",
        address=settings.BIND,
        port=settings.PORT,
        interface=Interfaces.WSGI,
        workers=settings.WEB_PROCESSES,
        blocking_threads=settings.WEB_THREADS,
        blocking_threads_idle_timeout=_THREAD_IDLE,
        backpressure=_CONNECTIONS,
        websockets=False,
        log_level=LogLevels.error,  # its warnings are about our number of threads
        log_dictconfig=settings.LOGGING,
        respawn_failed_workers=True,
        workers_kill_timeout=FINISH_WITHIN,
    )
    logger.info("web.listening", address=settings.BIND, port=settings.PORT)
    try:
        server.serve(target_loader=loader(), wrap_loader=False)
    except ConfigurationError as error:
        raise CommandError(f"The web server cannot start: {error}") from error


def loader() -> Callable[..., Any]:
    """What each serving process does first; returns the application."""
    parent = os.getpid()
    end, held = os.pipe()  # the end of what we alone hold is our end

    def load(*_: Any) -> Any:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)  # the server's own come later; those of its parent only note the wish
        die_with_parent(signal.SIGTERM, parent)
        os.close(held)
        Thread(target=_end_soon_after, args=(end,), name="parent's end", daemon=True).start()
        from opscenter.wsgi import application  # not before the static files are there: it looks at them once

        beating = Beating(Process.Kind.WEB, {"port": settings.PORT, "url": settings.PUBLIC_URL})
        beating.__enter__()
        Finalize(None, beating.__exit__, args=(None, None, None), exitpriority=10)
        return application

    return load


def _end_soon_after(parent: int) -> None:
    """When our parent has ended, nobody is left who would kill us should a request not end."""
    os.read(parent, 1)
    time.sleep(FINISH_WITHIN)
    os._exit(1)
