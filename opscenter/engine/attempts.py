"""The life of one attempt: started, renewed, ended or lost. A late answer under an old number changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection

from opscenter.base import clock, notify
from opscenter.engine import advance
from opscenter.engine.locks import lock_instances, repeated
from opscenter.production.models import Attempt, LogChunk, TaskInstance, TaskVersion
from opscenter.production.rules.states import State
from opscenter.production.transitions import transition

LEASE = timedelta(seconds=30)
LOST_LIMIT = 3
"""An instance whose attempts were lost this often is not started again by itself: it may be what kills its workers."""

_FINAL = {
    Attempt.State.SUCCESS: State.SUCCESS,
    Attempt.State.FAILURE: State.FAILURE,
    Attempt.State.STOPPED: State.FAILURE,
}


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended: ``success``, ``failure`` or ``stopped``, and why."""

    state: Attempt.State
    exit_code: int | None = None
    reason: Mapping[str, Any] | None = None
    rerun: bool = True  # whether an automatic rerun may follow a failure


@repeated
def start(instance_id: int, number: int, *, pid: int, host: str) -> Attempt | None:
    """Turn a claim into a run; None when the claim is no longer ours to start."""
    lock_instances([instance_id])
    if not transition([instance_id], {State.CLAIMED}, State.RUNNING, attempt=number):
        return None
    now = clock.now()
    attempt = Attempt.objects.select_related(
        "instance__task__workspace__tenant", "instance__task__workflow", "instance__task__version"
    ).get(instance_id=instance_id, number=number)
    attempt.state = Attempt.State.RUNNING
    attempt.pid, attempt.host = pid, host
    attempt.started_at, attempt.lease_until = now, now + LEASE
    attempt.version = attempt.instance.task.version  # not-started instances run the latest deployed code
    attempt.save(update_fields=["state", "pid", "host", "started_at", "lease_until", "version"])
    return attempt


def renew(worker: int) -> set[int]:
    """Renew the leases of a worker's running attempts; the ids of those that are still its own."""
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE production_attempt SET lease_until = clock_timestamp() + %s
               WHERE worker = %s AND state = 'running' RETURNING id""",
            [LEASE, worker],
        )
        return {row[0] for row in cursor.fetchall()}


@repeated
def end(attempt: Attempt, outcome: Outcome, log: list[LogChunk]) -> bool:
    """Record how an attempt ended, with the last of its log, and advance what waits for it.

    Returns:
        False when the attempt had been closed by others meanwhile: the answer came too late and changes nothing.
    """
    from opscenter.engine.locks import lock_with_downstream

    lock_with_downstream([attempt.instance_id])
    current = Attempt.objects.select_for_update(no_key=True).get(pk=attempt.pk)
    if current.state != Attempt.State.RUNNING:
        return False
    if current.stop_requested_at is not None and outcome.state is Attempt.State.FAILURE:
        outcome = Outcome(
            Attempt.State.STOPPED, outcome.exit_code, {"code": "attempt.stopped", "params": {}}, rerun=False
        )
    LogChunk.objects.bulk_create(log)
    Attempt.objects.filter(pk=attempt.pk).update(
        state=outcome.state,
        exit_code=outcome.exit_code,
        reason=dict(outcome.reason) if outcome.reason else None,
        finished_at=clock.now(),
        lease_until=None,
        stop_requested_at=current.stop_requested_at,
        parameters=attempt.parameters,
        resources=attempt.resources,
    )
    done = advance.finish_locked(
        [attempt.instance_id],
        {State.RUNNING},
        _FINAL[outcome.state],
        attempt=attempt.number,
        reason=outcome.reason,
        due_at=_rerun_at(attempt.instance, attempt.version) if outcome.rerun else None,
    )
    if done and done[0].after is State.FAILURE:
        notify.notify(notify.DUE)
    return bool(done)


def _rerun_at(instance: TaskInstance, version: TaskVersion | None) -> Any:
    """When the next automatic rerun of a failed instance is due; None when there is none left."""
    if version is None or instance.reruns_left <= 0 or version.rerun_mode == TaskVersion.RerunMode.ALL_DENIED:
        return None
    return clock.now() + timedelta(seconds=version.rerun_interval)


@repeated
def lose(attempt_id: int) -> bool:
    """Close a running attempt whose worker is gone, and start the instance again where its rerun setting allows."""
    instance_id = Attempt.objects.values_list("instance_id", flat=True).get(pk=attempt_id)
    lock_instances([instance_id])
    attempt = Attempt.objects.select_for_update(no_key=True).select_related("version").get(pk=attempt_id)
    if attempt.state != Attempt.State.RUNNING:
        return False
    reason = {"code": "attempt.lost", "params": {"host": attempt.host}}
    now = clock.now()
    Attempt.objects.filter(pk=attempt_id).update(
        state=Attempt.State.LOST, finished_at=now, lease_until=None, reason=reason
    )
    lost = Attempt.objects.filter(instance_id=instance_id, state=Attempt.State.LOST).count()
    version = attempt.version
    again = (
        lost < LOST_LIMIT
        and attempt.stop_requested_at is None
        and version is not None
        and version.rerun_mode != TaskVersion.RerunMode.ALL_DENIED
    )
    after = State.WAIT_RESOURCE if again else State.FAILURE
    changed = transition([instance_id], {State.RUNNING}, after, attempt=attempt.number, reason=reason)
    advance.announce(changed)
    return bool(changed)
