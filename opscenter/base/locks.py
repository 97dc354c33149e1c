"""Advisory locks: one leader among processes, one at a time among transactions."""

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
from threading import Event
from typing import Any

import psycopg
import structlog
from django.db import connection

from opscenter.base.notify import open_connection

logger = structlog.get_logger(__name__)
_RETRY = 1.0
_CHECK_EVERY = 1.0
# a server that no longer hears of us lets the lock go within about 11 s (TCP only; a local socket knows at once)
_SERVER_KEEPALIVES = "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"


def key_of(name: str) -> int:
    """The lock's number: 64 bits of the name's hash."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)


def advisory_xact_lock(name: str) -> None:
    """Wait for a lock of this name and hold it until the current transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key_of(name)])


@contextlib.contextmanager
def session_lock(name: str) -> Iterator[None]:
    """Wait for a lock of this name and hold it over as many transactions as the block makes (not itself inside one)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [key_of(name)])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [key_of(name)])


class Leadership:
    """At most one process holds the leadership of a name, for as long as its connection of its own lives.

    The lock belongs to a session: DATABASE_URL must not lead through a pool that shares sessions between clients.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._connection: psycopg.Connection[Any] | None = None
        self._checked = 0.0

    def __enter__(self) -> "Leadership":
        return self

    def __exit__(self, *_: object) -> None:
        self.resign()

    def acquire(self) -> bool:
        """Try once; True when we lead now. Never raises: without a database nobody leads."""
        if self._connection is not None and self.held():
            return True
        try:
            opened = open_connection(options=_SERVER_KEEPALIVES, tcp_user_timeout=10_000)
            row = opened.execute("SELECT pg_try_advisory_lock(%s)", [key_of(self.name)]).fetchone()
        except psycopg.Error as error:
            logger.debug("leadership.no_database", name=self.name, error=str(error).strip())
            return False
        if row is None or not row[0]:
            opened.close()
            return False
        self._connection, self._checked = opened, time.monotonic()
        logger.info("leadership.gained", name=self.name, pid=os.getpid())
        return True

    def wait(self, stop: Event) -> bool:
        """Try until we lead (True) or ``stop`` is set (False)."""
        while not stop.is_set():
            if self.acquire():
                return True
            stop.wait(_RETRY)
        return False

    def held(self) -> bool:
        """Whether we still lead; asks the server at most once a second. Once False, the process must step down."""
        if self._connection is None:
            return False
        if time.monotonic() - self._checked < _CHECK_EVERY:
            return True
        try:
            self._connection.execute("SELECT 1")
        except psycopg.Error as error:
            logger.warning("leadership.lost", name=self.name, error=str(error).strip())
            self.resign()
            return False
        self._checked = time.monotonic()
        return True

    def resign(self) -> None:
        """Let another lead."""
        opened, self._connection = self._connection, None
        if opened is not None:
            with contextlib.suppress(psycopg.Error):
                opened.close()
