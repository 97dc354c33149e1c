"""The heartbeat of a process, from a thread of its own so that long work does not look like death."""

from collections.abc import Callable
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any

import structlog
from django.db import Error, connection

from opscenter.base import heartbeat
from opscenter.base.models import Process

logger = structlog.get_logger(__name__)
EVERY = 3.0  # seconds


class Beating:
    """Registers the process, beats until the block is left, and retires it then. Survives a database that is away.

    Args:
        besides: done with every beat, too.
    """

    def __init__(
        self, kind: Process.Kind, details: dict[str, Any] | None = None, besides: Callable[[], None] | None = None
    ) -> None:
        self._kind = kind
        self._details = details or {}
        self._besides = besides
        self._process: Process | None = None
        self._stop = Event()
        self._lock = Lock()
        self._thread = Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> "Beating":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=2)

    def update(self, **details: Any) -> None:
        """Change what the row tells about this process; seen with the next beat."""
        with self._lock:
            self._details = self._details | details

    def _run(self) -> None:
        while True:
            self._beat()
            if self._stop.wait(EVERY):
                break
        if self._process is not None:
            try:
                heartbeat.retire(self._process)
            except Error:
                logger.warning("heartbeat.not_retired")
        connection.close()

    def _beat(self) -> None:
        try:
            with self._lock:
                details = self._details
            if self._process is None:
                self._process = heartbeat.register(self._kind, details)
            else:
                self._process.details = details
                heartbeat.beat(self._process)
            if self._besides is not None:
                self._besides()
        except Error as error:
            logger.warning("heartbeat.database_away", error=str(error).strip())
            connection.close()
