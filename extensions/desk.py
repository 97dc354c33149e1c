"""A thread that works off what others put on its desk, over a database connection of its own."""

import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

import structlog
from django.db import InterfaceError, OperationalError, connection

logger = structlog.get_logger(__name__)
T = TypeVar("T")

MOST_AT_ONCE = 200
_DATABASE_AWAY = 0.5
_LEFT_OVER = 0.02
"""Seconds until something is tried again."""


class Desk(Generic[T]):
    """Waits while the database is away. What fails otherwise is logged, and dropped.

    Args:
        work: works off some pieces; returns those that are to be tried again in a moment.
        linger: seconds to wait for more pieces, once there is one.
    """

    def __init__(self, name: str, work: Callable[[Sequence[T]], Sequence[T]], linger: float = 0.0) -> None:
        self._linger = linger
        self._name = name
        self._work = work
        self._queue: SimpleQueue[T | None] = SimpleQueue()
        self._is_closing = False
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, piece: T) -> None:
        """To be worked off soon. Safe from any thread."""
        self._queue.put(piece)

    def close(self, within: float) -> bool:
        """Work off what is there; whether that was done in time."""
        self._is_closing = True
        self._queue.put(None)
        self._thread.join(within)
        return not self._thread.is_alive()

    def _run(self) -> None:
        left: list[T] = []
        while True:
            left += self._taken(wait=not left and not self._is_closing)
            if left:
                left = self._try(left)
            elif self._is_closing:
                break
        connection.close()

    def _taken(self, *, wait: bool) -> list[T]:
        taken: list[T] = []
        try:
            while len(taken) < MOST_AT_ONCE:
                piece = self._queue.get(block=wait and not taken)
                if piece is None:
                    break
                if self._linger and not taken and not self._is_closing:
                    time.sleep(self._linger)
                taken.append(piece)
        except Empty:
            pass
        return taken

    def _try(self, pieces: list[T]) -> list[T]:
        try:
            left = list(self._work(pieces))
        except (OperationalError, InterfaceError) as error:
            logger.warning("desk.database_away", desk=self._name, error=str(error).strip())
            connection.close()
            time.sleep(_DATABASE_AWAY)
            return pieces
        except Exception:
            if len(pieces) > 1:  # what one of them is to blame for must not be the others' end
                return [left for piece in pieces for left in self._try([piece])]
            logger.exception("desk.failed", desk=self._name)
            return []
        if left:
            time.sleep(_LEFT_OVER)
        return left
