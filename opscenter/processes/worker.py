"""The worker: the supervisor of a django-q2 cluster that runs instances.

The cluster executes; the supervisor keeps the promises (DESIGN.md 4): it renews leases, passes stops on, closes attempts
whose child died, restarts a cluster that hangs, and kills what runs before a lease that cannot be renewed is over.
"""

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from threading import Event

import psutil
import structlog
from django.db import Error, connection
from django_q.cluster import Cluster
from django_q.conf import Conf

from opscenter.base import clock, heartbeat, notify, sql
from opscenter.base.models import Process
from opscenter.base.notify import Listener
from opscenter.base.procs import forks_die_with_parent, wait_gone
from opscenter.engine import attempts, children
from opscenter.engine.broker import InstanceBroker
from opscenter.engine.children import Roster, Worker, join
from opscenter.engine.claim import give_back, group_ids
from opscenter.engine.runners import folders
from opscenter.engine.stopping import ABANDON_SIGNAL, STOP_SIGNAL
from opscenter.production.models import Attempt

logger = structlog.get_logger(__name__)
BEAT_EVERY = 3.0
RENEW_EVERY = 5.0
SWEEP_EVERY = 60.0
STUCK_AFTER = 5.0
"""Seconds a claim may stay unstarted while children are free, before the cluster counts as hanging."""
AFTER_GRACE = 5
"""Seconds that a worker has to end after the grace time of its running nodes."""
_HAND_OVER_WITHIN = 2.0
"""Seconds that children have to end what they run and to hand it over, before they are killed."""
_LEASE = attempts.LEASE.total_seconds()
_ABANDON_AFTER = _LEASE - 8.0


