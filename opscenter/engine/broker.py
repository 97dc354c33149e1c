"""The broker that django-q2's cluster is given: ready instances first, ordinary chores beside them.

django-q2 is the executor, never the truth: a claim is a row of ours, and losing what the queues in memory hold only means
that the claim goes back (DESIGN.md 4). The traps it avoids are listed in the design: it never claims more than there are
free children, returns within a second, never raises, and listens on a connection opened after the fork.
"""

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
from opscenter.engine.children import Worker
from opscenter.engine.claim import Claim, claim, give_back
from opscenter.engine.run import run_attempt
from opscenter.production.models import Attempt

logger = structlog.get_logger(__name__)
_MAX_WAIT = 0.9
_CHORES_EVERY = 1.0
_PREFIX = "instance:"


class InstanceBroker(Broker):
    """Claims instances for one worker.

    Args:
        children: how many jobs it runs at a time.
    """

    def __init__(self, worker: Worker, children: int) -> None:
        super().__init__()
        self._worker = worker
        self._children = children
        self._orm = ORM()
        self._chores = multiprocessing.Value("i", 0)  # shared: taken by the pusher, acknowledged by the monitor
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
        free = self._children - self._busy()
        if free <= 0 or self._worker.roster.closing:  # what we hand over is for others to take
            return []
        if tasks := [self._package(found) for found in claim(self._worker.id, free, self._worker.groups)]:
            return tasks
        return self._take_chore()

    def _busy(self) -> int:
        """Children that run something, and claims on their way to one."""
        coming = Attempt.objects.filter(worker=self._worker.id, state=Attempt.State.CLAIMED).count()
        return int(self._worker.roster.busy() + coming + self._chores.value)

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
        """One ordinary job of django-q2's own queue, looked for once a second."""
        if time.monotonic() - self._chores_seen < _CHORES_EVERY:
            return []
        self._chores_seen = time.monotonic()
        if not OrmQ.objects.filter(key=self._orm.list_key, lock__lte=timezone.now()).exists():
            return []
        chores = self._orm.dequeue() or []
        with self._chores.get_lock():
            self._chores.value += len(chores)
        return [(str(pk), payload) for pk, payload in chores]

    def _wait(self) -> None:
        """Sleep until a NOTIFY, a child that is free again, or the second is over."""
        if self._listener is None:
            self._listener = notify.connect([notify.WORK])
            return  # what was announced before we listened is looked for at once
        roster, announced = self._worker.roster, self._listener.fileno()
        ready, _, _ = select.select([announced, roster.descriptor], [], [], _MAX_WAIT)
        if roster.descriptor in ready:
            roster.hear()
        if announced in ready:
            list(self._listener.notifies(timeout=0))

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
            with self._chores.get_lock():
                self._chores.value = max(0, self._chores.value - 1)

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
