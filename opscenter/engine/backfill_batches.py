"""Stopping a whole backfill, and rerunning what failed of it: some instances in a transaction, however many there are.

Each begins with the job's own row, which decides at once what is made and looked at from then on, and ends with it. In between
every transaction holds that row, then the rows of its instances.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Q, QuerySet

from opscenter.base import clock, notify, sql
from opscenter.engine import advance, backfill_jobs, backfill_make, chores, http_calls, wiring
from opscenter.engine.locks import lock_with_downstream, repeated
from opscenter.production.models import Attempt, Backfill, BackfillDate, TaskInstance, TaskVersion
from opscenter.production.rules.states import LIVE, WAITING, State
from opscenter.production.transitions import transition

BATCH = 500
"""Instances of one transaction."""

Job = Backfill.State
_UNFINISHED = f"i.state <> {State.SUCCESS:d} AND (i.state <> {State.FAILURE:d} OR i.due_at IS NOT NULL)"


def unfinished(job: Backfill) -> "QuerySet[TaskInstance]":
    """What of a job is not over, its turns aside."""
    return _instances(job).exclude(state=State.SUCCESS).exclude(state=State.FAILURE, due_at=None)


def failed(job: Backfill) -> "QuerySet[TaskInstance]":
    """What of a job has failed or was stopped, its turns aside."""
    return _instances(job).filter(state=State.FAILURE)


RERUNNABLE = Q(attempt=0) | ~Q(version__rerun_mode=TaskVersion.RerunMode.ALL_DENIED)
"""Of what failed: tasks that never allow a rerun stay as they are once they ran."""


def _instances(job: Backfill) -> "QuerySet[TaskInstance]":
    turns = job.dates.exclude(turn=None).values("turn")
    return TaskInstance.objects.filter(workflow_instance__backfill_date__backfill=job).exclude(pk__in=turns)


def _turns(job: Backfill) -> list[int]:
    return list(job.dates.exclude(turn=None).order_by("turn").values_list("turn", flat=True))


# stopping


def begin_stop(job: Backfill, reason: Mapping[str, Any]) -> None:
    """From now on nothing more of the job is made, nothing acts upon its failures, and no run window of it opens."""
    job.state, job.due_at, job.is_watched, job.is_rerunning = Job.STOPPING, None, False, False
    job.reason = dict(reason)
    job.save(update_fields=["state", "due_at", "is_watched", "is_rerunning", "reason"])


def stop_some(job: Backfill, ids: Sequence[int], operation: int | None = None) -> set[int]:
    """Of these instances of a job that is being stopped what waits fails at once, what runs is killed, and nothing is rerun by
    itself. Which were not over already."""
    reason = job.reason or {}
    if job.is_paused:
        backfill_jobs.thaw(job, reason, operation, ids)
    rows = sql.rows(
        f"""SELECT i.id FROM production_taskinstance i WHERE i.id = ANY(%(ids)s::bigint[]) AND {_UNFINISHED}
            ORDER BY i.id FOR NO KEY UPDATE""",
        {"ids": list(ids)},
    )
    going = [pk for (pk,) in rows]
    claimed = transition(going, {State.CLAIMED}, State.FAILURE, reason=reason, operation=operation)
    Attempt.objects.filter(instance__in=[one.id for one in claimed], state=Attempt.State.CLAIMED).update(
        state=Attempt.State.STOPPED, finished_at=clock.now(), lease_until=None, reason=reason
    )
    transition(going, WAITING, State.FAILURE, reason=reason, operation=operation)
    sql.rows(
        f"""UPDATE production_taskinstance SET due_at = NULL, reruns_left = 0
            WHERE id = ANY(%(ids)s::bigint[]) AND state = {State.FAILURE:d} AND due_at IS NOT NULL""",
        {"ids": going},
    )
    asked = {"instance__in": going, "state": Attempt.State.RUNNING, "stop_requested_at": None}
    running = list(Attempt.objects.filter(**asked).values_list("instance_id", flat=True))
    if running:
        Attempt.objects.filter(**asked).update(stop_requested_at=clock.now())
        http_calls.hurry(running)
        notify.notify(notify.STOP)
    return set(going)


def end_stop(job: Backfill, operation: int | None = None) -> None:
    """All of its instances were stopped: its turns are, too."""
    stop_some(job, _turns(job), operation)
    job.state, job.is_paused = Job.STOPPED, False
    job.save(update_fields=["state", "is_paused"])


def take_back_stop(job: Backfill) -> None:
    """A stop was cancelled half way: what it has not reached goes on as before, or is made."""
    job.reason = None
    if job.dates.filter(is_made=False).exists():
        job.state = Job.MAKING
        chores.queue(backfill_make.make, job.pk)
    elif job.started_at is None:
        job.state = Job.READY
    else:
        settings, now = backfill_make.Settings.of(job), clock.now()
        job.state, job.is_watched = Job.STARTED, job.is_looked_at
        if settings.window:
            backfill_make.hold_until(job, settings.window.opens(now, settings.zone), now)
            job.due_at = settings.window.closes(now, settings.zone)
    job.save(update_fields=["state", "reason", "is_watched", "due_at"])
    notify.notify(notify.DUE)


def stop_by_itself(job: Backfill, reason: Mapping[str, Any]) -> None:
    """Stop a job because of one of its failures; a large one by chores after the commit. Holds its row."""
    begin_stop(job, reason)
    few = list(unfinished(job).values_list("pk", flat=True)[: backfill_make.AT_ONCE + 1])
    if len(few) > backfill_make.AT_ONCE:
        chores.queue(stop_rest, job.pk)
        return
    stop_some(job, few)
    end_stop(job)


def stop_rest(job: int) -> None:
    """The chore: date after date, some instances at a time."""
    dates = BackfillDate.objects.filter(backfill=job).exclude(family=None)
    families = list(dates.order_by("position").values_list("family", flat=True))
    left = list(families)
    chores.in_slices(lambda: _stop_batch(job, families, left), stop_rest, job)


@repeated
def _stop_batch(pk: int, families: Sequence[int], left: list[int]) -> bool:
    """One batch; ``left``: the families that are not known to be over. Whether more may be left."""
    job = Backfill.objects.select_for_update(no_key=True).get(pk=pk)
    if job.state != Job.STOPPING:
        return False
    while left:
        if ids := _to_stop(left[:1]):
            stop_some(job, ids)
            return True
        left.pop(0)
    if _to_stop(families):  # something was set going again meanwhile
        left.extend(families)
        return True
    end_stop(job)
    return False


def _to_stop(families: Sequence[int]) -> list[int]:
    """A batch of what is not over in these families, and was not asked to stop yet; turns come last."""
    rows = sql.rows(
        f"""SELECT i.id FROM production_taskinstance i
            WHERE i.workflow_instance_id = ANY(%(families)s::bigint[]) AND {_UNFINISHED}
            AND NOT EXISTS (SELECT 1 FROM production_backfilldate turning WHERE turning.turn_id = i.id)
            AND (i.state NOT IN ({", ".join(str(int(one)) for one in LIVE - {State.CLAIMED})}) OR EXISTS (
                SELECT 1 FROM production_attempt a WHERE a.instance_id = i.id
                AND a.state = '{Attempt.State.RUNNING}' AND a.stop_requested_at IS NULL))
            LIMIT {BATCH}""",
        {"families": list(families)},
    )
    return sorted(pk for (pk,) in rows)


# rerunning


def begin_rerun(job: Backfill, operation: int) -> None:
    """It is started once more: its order holds anew, and what failed before now counts no more. Until the rerun has ended
    nobody acts upon what it has not reached."""
    settings, now = backfill_make.Settings.of(job), clock.now()
    job.state, job.reason, job.is_rerunning, job.started_at = Job.STARTED, None, True, now
    job.alert, job.alert_at = "", None
    if settings.window:
        job.due_at = settings.window.closes(now, settings.zone)
    job.save(update_fields=["state", "reason", "is_rerunning", "started_at", "alert", "alert_at", "due_at"])
    rerun_some(job, _turns(job), operation)


def rerun_some(job: Backfill, ids: Sequence[int], operation: int) -> set[int]:
    """Run those of these instances of a job once more that have failed, within its run window and each after what it waits
    for. Which ones."""
    lock_with_downstream(ids)
    found = TaskInstance.objects.filter(RERUNNABLE, pk__in=ids, state=State.FAILURE).order_by("pk")
    again = list(found.values_list("pk", flat=True))
    sql.rows(
        f"""UPDATE production_instanceedge e SET met = false FROM production_taskinstance up
            WHERE e.downstream_id = ANY(%(ids)s::bigint[]) AND e.met AND up.id = e.upstream_id
            AND up.state <> {State.SUCCESS:d}""",
        {"ids": again},
    )
    wiring.recount(again)
    sql.rows(
        """UPDATE production_taskinstance i SET reruns_left = v.rerun_times, due_at = NULL
           FROM production_taskversion v WHERE v.id = i.version_id AND i.id = ANY(%(ids)s::bigint[])""",
        {"ids": again},
    )
    settings, now = backfill_make.Settings.of(job), clock.now()
    if settings.window:
        backfill_make.hold_until(job, settings.window.opens(now, settings.zone), now, again)
    if job.is_paused:
        backfill_jobs.freeze(job, operation, again)
    advance.place(again, {State.FAILURE}, operation=operation)
    notify.notify(notify.DUE)
    return set(again)


def end_rerun(job: Backfill) -> None:
    """What failed was put back, or as much of it as was asked for: from now on failures are acted upon."""
    job.is_rerunning, job.is_watched = False, job.is_looked_at
    job.save(update_fields=["is_rerunning", "is_watched"])
    notify.notify(notify.DUE)