class Supervisor:
    """One worker: its heartbeat, its cluster, its attempts."""

    def __init__(self, groups: Sequence[str] | None, children: int, stop: Event, grace: float) -> None:
        self._groups = None if groups is None else group_ids(groups)
        self._children = children
        self._stop = stop
        self._grace = grace
        self._process = heartbeat.register(Process.Kind.WORKER, {"groups": self._groups, "children": children})
        self._roster = Roster(children)
        self._cluster: Cluster | None = None
        self._listener = Listener([notify.STOP])
        self._beaten = self._renewed = time.monotonic()
        self._swept = -SWEEP_EVERY
        self._gave_back = -3 * STUCK_AFTER
        self._pids: dict[int, int] = {}  # running attempt -> the child that runs it

    def run(self) -> None:
        """Supervise until asked to stop, then stop in good order."""
        self._start_cluster()
        while not self._stop.is_set():
            self._tick()
            self._listener.wait(1.0)
        self._end()

    # the cluster

    def _start_cluster(self) -> None:
        connection.close()  # no connection may be shared with what is forked
        self._listener.close()
        self._roster = Roster(self._children)
        worker = Worker(self._process.pk, None if self._groups is None else tuple(self._groups), self._roster)
        join(worker)
        broker = InstanceBroker(worker, self._children)
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        cluster = Cluster(broker=broker)
        for number, handler in handlers.items():
            signal.signal(number, handler)  # stopping is ours: the cluster's own handler waits without end
        cluster.start()
        self._cluster = cluster

    def _restart_cluster(self, why: str) -> None:
        """The database may be away: the next look begins again, and closes the attempts whose child is gone."""
        logger.error("worker.cluster_restarted", why=why)
        self._kill_cluster()
        try:
            self._start_cluster()
        except Error as error:
            _is_away(error)

    def _kill_cluster(self) -> None:
        """Kill sentinel and children; the guardians then kill what the children were running. Children of a sentinel that is
        dead end by themselves."""
        assert self._cluster is not None
        sentinel = self._cluster.sentinel
        if not sentinel.is_alive():
            return
        children = psutil.Process(sentinel.pid).children()
        sentinel.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        sentinel.join(timeout=5)
        wait_gone(children, 5)  # one that nobody reaps counts as gone

    # one look at everything

    def _tick(self) -> None:
        self._keep_leases()
        assert self._cluster is not None
        if not self._cluster.sentinel.is_alive():
            self._restart_cluster("sentinel died")
        self._sweep()

    def _keep_leases(self) -> None:
        try:
            self._beat()
            self._renew()
            self._look_after()
        except Error as error:
            _is_away(error)
        if time.monotonic() - self._renewed > _ABANDON_AFTER:
            self._abandon()

    def _beat(self) -> None:
        if time.monotonic() - self._beaten >= BEAT_EVERY:
            heartbeat.beat(self._process)
            self._beaten = time.monotonic()

    def _renew(self) -> None:
        if time.monotonic() - self._renewed >= RENEW_EVERY:
            asked = children.clock()
            attempts.renew(self._process.pk)
            self._roster.renewed(asked)
            self._renewed = time.monotonic()

    def _sweep(self) -> None:
        """What killed children left on the disk; at the first look too, since a killed worker cleans up nothing."""
        if time.monotonic() - self._swept >= SWEEP_EVERY:
            folders.sweep()
            self._swept = time.monotonic()

    def _look_after(self) -> None:
        mine = list(
            Attempt.objects.filter(
                worker=self._process.pk, state__in=[Attempt.State.CLAIMED, Attempt.State.RUNNING]
            ).only("state", "pid", "stop_requested_at", "claimed_at", "instance_id", "number")
        )
        running = [attempt for attempt in mine if attempt.state == Attempt.State.RUNNING]
        self._pids = {attempt.pk: attempt.pid for attempt in running if attempt.pid}
        for attempt in running:
            if not _is_alive(attempt.pid):
                logger.warning("attempt.child_died", instance=attempt.instance_id, attempt=attempt.number)
                attempts.lose(attempt.pk)
            elif attempt.stop_requested_at is not None:
                _signal(attempt.pid, STOP_SIGNAL)
        self._watch_claims([attempt for attempt in mine if attempt.state == Attempt.State.CLAIMED], len(running))

    def _watch_claims(self, claimed: list[Attempt], running: int) -> None:
        """Claims that stay unstarted although children are free. At first they go back: the child that held one may have
        died. If that happens again at once, the queue in memory hangs (a killed child can take its lock along), and
        nothing but a new cluster helps."""
        overdue = [a for a in claimed if (clock.now() - a.claimed_at).total_seconds() > STUCK_AFTER]
        if not overdue or running >= self._children or self._roster.closing:
            return
        if time.monotonic() - self._gave_back < 3 * STUCK_AFTER:
            self._restart_cluster("claims are not started")
        self._gave_back = time.monotonic()
        for attempt in overdue:
            give_back(attempt.instance_id, attempt.number)

    def _hand_over(self) -> None:
        """Close the attempts whose child is gone because we end."""
        for attempt in Attempt.objects.filter(worker=self._process.pk, state=Attempt.State.RUNNING):
            if not _is_alive(attempt.pid):
                attempts.lose(attempt.pk, handed_over=True)

    def _abandon(self) -> None:
        """End what runs. The database is away for so long that leases run out and others may start our instances, or we
        end: then the children hand them over."""
        for pid in self._pids.values():
            _signal(pid, ABANDON_SIGNAL)

    # the end

    def _end(self) -> None:
        """Claim no more, let what runs end within the grace time, hand the rest over to other workers.

        Children end what they run themselves, so that it is gone before another worker may start it; only those that do
        not react are killed.
        """
        assert self._cluster is not None
        self._roster.close()
        self._cluster.stop_event.set()
        self._wait_for_cluster(self._grace)
        if self._cluster.sentinel.is_alive():
            self._keep_leases()
            self._abandon()
            self._wait_for_cluster(_HAND_OVER_WITHIN)
        if self._cluster.sentinel.is_alive():
            self._kill_cluster()
        try:
            for attempt in Attempt.objects.filter(worker=self._process.pk, state=Attempt.State.CLAIMED):
                give_back(attempt.instance_id, attempt.number)
            self._hand_over()
            heartbeat.retire(self._process)
        except Error as error:
            logger.warning("worker.left_without_goodbye", error=str(error).strip())
        self._listener.close()
        connection.close()

    def _wait_for_cluster(self, seconds: float) -> None:
        """Until it has ended, but no longer than that; leases are kept meanwhile."""
        assert self._cluster is not None
        deadline = time.monotonic() + seconds
        while self._cluster.sentinel.is_alive() and time.monotonic() < deadline:
            self._keep_leases()
            self._cluster.sentinel.join(timeout=0.2)


def _is_away(error: Error) -> None:
    """The database does not answer; whoever asks it next connects again."""
    logger.warning("worker.database_away", error=str(error).strip())
    connection.close()


def _is_alive(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(pid: int | None, number: signal.Signals) -> None:
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def run(groups: Sequence[str] | None, processes: int | None, stop: Event, grace: float) -> None:
    """Run a worker until ``stop`` is set.

    Args:
        groups: names of the resource groups it serves; None for all.
        processes: how many nodes it runs at a time; None for the setting OPSCENTER_WORKERS.
        grace: seconds that running nodes have to end by themselves when it is asked to stop.
    """
    children = processes or int(Conf.WORKERS)
    Conf.WORKERS = Conf.QUEUE_LIMIT = children + 1  # one for chores
    sql.plan_once()
    forks_die_with_parent()
    Supervisor(groups, children, stop, grace).run()
