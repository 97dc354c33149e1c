"""What is done to a whole backfill: pause, resume, stop, rerun what failed. Each holds the job's row, then its instances'."""

import json
from collections.abc import Mapping
from typing import Any

from opscenter.base import clock, notify, sql
from opscenter.engine import advance, backfill_make, http_calls, wiring
from opscenter.engine.locks import lock_with_downstream
from opscenter.production.models import Attempt, Backfill, TaskVersion
from opscenter.production.rules.backfill import OnFailure
from opscenter.production.rules.states import WAITING, State
from opscenter.production.transitions import transition

OF_JOB = "FROM production_taskinstance i JOIN production_backfilldate d ON d.family_id = i.workflow_instance_id"
"""The instances of a job as ``i``; its id is ``d.backfill_id``."""
PAUSED = "backfill.paused"
_WAITING = ", ".join(str(int(state)) for state in WAITING)
_FREEZE = """
WITH chosen AS (SELECT i.id {of_job} WHERE d.backfill_id = %(job)s AND {which} ORDER BY i.id FOR NO KEY UPDATE OF i),
changed AS (
    UPDATE production_taskinstance i SET frozen = NOT i.frozen FROM chosen WHERE chosen.id = i.id
    RETURNING i.id, i.bizdate, i.state, i.attempt
)
INSERT INTO production_transition (instance_id, bizdate, at, before, after, attempt, reason, operation)
SELECT id, bizdate, statement_timestamp(), state, state, attempt, %(reason)s::jsonb, %(operation)s::bigint FROM changed"""


def pause(job: Backfill, by: str, operation: int) -> None:
    """What has not started is frozen; what runs goes on to its end."""
    which = f"NOT i.frozen AND (i.state IN ({_WAITING}) OR (i.state = {State.FAILURE:d} AND i.due_at IS NOT NULL))"
    _freeze(job, which, {"code": PAUSED, "params": {"user": by}}, operation)
    job.is_paused = True
    job.save(update_fields=["is_paused"])


def resume(job: Backfill, by: str, operation: int) -> None:
    """What the pause froze goes on; what was frozen before it, or by somebody since, stays so."""
    _thaw(job, {"code": "backfill.resumed", "params": {"user": by}}, operation)
    job.is_paused = False
    job.save(update_fields=["is_paused"])
    for channel in (notify.WORK, notify.COURIER, notify.DUE):
        notify.notify(channel)


def _thaw(job: Backfill, reason: Mapping[str, Any], operation: int | None) -> None:
    last = """(SELECT t.reason->>'code' FROM production_transition t WHERE t.instance_id = i.id
        AND t.reason->>'code' IN ('instance.frozen', 'backfill.paused') ORDER BY t.id DESC LIMIT 1)"""
    _freeze(job, f"i.frozen AND {last} = '{PAUSED}'", reason, operation)


def _freeze(job: Backfill, which: str, reason: Mapping[str, Any], operation: int | None) -> None:
    statement = _FREEZE.format(of_job=OF_JOB, which=which)
    sql.rows(statement, {"job": job.pk, "reason": json.dumps(reason), "operation": operation})


def stop(job: Backfill, reason: Mapping[str, Any], operation: int | None = None) -> None:
    """End all of a job whose row this transaction holds: what waits fails at once, what runs is killed, nothing is rerun by
    itself, and what is not made yet is not made."""
    if job.is_paused:
        _thaw(job, reason, operation)
    of_job = f"{OF_JOB} WHERE d.backfill_id = %(job)s AND i.state <> {State.SUCCESS:d}"
    ids = [row[0] for row in sql.rows(f"SELECT i.id {of_job} ORDER BY i.id FOR NO KEY UPDATE OF i", {"job": job.pk})]
    claimed = transition(ids, {State.CLAIMED}, State.FAILURE, reason=reason, operation=operation)
    Attempt.objects.filter(instance__in=[one.id for one in claimed], state=Attempt.State.CLAIMED).update(
        state=Attempt.State.STOPPED, finished_at=clock.now(), lease_until=None, reason=reason
    )
    transition(ids, WAITING, State.FAILURE, reason=reason, operation=operation)
    sql.rows(
        f"""UPDATE production_taskinstance SET due_at = NULL, reruns_left = 0
            WHERE id = ANY(%(ids)s::bigint[]) AND state = {State.FAILURE:d} AND due_at IS NOT NULL""",
        {"ids": ids},
    )
    running = list(
        Attempt.objects.filter(instance__in=ids, state=Attempt.State.RUNNING).values_list("instance_id", flat=True)
    )
    if running:
        Attempt.objects.filter(instance__in=running, state=Attempt.State.RUNNING).update(stop_requested_at=clock.now())
        http_calls.hurry(running)
        notify.notify(notify.STOP)
    job.state, job.due_at, job.is_watched, job.is_paused = Backfill.State.STOPPED, None, False, False
    job.reason = dict(reason)
    job.save(update_fields=["state", "due_at", "is_watched", "is_paused", "reason"])


def rerun(job: Backfill, operation: int) -> int:
    """Run once more what has failed or was stopped, in its order; tasks that never allow a rerun stay as they are once
    they ran. How many instances that are."""
    settings, now = backfill_make.Settings.of(job), clock.now()
    denied = TaskVersion.RerunMode.ALL_DENIED.value
    failed = sql.rows(
        f"""SELECT i.id {OF_JOB} JOIN production_taskversion v ON v.id = i.version_id
            WHERE d.backfill_id = %(job)s AND i.state = {State.FAILURE:d}
            AND (i.attempt = 0 OR v.rerun_mode <> '{denied}')""",
        {"job": job.pk},
    )
    ids = sorted(row[0] for row in failed)
    lock_with_downstream(ids)
    sql.rows(
        f"""UPDATE production_instanceedge e SET met = false FROM production_taskinstance up
            WHERE e.downstream_id = ANY(%(ids)s::bigint[]) AND e.met AND up.id = e.upstream_id
            AND up.state <> {State.SUCCESS:d}""",
        {"ids": ids},
    )
    wiring.recount(ids)
    sql.rows(
        """UPDATE production_taskinstance i SET reruns_left = v.rerun_times, due_at = NULL
           FROM production_taskversion v WHERE v.id = i.version_id AND i.id = ANY(%(ids)s::bigint[])""",
        {"ids": ids},
    )
    if settings.window:
        backfill_make.hold_until(job, settings.window.opens(now, settings.zone), now)
        job.due_at = settings.window.closes(now, settings.zone)
    advance.place(ids, {State.FAILURE}, operation=operation)
    job.state, job.reason = Backfill.State.STARTED, None
    job.is_watched = job.on_failure != OnFailure.WAIT or bool(job.request.get("alert"))
    job.alert, job.alert_at = "", None
    job.save(update_fields=["state", "reason", "is_watched", "due_at", "alert", "alert_at"])
    notify.notify(notify.DUE)
    return len(ids)
