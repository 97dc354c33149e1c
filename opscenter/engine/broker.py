"""The broker that django-q2's cluster is given: ready instances first, ordinary chores beside them.

django-q2 is the executor, never the truth: a claim is a row of ours, and losing what the queues in memory hold only means
that the claim goes back (DESIGN.md 4). The traps it avoids are listed in the design: it never claims more than there are
free children, returns within a second, never raises, and listens on a connection opened after the fork.
"""

import ctypes
import multiprocessing
import select
import time
import uuid
from typing import Any

import psycopg
import structlog
from django.db import Error, connection
from django.utils import timezone
from django_q.brokers import Broker
from django_q.brokers.orm import ORM
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from opscenter.base import notify
from opscenter.engine import chores
from opscenter.engine.children import Worker, clock
from opscenter.engine.claim import Claim, claim, give_back
from opscenter.engine.run import run_attempt
from opscenter.production.models import Attempt

logger = structlog.get_logger(__name__)
_MAX_WAIT = 0.9
_CHORES_EVERY = 1.0  # a NOTIFY of one that was queued may be lost
_PREFIX = "instance:"


class InstanceBroker(Broker):
    """Claims instances for one worker, and takes one chore at a time beside them.

    Chores have a child of their own: nodes that run for hours must not keep an operation on thousands of objects waiting.

    Args:
        children: how many instances it runs at a time.
    """

    def __init__(self, worker: Worker, children: int) -> None:
        super().__init__()
        self._worker = worker
        self._children = children
        self._orm = ORM()
        # until when the chore that was taken counts as running; shared: taken by the pusher, acknowledged by the monitor
        self._chore_until: Any = multiprocessing.Value(ctypes.c_double, 0.0)
        self._chores_seen = 0.0
        self._listener: psycopg.Connection[Any] | None = None

    # what the pusher calls

    def dequeue(self) -> list[tuple[str, str]]:
        """What to run now; an empty list after at most a second without work."""
        try:
            tasks = self._take()
            if not tasks:
                self._wait()
                tasks = self._take()
            return tasks
        except (Error, psycopg.Error, OSError) as error:
            logger.warning("broker.database_away", error=str(error).strip())
            self._forget_connections()
            time.sleep(0.5)
            return []

    def _take(self) -> list[tuple[str, str]]:
        if self._worker.roster.closing:  # what we hand over is for others to take
            return []
        tasks = self._take_chore()
        free = self._children - self._busy()
        if free > 0:
            tasks += [self._package(found) for found in claim(self._worker.id, free, self._worker.groups)]
        return tasks

    def _busy(self) -> int:
        """Children that run something, and claims on their way to one."""
        coming = Attempt.objects.filter(worker=self._worker.id, state=Attempt.State.CLAIMED).count()
        return int(self._worker.roster.busy() + coming)

    def _package(self, found: Claim) -> tuple[str, str]:
        task = {
            "id": uuid.uuid4().hex,
            "name": f"{found.instance}#{found.attempt}",
            "func": run_attempt,
            "args": (found.instance, found.attempt),
            "kwargs": {},
            "started": timezone.now(),
            "ack_failure": True,
        }
        return f"{_PREFIX}{found.instance}:{found.attempt}", SignedPackage.dumps(task)

    def _take_chore(self) -> list[tuple[str, str]]:
        """One ordinary job of django-q2's own queue; looked for once a second, and when one was announced."""
        if clock() < self._chore_until.value or time.monotonic() - self._chores_seen < _CHORES_EVERY:
            return []
        self._chores_seen = time.monotonic()
        if not OrmQ.objects.filter(key=self._orm.list_key, lock__lt=timezone.now()).exists():
            return []
        taken = self._orm.dequeue() or []
        if taken:
            self._chore_until.value = clock() + chores.RETRY
            self._chores_seen = 0.0  # the next one may follow at once
        return [(str(pk), payload) for pk, payload in taken]

    def _wait(self) -> None:
        """Sleep until a NOTIFY, a child that is free again, or the second is over."""
        if self._listener is None:
            self._listener = notify.connect([notify.WORK, notify.CHORE])
            return  # what was announced before we listened is looked for at once
        roster, announced = self._worker.roster, self._listener.fileno()
        ready, _, _ = select.select([announced, roster.descriptor], [], [], _MAX_WAIT)
        if roster.descriptor in ready:
            roster.hear()
        if announced in ready and any(one.channel == notify.CHORE for one in self._listener.notifies(timeout=0)):
            self._chores_seen = 0.0

    def _forget_connections(self) -> None:
        connection.close()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    # what the monitor and the pusher call about one job

    def acknowledge(self, task_id: str) -> None:
        """A chore is deleted from its queue; an attempt has recorded its own end."""
        if not str(task_id).startswith(_PREFIX):
            self._orm.acknowledge(task_id)
            self._chore_until.value = 0.0
            self._worker.roster.tell()

    def fail(self, task_id: str) -> None:
        """The pusher could not read the package: the claim goes back at once."""
        if str(task_id).startswith(_PREFIX):
            _, instance, attempt = str(task_id).split(":")
            give_back(int(instance), int(attempt))
        else:
            self._orm.fail(task_id)

    def enqueue(self, task: str) -> Any:
        """Ordinary chores only."""
        return self._orm.enqueue(task)

    def queue_size(self) -> int:
        return int(self._orm.queue_size())

    def lock_size(self) -> int:
        return int(self._orm.lock_size())

    def delete(self, task_id: str) -> None:
        self.acknowledge(task_id)

    def ping(self) -> bool:
        return True

    def info(self) -> str:
        return "Opscenter instances"
