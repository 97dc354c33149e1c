"""NOTIFY and LISTEN: who sleeps is woken when there is work.

A notification is a hint, never the fact: whoever is woken looks at the rows, and so does who lost the connection.
"""

import os
import select
from collections.abc import Sequence
from typing import Any

import psycopg
import structlog
from django.db import connection, connections
from psycopg import sql

logger = structlog.get_logger(__name__)

WORK = "opscenter_work"
"""A worker has gained work, or a slot was freed."""
DUE = "opscenter_due"
"""The next due time of the scheduler has moved forward."""
STOP = "opscenter_stop"
"""A running attempt is to stop."""
COURIER = "opscenter_courier"
"""The courier has gained work."""
NOTICES = "opscenter_notices"
"""The same, of regular events: nobody waits for them, and nobody who waits is woken by them."""
CHORE = "opscenter_chore"
"""A job in slices was queued."""

_RETRY = 0.5  # seconds between attempts to reconnect


def notify(channel: str, payload: str = "") -> None:
    """Wake those who listen, when the current transaction commits."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [channel, payload])


def open_connection(**parameters: Any) -> "psycopg.Connection[Any]":
    """A connection of one's own to the product's database: autocommit, no part of Django's transactions.

    Raises:
        psycopg.Error: the database cannot be reached.
    """
    given = connections["default"].get_connection_params()
    for made_for_django in ("cursor_factory", "context", "prepare_threshold"):
        given.pop(made_for_django, None)
    alive = {"keepalives": 1, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
    return psycopg.connect(**{**alive, **given, **parameters}, autocommit=True)


def connect(channels: Sequence[str]) -> "psycopg.Connection[Any]":
    """A connection that listens to these channels.

    Raises:
        psycopg.Error: the database cannot be reached.
    """
    opened = open_connection()
    try:
        for channel in channels:
            opened.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
    except psycopg.Error:
        opened.close()
        raise
    return opened


class _Interrupt:
    """A pipe that turns readable, for good, when this process is to stop. A forked child has one of its own."""

    def __init__(self) -> None:
        self._owner: int | None = None
        self._pipe = (-1, -1)

    def descriptor(self) -> int:
        if self._owner != os.getpid():
            self._pipe, self._owner = os.pipe(), os.getpid()
        return self._pipe[0]

    def fire(self) -> None:
        self.descriptor()
        os.write(self._pipe[1], b".")


_interrupt = _Interrupt()


def interrupt() -> None:
    """This process is to stop: every wait of a Listener, now and later, returns at once. Safe in a signal handler."""
    _interrupt.fire()


class Listener:
    """Sleeps until somebody notifies. Connects on the first wait, in the process that waits; reconnects by itself."""

    def __init__(self, channels: Sequence[str]) -> None:
        self._channels = tuple(channels)
        self._connection: psycopg.Connection[Any] | None = None
        self._owner: int | None = None

    def wait(self, timeout: float) -> list[psycopg.Notify]:
        """What was announced; empty after ``timeout`` seconds, after a (re)connection, or when interrupted.

        Never raises: without a database it returns, empty, after half a second at most.
        """
        try:
            if self._connection is None or self._owner != os.getpid():
                self._connection, self._owner = connect(self._channels), os.getpid()
                return []  # what was announced before we listened is in the rows: let the caller look
            if already := self._received(self._connection):
                return already
            select.select([self._connection.fileno(), _interrupt.descriptor()], [], [], max(0.0, timeout))
            return self._received(self._connection)
        except (psycopg.Error, OSError, ValueError) as error:
            logger.debug("listener.reconnects", error=str(error).strip())
            self.close()
            select.select([_interrupt.descriptor()], [], [], max(0.0, min(timeout, _RETRY)))
            return []

    @staticmethod
    def _received(opened: "psycopg.Connection[Any]") -> list[psycopg.Notify]:
        return list(opened.notifies(timeout=0))

    def close(self) -> None:
        """Stop listening; a later wait listens again."""
        opened, self._connection = self._connection, None
        if opened is not None and self._owner == os.getpid():
            opened.close()
